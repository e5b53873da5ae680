"""Which file of each package is locked, what uv is told of those locked so far, and what keeps one of them back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from pipeline.errors import OutOfReach, ResolveError
from pipeline.indexes.pypi_wheels import best
from pipeline.layers._requirements import Requested, normalise, project_of

Package = Mapping[str, Any]
FEW = 8
"""Packages that are looked at one by one, each by a run of uv."""


def preferences(held: Iterable[Package]) -> str:
    """A pylock.toml (PEP 751) of names and versions: uv prefers the versions that its output file has already. Empty
    for none, for a pylock.toml has packages.
    """
    rows = "".join(
        f"\n[[packages]]\nname = {json.dumps(str(each['name']))}\nversion = {json.dumps(str(each['version']))}\n"
        for each in held
    )
    return f'lock-version = "1.0"\ncreated-by = "pipeline"\n{rows}' if rows else ""


def choose(
    package: Package, wanted: Requested, python: str, platform: str, *, build: bool, held: Package | None
) -> dict[str, Any]:
    """The wheel to take of a package of the lock that uv wrote (PEP 751); to be built, its sources where none fits.

    The file that `held` names stays while the version does, the index has it, and it fits. Raises ResolveError.
    """
    name = package["name"]
    allowed = wanted.hashes.get(normalise(name))
    if wanted.require_hashes and not allowed:
        raise ResolveError(f"{name} has no hash, and --require-hashes is set", remedy=f"add {name} with its hashes")
    offered = [*package.get("wheels", []), *([package["archive"]] if "archive" in package else [])]
    offered += [package["sdist"]] if build and "sdist" in package else []
    known = [_known(wheel) for wheel in offered]
    version = package.get("version") or (known[0]["file"].split("-")[1] if known else "")
    fitting = [wheel for wheel in known if wheel["sha256"] and (not allowed or wheel["sha256"] in allowed)]
    if known and not fitting:
        raise ResolveError(
            f"no {'file' if build else 'wheel'} of {name} {version} for Python {python} on {platform} has a hash that "
            "the requirements allow",
            remedy=f"make the hashes of {name} anew",
        )
    same = _same(fitting, held, version)
    sources = [each for each in fitting if build and not each["file"].endswith(".whl")]
    stays = best(same, python, platform) or next((each for each in sources if each in same), None)
    wheel = stays or best(fitting, python, platform) or next(iter(sources), None)
    if wheel is None:
        raise ResolveError(
            f"{name} {version} has no wheel for Python {python} on {platform}",
            remedy=f"choose another version of {name}",
        )
    return {"name": normalise(name), "version": version, **wheel}


def _same(offered: Iterable[Package], held: Package | None, version: str) -> list[Package]:
    """The file that is locked of this version, if it is among those that are offered."""
    if held is None or held["version"] != version:
        return []
    return [each for each in offered if all(each[key] == held.get(key) for key in ("file", "sha256"))]


def _known(wheel: Package) -> dict[str, Any]:
    place = wheel.get("name") or wheel.get("url") or wheel.get("path", "")
    file = unquote(place.replace("\\", "/").split("#")[0].split("?")[0].rsplit("/", 1)[-1])
    size = wheel.get("size", 0)
    if not size and place.startswith("file://"):
        size = Path(unquote(place.removeprefix("file://").split("#")[0])).stat().st_size
    return {"file": file, "sha256": wheel.get("hashes", {}).get("sha256", ""), "size": size}


class Compile(Protocol):
    """Requirements under constraints to packages, as a pylock.toml has them. Raises ResolveError, OutOfReach.

    With `cached`, by what uv has in its cache, however old.
    """

    def __call__(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        alone: bool = False,
        let_go: Collection[str] = (),
        cached: bool = False,
    ) -> list[dict[str, Any]]: ...


Ask = Callable[
    [Sequence[str], Sequence[str], Mapping[str, str], Sequence[str], Iterable[Mapping[str, Any]]], list[dict[str, Any]]
]
"""One call of uv: requirements, constraints, what stays (name to version), more options, and what is preferred."""


def compiler(
    ask: Ask, wanted: Requested, installed: Mapping[str, str], held: Mapping[str, Package], *, build: bool
) -> Compile:
    """What resolves some of what is `wanted`, as a whole or one thing more; `held` by normalised name."""

    def compiled(
        requirements: Sequence[str],
        constraints: Sequence[str],
        *,
        alone: bool = False,
        let_go: Collection[str] = (),
        cached: bool = False,
    ) -> list[dict[str, Any]]:
        more = ["--no-deps"] if wanted.no_deps or alone else []
        more += ["--offline"] if cached else []
        more += ["--prerelease", "allow"] if wanted.pre else []
        more += [] if build else ["--only-binary", ":all:"]
        # What is new comes last: it has to fit what is there.
        ordered = sorted(requirements, key=lambda line: project_of(line) not in held)
        stays = {} if alone else dict(installed)
        return ask(ordered, constraints, stays, more, [each for name, each in held.items() if name not in let_go])

    return compiled


def unmoved(
    packages: list[dict[str, Any]],
    wanted: Requested,
    held: Mapping[str, Package],
    installed: Collection[str],
    compiled: Compile,
) -> list[dict[str, Any]]:
    """An answer with what moved without need put back, held by normalised name.

    uv takes a lower version than a preferred one that the first of several indexes has for other platforms alone.
    """
    now = {normalise(each["name"]): str(each["version"]) for each in packages if each.get("version")}
    moved = [name for name, each in held.items() if now.get(name, each["version"]) != each["version"]]

    def put_back(names: Collection[str]) -> list[dict[str, Any]] | None:
        at = {**now, **{name: str(held[name]["version"]) for name in names}}
        pins = [f"{name}=={version}" for name, version in at.items() if name not in installed]
        try:
            return compiled(wanted.requirements, [*wanted.constraints, *pins], let_go=names)
        except ResolveError:
            return None

    if not moved:
        return packages
    if found := put_back(moved):
        return found
    for name in moved if 1 < len(moved) <= FEW else ():
        if found := put_back([name]):
            packages, now[name] = found, str(held[name]["version"])
    return packages


def kept_back(name: str, wanted: Requested, chosen: Iterable[Package], compiled: Compile) -> str:
    """Why a package is not at its newest version though it was to be upgraded; empty when it is."""
    versions = {str(each["name"]): str(each["version"]) for each in chosen}
    version, direct = versions.get(name), wanted.direct()
    if version is None or name in direct:
        return ""
    newer = f"{name}>{version}"
    try:
        newest = next(each["version"] for each in compiled([newer], [], alone=True) if normalise(each["name"]) == name)
    except (ResolveError, OutOfReach):
        return ""
    others = [f"{other}=={at}" for other, at in versions.items() if other != name and other not in direct]
    try:
        compiled(wanted.requirements, [*wanted.constraints, *others, newer])
    except ResolveError as error:
        return f"{name} stays at {version}, though there is {newest}: {_holder(name, newer, versions, error.message)}"
    except OutOfReach:
        pass
    return ""


def _holder(name: str, newer: str, versions: Mapping[str, str], reason: str) -> str:
    """Who keeps it back, of uv's explanation; all of that where no single one does."""
    own = rf"{re.escape(name)}(?:\[[^\]]*\])?[<>=~!]\S*"
    for asked in re.findall(rf"(?:you require| and) ({own})", reason):
        if asked.rstrip(",.") != newer:
            return f"{asked.rstrip(',.')} is asked for"
    for other, needed in re.findall(rf"([A-Za-z0-9][\w.-]*)\S* depends? on ({own})", reason):
        if (needed := needed.rstrip(",.")) != newer and other in versions:
            return f"{other} {versions[other]} needs {needed} (upgrade both: --upgrade {name} {other})"
    return reason.partition(": ")[2] or reason
