"""What is to be taken anew though the lock has an answer: everything, bases and layers, or packages by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field

from pipeline.errors import UsageError
from pipeline.lock.model import Lock, head_of
from pipeline.noun import noun

EVERYTHING = "*"
"""Stands for all names."""
SECTIONS = ("bases.*", "layers.*")
"""Stand for all bases, and for all layers."""


@noun
class Upgrade:
    """`heads` are bases and layers to take anew as a whole (`layers.science`); `packages` are by the entry's id."""

    everything: bool = False
    heads: frozenset[str] = field(default_factory=frozenset)
    packages: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def whole(self, id_: str) -> bool:
        """Whether an entry is to be taken anew without regard to what the lock has."""
        return self.everything or head_of(id_) in self.heads

    def of(self, id_: str) -> frozenset[str]:
        """The packages of an entry to take anew, as the lock names them."""
        return self.packages.get(id_, frozenset())


def selection(names: Iterable[str], lock: Lock, heads: Iterable[str]) -> Upgrade:
    """What these names stand for. UsageError for what is nowhere.

    `science` or `layers.science` is a base or layer of `heads`, the manifest's; `science:numpy` a package of one;
    `numpy` that package wherever the lock has it; `bases.*` and `layers.*` are all of them, `*` everything.
    """
    names, heads = list(names), list(heads)
    if EVERYTHING in names:
        return Upgrade(everything=True)
    whole: set[str] = set()
    packages: dict[str, set[str]] = {}
    for name in names:
        entry, colon, package = name.partition(":")
        chosen = [head for head in heads if entry in (head, head.partition(".")[2])]
        if name in SECTIONS:
            whole.update(head for head in heads if head.startswith(name[:-1]))
            continue
        if chosen and not colon:
            whole.update(chosen)
            continue
        if colon and not chosen:
            from pipeline.manifest.words import suggestion

            raise UsageError(
                f"there is no base or layer '{entry}'", remedy=suggestion(entry, _short(heads), "there are")
            )
        found = _packages(package if colon else name, lock, chosen or heads)
        if not found:
            raise _unknown(package if colon else name, lock, chosen, heads)
        for id_, names_ in found.items():
            packages.setdefault(id_, set()).update(names_)
    return Upgrade(False, frozenset(whole), {id_: frozenset(names_) for id_, names_ in packages.items()})


def _packages(name: str, lock: Lock, heads: Iterable[str]) -> dict[str, set[str]]:
    """Entry ids of these bases and layers → the names there that `name` stands for (compared as PEP 503 has it)."""
    from pipeline.lock.diff import versions

    wanted = set(heads)
    found: dict[str, set[str]] = {}
    for id_, entry in lock.entries.items():
        if head_of(id_) in wanted:
            same = {package for package in versions(entry) if _plain(package) == _plain(name)}
            if same:
                found[id_] = same
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _short(heads: Iterable[str]) -> list[str]:
    return [head.partition(".")[2] for head in heads]


def _unknown(name: str, lock: Lock, chosen: list[str], heads: list[str]) -> UsageError:
    from pipeline.lock.diff import versions
    from pipeline.manifest.words import suggestion

    ids = [id_ for id_ in lock.entries if not chosen or head_of(id_) in chosen]
    there = {package for id_ in ids for package in versions(lock.entries[id_])}
    if chosen:
        return UsageError(
            f"the lock has no package '{name}' in {_short(chosen)[0]}", remedy=suggestion(name, there, "there are")
        )
    return UsageError(
        f"'{name}' is no base, no layer, and no package of the lock",
        remedy=suggestion(name, [*_short(heads), *there], "there are"),
    )
