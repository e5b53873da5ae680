"""Which wheel of a release fits best a Python and a platform (PEP 425, PEP 600), and what uv calls that platform."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from pipeline.errors import ResolveError
from pipeline.layers._requirements import public

if TYPE_CHECKING:
    from packaging.tags import Tag

# glibc minors that uv has a platform for (`uv pip compile --help`, "--python-platform").
_UV_GLIBC = (17, 28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)
_UV_MACHINES = ("x86_64", "aarch64")
# The oldest glibc with wheels for a machine, and the names that tags had before PEP 600.
_OLDEST = {"x86_64": 5, "i686": 5}
_ALIASES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def uv_platform(platform: str, *, newest: bool = False) -> str:
    """uv's name for the platform tag `manylinux_2_N_MACHINE`: the highest glibc it knows that is not above N.

    With `newest`, the highest that it knows at all, for packages that are pinned by hash anyway. Raises ResolveError.
    """
    minor, machine = _split(platform)
    known = [each for each in _UV_GLIBC if newest or each <= minor]
    if machine not in _UV_MACHINES or not known:
        raise ResolveError(
            f"Python packages cannot be resolved for {platform}",
            remedy="use a base for linux/amd64 or linux/arm64 with glibc 2.17 or newer",
        )
    return f"{machine}-manylinux_2_{known[-1]}"


def _split(platform: str) -> tuple[int, str]:
    match = re.fullmatch(r"manylinux_2_(\d+)_(\w+)", platform)
    if not match:
        raise ResolveError(f"there are no wheels for {platform}", remedy="use a base with glibc")
    return int(match[1]), match[2]


@functools.lru_cache(maxsize=8)
def ranks(python: str, platform: str) -> Mapping[Tag, int]:
    """The tags that fit Python `3.N` on a platform, each with its rank; 0 fits best."""
    from packaging.tags import compatible_tags, cpython_tags

    minor, machine = _split(platform)
    platforms = []
    for each in range(minor, _OLDEST.get(machine, 17) - 1, -1):
        platforms.append(f"manylinux_2_{each}_{machine}")
        if each in _ALIASES and (each == 17 or machine in _OLDEST):
            platforms.append(f"{_ALIASES[each]}_{machine}")
    platforms.append(f"linux_{machine}")
    major, small = (int(part) for part in python.split("."))
    interpreter = f"cp{major}{small}"
    tags = [
        *cpython_tags((major, small), abis=[interpreter], platforms=platforms),
        *compatible_tags((major, small), interpreter, platforms=platforms),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def best(files: Iterable[Mapping[str, Any]], python: str, platform: str) -> Mapping[str, Any] | None:
    """The wheel among `files` (each with its `file` name) that fits best; None when none fits."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    order = ranks(python, platform)
    found: list[tuple[int, tuple[Any, ...], str, Mapping[str, Any]]] = []
    for candidate in files:
        try:
            _, _, build, tags = parse_wheel_filename(candidate["file"])
        except InvalidWheelFilename:
            continue
        if fitting := [order[tag] for tag in tags if tag in order]:
            # Of equal tags the higher build number goes first, as pip has it.
            found.append((-min(fitting), build, candidate["file"], candidate))
    return max(found, key=lambda item: item[:3])[3] if found else None


def located(packages: Iterable[Mapping[str, Any]], folder: Path) -> dict[tuple[str, str], str]:
    """(file name, sha256) → where it is, of the packages of a pylock.toml that lies in `folder`."""
    found = {}
    for package in packages:
        offered = [*package.get("wheels", []), *(package[key] for key in ("archive", "sdist") if key in package)]
        for each in offered:
            place = each.get("url") or str((folder / each["path"]).resolve())
            if place.startswith("file://"):
                place = unquote(urlsplit(place).path)
            name = each.get("name") or unquote(place.split("#")[0].split("?")[0].rsplit("/", 1)[-1])
            found[name, each.get("hashes", {}).get("sha256", "")] = public(place)
    return found
