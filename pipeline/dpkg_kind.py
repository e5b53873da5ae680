"""What the base kind `debian` and the layer kind `debs` have in common: their settings, requests and recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.dpkg import COMPONENTS, SUITES, ArchiveSettings, architecture, python_of
from pipeline.errors import AssembleError
from pipeline.facts import Facts, Python
from pipeline.recipe import Assemble, Json, Recipe

if TYPE_CHECKING:
    from pipeline.kinds import Held

PACKAGES: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string", "pattern": r"^[a-z0-9][a-z0-9+.-]+(=[A-Za-z0-9.+:~-]+)?$"},
    "uniqueItems": True,
    "description": "Packages by name, or `name=version` for one version of it. What they depend on comes with them.",
    "examples": [["python3", "ca-certificates", "libstdc++6"]],
}
PROPERTIES: Mapping[str, Any] = {
    "suite": {
        "type": "string",
        "pattern": "^[a-z][a-z0-9-]*$",
        "description": "The release by its code name.",
        "examples": ["bookworm", "trixie", "bullseye", "noble", "jammy"],
    },
    "distribution": {
        "enum": ["debian", "ubuntu"],
        "description": "Whose suite it is; known by itself for the suites of both since 2019.",
    },
    "components": {
        "type": "array",
        "items": {"type": "string", "pattern": "^[a-z][a-z0-9-]*$"},
        "minItems": 1,
        "uniqueItems": True,
        "description": "Parts of the archive; default: main (Ubuntu: main and universe).",
    },
    "mirror": {
        "type": "string",
        "pattern": "^(https?|file)://",
        "description": "Where the archive is; default: as this machine's apt is set for it, else the public one.",
    },
    "security_mirror": {
        "type": "string",
        "pattern": "^(https?|file)://",
        "description": "Where the security suite is; default: as for `mirror`.",
    },
    "keyring": {
        "type": "string",
        "format": "project-path",
        "description": "A file of public keys to verify the archive with; default: the distribution's own.",
    },
    "updates": {"type": "boolean", "default": True, "description": "Use the suite's updates."},
    "security": {"type": "boolean", "default": True, "description": "Use the suite's security fixes."},
    "recommends": {"type": "boolean", "default": False, "description": "Add what packages recommend, too."},
    "check_valid_until": {
        "type": "boolean",
        "default": True,
        "description": "Refuse an index past its date; false for a snapshot mirror.",
    },
    "packages": PACKAGES,
}


def platform_architecture(facts: Facts) -> str:
    """The distribution's name of the platform's architecture. AssembleError when it has no such port."""
    name = architecture(facts.platform)
    if name is None:
        raise AssembleError(
            f"Debian and Ubuntu have no packages for {facts.platform}", remedy="leave out that platform"
        )
    return name


def distribution_of(spec: Mapping[str, Any]) -> str:
    """The manifest's, else the suite's. AssembleError for a suite that nothing is known of."""
    if given := spec.get("distribution"):
        return str(given)
    suite = spec["suite"]
    if suite in SUITES:
        return SUITES[suite].distribution
    import difflib

    close = difflib.get_close_matches(suite, SUITES, n=1)
    hint = f"did you mean {close[0]}? else " if close else ""
    raise AssembleError(
        f"the suite {suite!r} is not known",
        remedy=f"{hint}say `distribution: debian` or `distribution: ubuntu` beside it",
    )


def archive_settings(spec: Mapping[str, Any], distribution: str, suite: str, keyring: str = "") -> ArchiveSettings:
    """The archives that a spec asks for; `keyring` is the path on this machine."""
    return ArchiveSettings(
        distribution,
        suite,
        tuple(spec.get("components") or COMPONENTS[distribution]),
        spec.get("mirror", ""),
        spec.get("security_mirror", ""),
        keyring,
        spec.get("updates", True),
        spec.get("security", True),
        spec.get("check_valid_until", True),
    )


def request(spec: Mapping[str, Any]) -> Json:
    """What was asked for. Where it comes from is not part of it: another mirror makes no lock stale."""
    keys = ("suite", "distribution", "components", "updates", "security", "recommends", "essential")
    asked = {key: spec[key] for key in keys if key in spec}
    return {**asked, "packages": sorted(spec.get("packages") or [])}


def resolve(
    spec: Mapping[str, Any],
    settings: ArchiveSettings,
    parent: Facts,
    indexes: Any,
    installed: Mapping[str, str],
    held: Held,
) -> Json:
    """The locked packages, beside the names of the archive that they are from; what is `held` stays where it fits."""
    packages = indexes.debian.resolve(
        settings,
        platform_architecture(parent),
        spec.get("packages") or [],
        recommends=spec.get("recommends", False),
        essential=spec.get("essential", False),
        installed=installed,
        held=held.packages("packages"),
        anew=held.upgrade,
    )
    known = SUITES.get(settings.suite)
    return {
        "distribution": settings.distribution,
        "suite": settings.suite,
        "release": known.release if known else parent.release,
        "packages": packages,
    }


def versions(locked: Json) -> dict[str, str]:
    """Package names to versions."""
    return {package["name"]: package["version"] for package in locked["packages"]}


def recipes(
    spec: Mapping[str, Any], locked: Json, parent: Facts, below: Mapping[str, str], python: Python | None
) -> Sequence[Recipe]:
    """One layer of packages; another of bytecode when they bring Python code for `python`."""
    arch = platform_architecture(parent)
    inputs: dict[str, Json] = {**locked, "architecture": arch}
    if below:
        inputs["below"] = dict(sorted(below.items()))
    sources = {key: spec[key] for key in ("mirror", "security_mirror") if key in spec}
    count = len(locked["packages"])
    place = f"{locked['distribution']} {locked['suite']}"
    summary = f"{place}, {count} package{'s' if count != 1 else ''}"
    layers: list[Recipe] = [Assemble("deb", inputs, sources, needs_root=bool(below), summary=summary)]
    own = versions(locked)
    if python and any(name.startswith(("python3", "libpython3")) for name in own):
        trees = ["usr/lib/python3"]
        if python_of(own):
            trees = [f"usr/lib/python{python.minor}", *trees]
        compiled: dict[str, Json] = {
            "python": python.version,
            "packages": sorted(package["sha256"] for package in locked["packages"]),
            "trees": trees,
        }
        if below:
            compiled["below"] = inputs["below"]
        layers.append(
            Assemble(
                "bytecode", compiled, part="bytecode", needs_root=True, summary=f"bytecode for Python {python.version}"
            )
        )
    return layers
