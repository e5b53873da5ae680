"""Layer kind `debs`: more Debian or Ubuntu packages on top of an image of the same suite, without an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import dpkg_kind as shared
from pipeline.digest import cache_key
from pipeline.dpkg import SUITES, facts_of
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.recipe import Json, Recipe

LOCKED = True

SCHEMA: dict[str, Any] = {
    "title": "More Debian or Ubuntu packages",
    "description": "Adds packages, with what they depend on and the image lacks; those that it has stay as they are.",
    "type": "object",
    "required": ["packages"],
    "additionalProperties": False,
    "properties": {
        **shared.PROPERTIES,
        "suite": {**shared.PROPERTIES["suite"], "description": "Default: the suite of the image below."},
        "packages": {**shared.PACKAGES, "minItems": 1},
    },
}


def request(spec: Mapping[str, Any], files: Files) -> Json:  # noqa: ARG001
    """What was asked for, but not where from."""
    return shared.request(spec)


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:
    """The suite and the packages of the image below. AssembleError for one that has none."""
    distribution, suite = _suite(spec, parent)
    return {
        "distribution": distribution,
        "suite": suite,
        "architecture": shared.platform_architecture(parent),
        "packages": cache_key(dict(parent.packages))[:16],
    }


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    """The packages to add, by version, file name and hash. ResolveError for one that would change a package below."""
    distribution, suite = _suite(spec, parent)
    keyring = str(indexes.files.path(spec["keyring"])) if spec.get("keyring") else ""
    settings = shared.archive_settings(spec, distribution, suite, keyring)
    return shared.resolve(spec, settings, parent, indexes, parent.packages, held)


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    """The image's facts with these packages added."""
    return facts_of(shared.versions(locked), parent.distribution, parent.release, parent)


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    """The packages' layer, and one of their Python code's bytecode; none when the image has all of them."""
    if not locked["packages"]:
        return ()
    return shared.recipes(spec, locked, parent, parent.packages, facts(spec, locked, parent).python)


def _suite(spec: Mapping[str, Any], parent: Facts) -> tuple[str, str]:
    """Distribution and suite: the image's, unless the manifest names the suite of an image that does not tell."""
    if parent.distribution not in ("debian", "ubuntu") or not parent.packages:
        there = f"the image below is {parent.distribution}" if parent.distribution else "the image below is of neither"
        raise AssembleError(f"debs need an image of Debian or Ubuntu packages, and {there}", remedy="name another base")
    below = [
        s.codename for s in SUITES.values() if (s.distribution, s.release) == (parent.distribution, parent.release)
    ]
    suite = spec.get("suite") or (below[0] if below and parent.release else "")
    if not suite:
        raise AssembleError(
            f"the suite of {parent.distribution} {parent.release} is not known", remedy="name its `suite`"
        )
    if below and parent.release and suite != below[0]:
        raise AssembleError(
            f"packages of {suite} do not fit the image below, which is {below[0]}", remedy="leave out `suite`"
        )
    return parent.distribution, str(suite)
