"""Layer kind `apt`: Debian or Ubuntu packages installed by apt in a container, their scripts included."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline import dpkg_kind as shared
from pipeline.digest import cache_key
from pipeline.dpkg import ArchiveSettings, ExtraArchive, architecture, facts_of, python_of, suite_of, upstream
from pipeline.errors import AssembleError, ResolveError
from pipeline.facts import Facts, Python
from pipeline.kinds import Files, Held
from pipeline.layers._apt import CACHES, ENV, locked_script, script
from pipeline.layers.run import LIMITS, limits, shell_argv
from pipeline.recipe import Execute, Json, Recipe

LOCKED = True

_WORDS: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^\S+$"}}
_ARCHIVE = ("suite", "components", "mirror", "security_mirror", "keyring", "updates", "security", "check_valid_until")
_ASKED = ("suite", "components", "updates", "security", "locked")
_NAME = re.compile(r"(?P<name>[^:=]+)(?::(?P<architecture>[^=]+))?(?P<version>=.*)?")

SCHEMA: dict[str, Any] = {
    "title": "Packages, by apt",
    "description": "Installs packages with apt, in a container made from the layers below; needs Docker or Podman. "
    "`debs` needs neither, and is for packages whose scripts are not needed.",
    "type": "object",
    "required": ["packages"],
    "additionalProperties": False,
    "properties": {
        "packages": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9+.-]+(:[a-z0-9]+)?(=[A-Za-z0-9.+:~*-]+)?$"},
            "description": "Packages by name, or `name=version`.",
            "examples": [["fuse", "libfuse-dev"]],
        },
        "recommends": {"type": "boolean", "default": False, "description": "Add what packages recommend, too."},
        "locked": {
            "type": "boolean",
            "description": "Install exactly what the lock says; false: what the archives have when the layer is made. "
            "Default: true where the packages of the layers below are known.",
        },
        "update": {
            "type": "boolean",
            "default": True,
            "description": "Fetch the lists of packages first, where nothing is locked.",
        },
        "sources": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z0-9][a-z0-9_-]*$", "x-noun": "source"},
            "description": "Further archives, by name; they stay in the image.",
            "additionalProperties": {
                "type": "object",
                "required": ["uris", "suites"],
                "additionalProperties": False,
                "properties": {
                    "uris": {**_WORDS, "description": "Where the archive is."},
                    "suites": {**_WORDS, "description": "Its suites; one that ends in / is a folder, without parts."},
                    "components": {**_WORDS, "description": "Its parts, such as main."},
                    "architectures": {**_WORDS, "description": "For which architectures; default: the image's."},
                    "key": {
                        "type": "string",
                        "format": "project-path",
                        "description": "A file of armored OpenPGP keys that sign it; default: the distribution's.",
                    },
                },
            },
        },
        **{name: shared.PROPERTIES[name] for name in _ARCHIVE},
        "suite": {**shared.PROPERTIES["suite"], "description": "Default: the suite of the image below."},
        **LIMITS,
    },
}


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """Settings that say nothing beside others: (place in the spec, what is wrong, what would be right)."""
    for name in _ARCHIVE if spec.get("locked") is False else ():
        if name in spec:
            yield (name,), f"{name} is for what is locked, and nothing is", "leave out one of both, or use `sources`"
    for name, source in (spec.get("sources") or {}).items():
        flat = [suite for suite in source["suites"] if suite.endswith("/")]
        if not source.get("components") and len(flat) < len(source["suites"]):
            yield ("sources", name), "a suite has components", "add `components: [main]`, or end a folder's name in /"
        if source.get("components") and flat:
            yield ("sources", name, "components"), f"{flat[0]} is a folder, without components", "leave them out"


def request(spec: Mapping[str, Any], files: Files) -> Json:
    """What was asked for; of keys their hashes, and of the distribution's own archive not where it is."""
    sources = {
        name: {**source, "key": files.digest(source["key"])[0] if source.get("key") else ""}
        for name, source in sorted((spec.get("sources") or {}).items())
    }
    return {
        "packages": sorted(spec["packages"]),
        "recommends": spec.get("recommends", False),
        "update": spec.get("update", True),
        "sources": sources,
        **{name: spec[name] for name in _ASKED if name in spec},
    }


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:
    """The suite and the packages below, where versions can be locked.

    AssembleError for an image that is known to have no apt, and for one that cannot be locked for but has to be.
    """
    if parent.packages and "apt" not in parent.packages:
        raise AssembleError(
            "an apt layer needs apt below it, and the image has none",
            remedy="add `essential: true` to the debian base, or use a debs layer",
        )
    if reason := _unlocked(spec, parent):
        if spec.get("locked"):
            raise AssembleError(
                f"what apt installs cannot be locked: {reason}", remedy="leave out `locked`, or take another base"
            )
        return {}
    return {
        "distribution": parent.distribution,
        "suite": _suite(spec, parent),
        "architecture": shared.platform_architecture(parent),
        "packages": cache_key(dict(parent.packages))[:16],
    }


def _suite(spec: Mapping[str, Any], parent: Facts) -> str:
    return str(spec.get("suite") or suite_of(parent.distribution, parent.release))


def _unlocked(spec: Mapping[str, Any], parent: Facts) -> str:
    """Why versions cannot be locked; empty where they can."""
    own = architecture(parent.platform)
    if spec.get("locked") is False:
        return "the manifest says so"
    if not parent.packages or parent.distribution not in ("debian", "ubuntu"):
        return "the packages below are not known" if not parent.packages else f"{parent.distribution} has no lock"
    if not _suite(spec, parent):
        return f"the suite of {parent.distribution} {parent.release or 'without a number'} is not known"
    if own is None:
        return f"{parent.distribution} has no {parent.platform}"
    foreign = [name for name in spec["packages"] if _parts(name)["architecture"] not in (None, own)]
    return f"{foreign[0]} is of another architecture" if foreign else ""


def _parts(package: str) -> dict[str, str | None]:
    match = _NAME.fullmatch(package)
    assert match
    return match.groupdict()


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:
    """The packages to add, or to put in place of older ones, by version, file name and hash; or why there is no saying.

    ResolveError for what cannot be had or trusted; OutOfReach.
    """
    keys = {name: source["key"] for name, source in request["sources"].items() if source["key"]}
    kept: dict[str, Json] = {"keys": keys} if keys else {}
    if reason := _unlocked(spec, parent):
        return {"unlocked": reason, **kept}
    settings = _settings(spec, parent, indexes.files)
    wanted = [f"{(parts := _parts(package))['name']}{parts['version'] or ''}" for package in spec["packages"]]
    try:
        packages = indexes.debian.resolve(
            settings,
            shared.platform_architecture(parent),
            wanted,
            recommends=spec.get("recommends", False),
            installed=parent.packages,
            upgrade=True,
            held=held.packages("packages"),
            anew=held.upgrade,
        )
    except ResolveError as error:
        if not error.transient:
            own = "name archives that the image alone knows under `sources`, or say `locked: false` to let apt decide"
            error.remedy = f"{error.remedy}; {own}" if error.remedy else own
        raise
    place = {"distribution": settings.distribution, "suite": settings.suite, "release": parent.release}
    return {**place, **kept, "packages": packages}


def _settings(spec: Mapping[str, Any], parent: Facts, files: Files) -> ArchiveSettings:
    keyring = str(files.path(spec["keyring"])) if spec.get("keyring") else ""
    settings = shared.archive_settings(spec, parent.distribution, _suite(spec, parent), keyring)
    extra = (_extra(name, source, files) for name, source in sorted((spec.get("sources") or {}).items()))
    return replace(settings, extra=tuple(extra))


def _extra(name: str, source: Mapping[str, Any], files: Files) -> ExtraArchive:
    lists = {key: tuple(source.get(key) or ()) for key in ("uris", "suites", "components", "architectures")}
    return ExtraArchive(name, **lists, keyring=str(files.path(source["key"])) if source.get("key") else "")


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    """The image's facts with these packages added; without a lock nothing is known of them."""
    if "unlocked" in locked:
        return parent
    own = shared.versions(locked)
    found = facts_of(own, parent.distribution, parent.release, parent)
    return replace(found, python=_python(own, found.packages, parent.python))


def _python(own: Mapping[str, str], together: Mapping[str, str], below: Python | None) -> Python | None:
    """The interpreter that is there stays the image's own, whatever apt adds beside it; its version may move."""
    if below is None:
        return python_of(together)
    moved = own.get(f"python{below.minor}") if below.executable.startswith("/usr/bin/") else None
    return replace(below, version=upstream(moved)) if moved else below


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:
    """The command that installs; none where all of it is there."""
    asked = sorted(spec["packages"])
    keys = locked.get("keys") or {}
    sources = {name: {**s, "key": keys.get(name, "")} for name, s in sorted((spec.get("sources") or {}).items())}
    paths = {name: source["key"] for name, source in (spec.get("sources") or {}).items() if source.get("key")}
    inputs: dict[str, Json] = {"asked": asked, "recommends": spec.get("recommends", False), "sources": sources}
    if "unlocked" in locked:
        count = f"{len(asked)} package{'s' if len(asked) != 1 else ''}"
        wanted = {**inputs, "packages": asked, "update": spec.get("update", True)}
        return (
            Execute(
                argv=shell_argv("/bin/sh", script(wanted)),
                inputs=wanted,
                env=ENV,
                sources={"keys": paths},
                caches=CACHES,
                network=spec.get("network", ""),
                **limits(spec),
                summary=f"apt, {count}, not locked: {locked['unlocked']}",
            ),
        )
    packages: list[Mapping[str, Any]] = locked["packages"]
    return (_exactly(spec, locked, parent, inputs, paths),) if packages or sources else ()


def _exactly(
    spec: Mapping[str, Any], locked: Json, parent: Facts, inputs: Mapping[str, Json], keys: Mapping[str, str]
) -> Execute:
    """Installs what is locked; without a network, unless the manifest gives it one: nothing else is to come in."""
    packages: list[Mapping[str, Any]] = locked["packages"]
    names = {str(_parts(package)["name"]) for package in spec["packages"]}
    text = locked_script(packages, names, parent.packages, inputs["sources"])
    archive = {key: spec[key] for key in ("mirror", "security_mirror") if key in spec}
    extra = {name: list(source["uris"]) for name, source in inputs["sources"].items()}
    count = f"{len(packages)} package{'s' if len(packages) != 1 else ''}"
    return Execute(
        argv=shell_argv("/bin/sh", text),
        inputs={**inputs, **{key: value for key, value in locked.items() if key != "keys"}},
        env=ENV,
        sources={"archive": archive, "extra": extra, "keys": keys},
        network=spec.get("network", "none"),
        **limits(spec),
        summary=f"apt, {count}",
    )
