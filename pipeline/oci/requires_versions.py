"""Compares versions by the rules of the world that they are from: Debian's, Python's, conda's."""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

World = Literal["apt", "pip", "conda"]

_TERM = re.compile(r"\s*(>=|<=|==|!=|~=|=|>|<)\s*([^,\s]+)\s*")
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def accepts(world: World, constraint: str, version: str) -> bool:
    """Whether a version fits `>=1.2,<2`; an empty constraint takes any, and an unknown version fits only that.

    `=1.2` takes 1.2 and what begins with `1.2.`; `~=1.2.3` is PEP 440's "compatible release" everywhere.
    """
    return all(_fits(world, match[1], match[2], version) for match in _TERM.finditer(constraint))


def _fits(world: World, sign: str, wanted: str, version: str) -> bool:
    if not version:
        return False
    if sign == "=":
        return compare(world, version, wanted) == 0 or bool(re.match(re.escape(wanted) + r"(?![0-9A-Za-z])", version))
    if sign == "~=":
        stem = wanted.rpartition(".")[0]
        return compare(world, version, wanted) >= 0 and bool(re.match(re.escape(stem) + r"(?![0-9])", version))
    return _OPERATORS[sign](compare(world, version, wanted), 0)


def compare(world: World, left: str, right: str) -> int:
    """-1, 0 or 1."""
    if world == "apt":
        return _compare_debian(left, right)
    if world == "pip" and (found := _compare_python(left, right)) is not None:
        return found
    return _compare_conda(left, right)


def highest(world: World, versions: Iterable[str]) -> str:
    """The highest version; empty when none is known."""
    order = functools.cmp_to_key(functools.partial(compare, world))
    return max(filter(None, versions), key=order, default="")


def _compare_python(left: str, right: str) -> int | None:
    """By PEP 440; None where one is no such version."""
    from packaging.version import InvalidVersion, Version

    try:
        a, b = Version(left), Version(right)
    except InvalidVersion:
        return None
    # As pip compares: what follows a + says who built it, and matters only when it is asked for.
    if b.local is None:
        a = Version(a.public)
    return (a > b) - (a < b)


def _compare_conda(left: str, right: str) -> int:
    """As conda orders them (conda, models/version.py, VersionOrder): dev, text, numbers, post; what is missing is 0."""
    for a, b in zip(_conda_parts(left), _conda_parts(right), strict=True):
        for parts in itertools.zip_longest(a, b, fillvalue=[_NUMBER_0]):
            for piece, other in itertools.zip_longest(*parts, fillvalue=_NUMBER_0):
                if piece != other:
                    return -1 if piece < other else 1
    return 0


_Piece = tuple[int, int, str]
_NUMBER_0: _Piece = (2, 0, "")
_RANKS = {"dev": 0, "post": 3}


def _conda_parts(version: str) -> tuple[list[list[_Piece]], list[list[_Piece]], list[list[_Piece]]]:
    """Epoch, version and local version, each as its parts, those as pieces of digits and text."""
    epoch, _, rest = version.lower().rpartition("!")
    rest, _, local = rest.partition("+")
    return _conda_split(epoch or "0"), _conda_split(rest), _conda_split(local) if local else []


def _conda_split(text: str) -> list[list[_Piece]]:
    found = []
    for part in re.split(r"[._-]", text):
        pieces = re.findall(r"[0-9]+|[^0-9]+", part) or ["0"]
        if not pieces[0].isdigit():
            pieces.insert(0, "0")
        found.append([(2, int(p), "") if p.isdigit() else (_RANKS.get(p, 1), 0, p) for p in pieces])
    return found


def _compare_debian(left: str, right: str) -> int:
    """As `dpkg --compare-versions` (Debian Policy 5.6.12)."""
    for a, b in zip(_debian_parts(left), _debian_parts(right), strict=True):
        if found := _compare_debian_part(a, b):
            return found
    return 0


def _debian_parts(version: str) -> tuple[str, str, str]:
    epoch, found, rest = version.partition(":")
    epoch, rest = (epoch, rest) if found else ("0", version)
    upstream, found, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if found else (epoch, rest, "0")


def _compare_debian_part(left: str, right: str) -> int:
    """Text and numbers by turns; `~` sorts before the end, letters before other characters."""
    pairs = itertools.zip_longest(re.findall(r"(\D*)(\d*)", left), re.findall(r"(\D*)(\d*)", right), fillvalue=("", ""))
    for (text, number), (other, other_number) in pairs:
        for a, b in itertools.zip_longest(text, other, fillvalue=""):
            if order := _debian_order(a) - _debian_order(b):
                return 1 if order > 0 else -1
        if order := int(number or 0) - int(other_number or 0):
            return 1 if order > 0 else -1
    return 0


def _debian_order(character: str) -> int:
    if character == "~":
        return -1
    return 0 if not character else ord(character) + (0 if character.isalpha() else 256)
