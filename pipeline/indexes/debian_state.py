"""What the solver of packages has chosen so far, what it still has to look at, and why it cannot go on."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.indexes.debian_packages import Package
from pipeline.indexes.debian_version import Group, Relation


@dataclass(frozen=True, slots=True)
class Need:
    """A group of alternatives, and the package that needs one of them (none: the manifest does)."""

    group: Group
    by: Package | None = None

    def __str__(self) -> str:
        return " | ".join(map(str, self.group))


@dataclass
class State:
    """What is chosen so far, and what is still to be looked at: `fresh` needs first, then `open` choices."""

    chosen: dict[str, Package] = field(default_factory=dict)
    wanted_by: dict[str, Package | None] = field(default_factory=dict)
    provided: dict[str, list[Package]] = field(default_factory=dict)
    against: dict[str, list[tuple[Package, Relation]]] = field(default_factory=dict)
    fresh: list[Need] = field(default_factory=list)
    open: list[Need] = field(default_factory=list)

    def copy(self) -> State:
        return State(
            dict(self.chosen),
            dict(self.wanted_by),
            {name: list(owners) for name, owners in self.provided.items()},
            {name: list(entries) for name, entries in self.against.items()},
            list(self.fresh),
            list(self.open),
        )

    def add(self, package: Package, need: Need | None) -> None:
        """Takes a package, for `need` (none: it is in the layers below, and its own needs are met there)."""
        self.chosen[package.name] = package
        for name in package.provides:
            self.provided.setdefault(name, []).append(package)
        for group in package.conflicts:
            self.against.setdefault(group[0].name, []).append((package, group[0]))
        if need is not None:
            self.wanted_by[package.name] = need.by
            self.fresh.extend(Need(group, package) for group in package.depends)

    def chain(self, package: Package | None) -> str:
        """`c, wanted by b, wanted by a`."""
        names: list[str] = []
        while package is not None and package.name not in names:
            names.append(package.name)
            package = self.wanted_by.get(package.name)
        return ", wanted by ".join(names)


class DeadEnd(Exception):
    """Why a set cannot be had; `blame` is the package of the layers below that stands in the way, if one does, and
    `held` one that the lock holds at a version.
    """

    def __init__(self, message: str, remedy: str = "", blame: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy, self.blame = message, remedy, blame
        self.held = ""
