"""Chooses the packages that satisfy what was asked for: pure, deterministic, on opened package indexes.

Debian Policy 7: Pre-Depends, Depends, alternatives, versions, virtual packages, Conflicts and Breaks. What must be
taken is taken first; among alternatives what is there already, else the first that can be installed, with
backtracking. `Essential: yes` packages are not assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.errors import ResolveError
from pipeline.indexes.debian_packages import Package, Universe
from pipeline.indexes.debian_version import Group, Relation

MAX_TRIES = 2000
"""Dead ends after which a set is called unsolvable; real archives need fewer than ten."""


@dataclass(frozen=True, slots=True)
class Need:
    """A group of alternatives, and the package that needs one of them (none: the manifest does)."""

    group: Group
    by: Package | None = None

    def __str__(self) -> str:
        return " | ".join(map(str, self.group))


@dataclass
class _State:
    """What is chosen so far, and what is still to be looked at: `fresh` needs first, then `open` choices."""

    chosen: dict[str, Package] = field(default_factory=dict)
    wanted_by: dict[str, Package | None] = field(default_factory=dict)
    provided: dict[str, list[Package]] = field(default_factory=dict)
    against: dict[str, list[tuple[Package, Relation]]] = field(default_factory=dict)
    fresh: list[Need] = field(default_factory=list)
    open: list[Need] = field(default_factory=list)

    def copy(self) -> _State:
        return _State(
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


class _DeadEnd(Exception):
    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message, self.remedy = message, remedy


class Solver:
    """Solves for one architecture. `installed` (name to version) is what the layers below hold and cannot change."""

    def __init__(self, universe: Universe, architecture: str, installed: Mapping[str, str] | None = None) -> None:
        self._universe = universe
        self._architectures = ("", "any", architecture)
        self._installed = {name: self._below(name, version) for name, version in (installed or {}).items()}

    def solve(self, wanted: Sequence[Relation], *, recommends: bool = False) -> list[Package]:
        """The packages to add, by name. ResolveError: a package that is unknown, or a set that cannot be had."""
        for relation in wanted:
            self._check_known(relation)
        state = _State()
        for package in self._installed.values():
            state.add(package, None)
        state.fresh = [Need((relation,)) for relation in wanted]
        try:
            state = self._search(state)
        except _DeadEnd as end:
            raise ResolveError(end.message, remedy=end.remedy) from None
        if recommends:
            state = self._with_recommends(state)
        return [package for name, package in sorted(state.chosen.items()) if name not in self._installed]

    def _below(self, name: str, version: str) -> Package:
        versions = self._universe.versions(name)
        for package in versions:
            if package.version == version:
                return package
        # A version that has left the archive: what it provides is what its successor does, as far as anyone can know.
        provides = versions[0].fields.get("Provides", "") if versions else ""
        return Package(name, version, "", {"Package": name, "Version": version, "Provides": provides})

    def _check_known(self, relation: Relation) -> None:
        versions = self._universe.versions(relation.name)
        if relation.name in self._installed:
            return
        if versions:
            if not any(relation.accepts(p.version) for p in versions):
                there = ", ".join(p.version for p in versions)
                raise ResolveError(
                    f"{relation.name} {relation.version} is not in {self._universe.describe}",
                    remedy=f"it has {there}; older versions are only on a snapshot mirror",
                )
            return
        providers = sorted({p.name for p in self._universe.providers(relation.name)})
        if len(providers) > 1:
            raise ResolveError(
                f"{relation.name} is a virtual package in {self._universe.describe}",
                remedy=f"name one that provides it: {', '.join(providers[:8])}",
            )
        if not providers:
            import difflib

            close = difflib.get_close_matches(relation.name, self._universe.names(), n=3, cutoff=0.75)
            remedy = f"did you mean {' or '.join(close)}?" if close else "see its name with `apt-cache search`"
            raise ResolveError(f"no package {relation.name!r} in {self._universe.describe}", remedy=remedy)

    def _search(self, state: _State) -> _State:
        """Works off all needs; returns to the last choice at a dead end, and raises the first of them at the last."""
        choices: list[tuple[_State, Need, list[Package]]] = []
        first: _DeadEnd | None = None
        for _ in range(MAX_TRIES):
            try:
                self._work_off(state, choices)
                return state
            except _DeadEnd as end:
                first = first or end
            while choices and not choices[-1][2]:
                choices.pop()
            if not choices:
                break
            saved, need, rest = choices[-1]
            state = saved.copy()
            state.add(rest.pop(0), need)
        assert first is not None
        raise first

    def _work_off(self, state: _State, choices: list[tuple[_State, Need, list[Package]]]) -> None:
        while state.fresh or state.open:
            deciding = not state.fresh
            need = self._next_choice(state) if deciding else state.fresh.pop(0)
            if self._satisfied(state, need.group):
                continue
            candidates = self._candidates(state, need)
            if len(candidates) > 1 and not deciding:
                state.open.append(need)
                continue
            if len(candidates) > 1:
                choices.append((state.copy(), need, candidates[1:]))
            state.add(candidates[0], need)

    def _next_choice(self, state: _State) -> Need:
        """Choices among versions of one package go before choices among packages."""
        for index, need in enumerate(state.open):
            if len(need.group) == 1 and self._universe.versions(need.group[0].name):
                return state.open.pop(index)
        return state.open.pop(0)

    def _satisfied(self, state: _State, group: Group) -> bool:
        for relation in group:
            if relation.arch not in self._architectures:
                continue
            package = state.chosen.get(relation.name)
            if package and relation.accepts(package.version):
                return True
            if any(relation.accepts(p.provides[relation.name]) for p in state.provided.get(relation.name, ())):
                return True
        return False

    def _candidates(self, state: _State, need: Need) -> list[Package]:
        """What could satisfy a need, best first. Raises _DeadEnd, with the reason, when nothing can."""
        found: dict[tuple[str, str], Package] = {}
        blocked = ""
        for relation in need.group:
            if relation.arch not in self._architectures:
                continue
            real = [p for p in self._universe.versions(relation.name) if relation.accepts(p.version)]
            virtual = [
                p for p in self._universe.providers(relation.name) if relation.accepts(p.provides[relation.name])
            ]
            for package in real + virtual:
                if package.name in state.chosen:
                    continue
                conflict = self._conflict(state, package)
                blocked = blocked or conflict
                if not conflict:
                    found.setdefault((package.name, package.version), package)
        if not found:
            raise self._dead_end(state, need, blocked)
        return list(found.values())

    def _conflict(self, state: _State, package: Package) -> str:
        """What of the chosen set `package` cannot stand beside; empty when nothing."""
        for group in package.conflicts:
            relation = group[0]
            other = state.chosen.get(relation.name)
            if other and other.name != package.name and relation.accepts(other.version):
                return f"{package} conflicts with {other}"
            for other in state.provided.get(relation.name, ()):
                if other.name != package.name and relation.accepts(other.provides[relation.name]):
                    return f"{package} conflicts with {other}, which provides {relation.name}"
        for name, version in ((package.name, package.version), *package.provides.items()):
            for other, relation in state.against.get(name, ()):
                if other.name != package.name and relation.accepts(version):
                    return f"{other} conflicts with {package}"
        return ""

    def _dead_end(self, state: _State, need: Need, blocked: str) -> _DeadEnd:
        who = f"{state.chain(need.by)} needs {need}" if need.by else f"{need} is asked for"
        for relation in need.group:
            there = state.chosen.get(relation.name)
            if there and relation.name in self._installed:
                return _DeadEnd(
                    f"{who}, but the layers below have {there}",
                    "a layer cannot change a package of its base: `pipeline lock` brings both up to date, "
                    "or take a base of the same suite",
                )
            if there:
                return _DeadEnd(f"{who}, but {there} is needed too, by {state.chain(state.wanted_by[there.name])}")
        if blocked:
            return _DeadEnd(f"{who}, but {blocked}", "leave one of them out")
        versions = [str(p) for r in need.group for p in self._universe.versions(r.name)]
        remedy = f"it has {', '.join(versions)}" if versions else "is a component or a suite switched off?"
        return _DeadEnd(f"{who}, which is not in {self._universe.describe}", remedy)

    def _with_recommends(self, state: _State) -> _State:
        """Adds what chosen packages recommend, in turn, where it can be installed."""
        done: set[str] = set(self._installed)
        while missing := [name for name in state.chosen if name not in done]:
            for name in missing:
                done.add(name)
                package = state.chosen[name]
                for group in package.relations("Recommends"):
                    attempt = state.copy()
                    attempt.fresh = [Need(group, package)]
                    try:
                        state = self._search(attempt)
                    except _DeadEnd:
                        continue
        return state
