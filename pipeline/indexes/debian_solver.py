"""Chooses the packages that satisfy what was asked for: pure, deterministic, on opened package indexes.

Debian Policy 7: Pre-Depends, Depends, alternatives, versions, virtual packages, Conflicts and Breaks. What must be
taken is taken first; among alternatives what is there already, else the first that can be installed, with
backtracking. `Essential: yes` packages are not assumed. What the layers below hold stays as it is, unless the solver
may upgrade it: then as little of it moves as the rest needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.errors import ResolveError
from pipeline.indexes.debian_packages import Package, Universe
from pipeline.indexes.debian_state import DeadEnd, Need, State
from pipeline.indexes.debian_version import Group, Relation, compare

MAX_TRIES = 2000
"""Dead ends after which a set is called unsolvable; real archives need fewer than ten."""


class Solver:
    """Solves for one architecture. `installed` (name to version) is what the layers below hold.

    With `upgrade` its packages may be replaced by newer ones where something needs that, as apt does. Versions in
    `held` are taken before higher ones; those that stand in the way of a need are given up, one after the other.
    """

    def __init__(
        self,
        universe: Universe,
        architecture: str,
        installed: Mapping[str, str] | None = None,
        *,
        upgrade: bool = False,
        held: Mapping[str, str] | None = None,
    ) -> None:
        self.universe = universe
        self._architectures = ("", "any", architecture)
        self._below = {name: self._there(name, version) for name, version in (installed or {}).items()}
        self._installed = dict(self._below)
        self._upgrade = upgrade
        self._held = dict(held or {})

    def solve(self, wanted: Sequence[Relation], *, recommends: bool = False) -> list[Package]:
        """The packages to add or replace, by name. ResolveError: one that is unknown, or a set that cannot be had."""
        for relation in wanted:
            self._check_known(relation)
        moving = {r.name for r in wanted if self._upgrade and not r.op and self._has_newer(r.name)}
        first: DeadEnd | None = None
        while True:
            self._installed = {name: package for name, package in self._below.items() if name not in moving}
            try:
                state = self._search(self._start(wanted, moving))
                break
            except DeadEnd as end:
                if self._given_up(end, moving):
                    continue
                first = first or end
                if not self._upgrade or end.blame not in self._installed:
                    raise ResolveError(first.message, remedy=first.remedy) from None
                moving.add(end.blame)
        if recommends:
            state = self._with_recommends(state)
        return [package for name, package in sorted(state.chosen.items()) if name not in self._installed]

    def _given_up(self, end: DeadEnd, moving: set[str]) -> bool:
        """Whether a held version is given up for what cannot be had beside it: that in the way, at last all of them."""
        if end.held:
            self._held.pop(end.held)
            return True
        # What the layers below have to move for is tried first.
        if not self._held or (self._upgrade and end.blame in self._installed):
            return False
        self._held = {}
        moving.clear()
        return True

    def _start(self, wanted: Sequence[Relation], moving: set[str]) -> State:
        """What stays, and what is needed: what was asked for, newer ones of what moves, and what fits what stays."""
        state = State()
        for package in self._installed.values():
            state.add(package, None)
        named = {relation.name for relation in wanted if relation.op}
        newer = [Relation(name, ">>", self._below[name].version) for name in sorted(moving - named)]
        state.fresh = [Need((relation,)) for relation in [*wanted, *newer]]
        for package in self._installed.values() if moving else ():
            touched = [group for group in package.depends if any(self._names(r, moving) for r in group)]
            state.fresh += [Need(group, package) for group in touched]
        return state

    def _names(self, relation: Relation, moving: set[str]) -> bool:
        return relation.name in moving or any(relation.name in self._below[name].provides for name in moving)

    def _has_newer(self, name: str) -> bool:
        best = self._candidate(name)
        return name in self._below and best is not None and compare(best.version, self._below[name].version) > 0

    def _candidate(self, name: str) -> Package | None:
        """The version to take of a package of which none was asked for."""
        versions = self.universe.versions(name)
        held = [package for package in versions if package.version == self._held.get(name)]
        return next(iter([*held, *versions]), None)

    def _there(self, name: str, version: str) -> Package:
        versions = self.universe.versions(name)
        for package in versions:
            if package.version == version:
                return package
        # A version that has left the archive: of what it needs and provides its successor tells, as far as anyone can
        # know; what that needs in exactly its own version (a part of the same source) this one needed in its own.
        fields = {"Package": name, "Version": version}
        if versions:
            told = versions[0].fields
            fields["Provides"] = told.get("Provides", "")
            if depends := told.get("Depends", ""):
                fields["Depends"] = depends.replace(f"(= {versions[0].version})", f"(= {version})")
        return Package(name, version, "", fields)

    def _check_known(self, relation: Relation) -> None:
        versions = self.universe.versions(relation.name)
        if relation.name in self._below:
            return
        if versions:
            if not any(relation.accepts(p.version) for p in versions):
                there = ", ".join(p.version for p in versions)
                raise ResolveError(
                    f"{relation.name} {relation.version} is not in {self.universe.describe}",
                    remedy=f"it has {there}; older versions are only on a snapshot mirror",
                )
            return
        providers = sorted({p.name for p in self.universe.providers(relation.name)})
        if len(providers) > 1:
            raise ResolveError(
                f"{relation.name} is a virtual package in {self.universe.describe}",
                remedy=f"name one that provides it: {', '.join(providers[:8])}",
            )
        if not providers:
            import difflib

            close = difflib.get_close_matches(relation.name, self.universe.names(), n=3, cutoff=0.75)
            remedy = f"did you mean {' or '.join(close)}?" if close else "see its name with `apt-cache search`"
            raise ResolveError(f"no package {relation.name!r} in {self.universe.describe}", remedy=remedy)

    def _search(self, state: State) -> State:
        """Works off all needs; returns to the last choice at a dead end, and raises the first of them at the last."""
        choices: list[tuple[State, Need, list[Package]]] = []
        first: DeadEnd | None = None
        for _ in range(MAX_TRIES):
            try:
                self._work_off(state, choices)
                return state
            except DeadEnd as end:
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

    def _work_off(self, state: State, choices: list[tuple[State, Need, list[Package]]]) -> None:
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

    def _next_choice(self, state: State) -> Need:
        """Choices among versions of one package go before choices among packages."""
        for index, need in enumerate(state.open):
            if len(need.group) == 1 and self.universe.versions(need.group[0].name):
                return state.open.pop(index)
        return state.open.pop(0)

    def _satisfied(self, state: State, group: Group) -> bool:
        for relation in group:
            if relation.arch not in self._architectures:
                continue
            package = state.chosen.get(relation.name)
            if package and relation.accepts(package.version):
                return True
            if any(relation.accepts(p.provides[relation.name]) for p in state.provided.get(relation.name, ())):
                return True
        return False

    def _candidates(self, state: State, need: Need) -> list[Package]:
        """What could satisfy a need, best first. Raises DeadEnd, with the reason, when nothing can."""
        found: dict[tuple[str, str], Package] = {}
        blocked = DeadEnd("")
        for relation in need.group:
            if relation.arch not in self._architectures:
                continue
            real = [p for p in self.universe.versions(relation.name) if relation.accepts(p.version)]
            real.sort(key=lambda p: p.version != self._held.get(p.name))
            if self._upgrade or (real and real[0].version == self._held.get(relation.name)):
                # apt takes the best version of a package or none, and upgrades what stands in the way.
                real = real[:1]
            virtual = [p for p in self.universe.providers(relation.name) if relation.accepts(p.provides[relation.name])]
            for package in real + virtual:
                if package.name in state.chosen:
                    continue
                conflict = self._conflict(state, package)
                blocked = blocked if blocked.message else conflict or blocked
                if not conflict:
                    found.setdefault((package.name, package.version), package)
        if not found:
            end = self._dead_end(state, need, blocked)
            end.held = self._in_the_way(state, need, blocked)
            raise end
        # A held alternative, or provider, goes before better ones.
        return sorted(found.values(), key=lambda p: p.version != self._held.get(p.name))

    def _conflict(self, state: State, package: Package) -> DeadEnd | None:
        """What of the chosen set `package` cannot stand beside; None when nothing."""
        for group in package.conflicts:
            relation = group[0]
            other = state.chosen.get(relation.name)
            if other and other.name != package.name and relation.accepts(other.version):
                return DeadEnd(f"{package} conflicts with {other}", blame=other.name)
            for other in state.provided.get(relation.name, ()):
                if other.name != package.name and relation.accepts(other.provides[relation.name]):
                    return DeadEnd(
                        f"{package} conflicts with {other}, which provides {relation.name}", blame=other.name
                    )
        for name, version in ((package.name, package.version), *package.provides.items()):
            for other, relation in state.against.get(name, ()):
                if other.name != package.name and relation.accepts(version):
                    return DeadEnd(f"{other} conflicts with {package}", blame=other.name)
        return None

    def _in_the_way(self, state: State, need: Need, blocked: DeadEnd) -> str:
        """The held package to give up for a need: one that it is about, else one that asks for it or for what is in its
        way; empty for none.
        """
        names = [*(relation.name for relation in need.group), blocked.blame]
        for above in (need.by, *(state.wanted_by.get(name) for name in tuple(names))):
            while above is not None and above.name not in names:
                names.append(above.name)
                above = state.wanted_by.get(above.name)
        held = (name for name in names if name in self._held and name not in self._installed)
        return next((name for name in held if len(self.universe.versions(name)) > 1), "")

    def _dead_end(self, state: State, need: Need, blocked: DeadEnd) -> DeadEnd:
        who = f"{state.chain(need.by)} needs {need}" if need.by else f"{need} is asked for"
        # A package that stays and does not fit one that moves has to move with it.
        stays = need.by.name if need.by and need.by.name in self._installed else ""
        for relation in need.group:
            there = state.chosen.get(relation.name)
            if there and relation.name in self._installed:
                return DeadEnd(
                    f"{who}, but the layers below have {there}",
                    "a layer cannot change a package of its base: `pipeline lock` brings both up to date, "
                    "or take a base of the same suite",
                    stays or relation.name,
                )
            if there:
                by = state.chain(state.wanted_by[there.name]) or "what was asked for"
                return DeadEnd(f"{who}, but {there} is needed too, by {by}", blame=stays)
        if blocked.message:
            return DeadEnd(f"{who}, but {blocked.message}", "leave one of them out", stays or blocked.blame)
        versions = [str(p) for r in need.group for p in self.universe.versions(r.name)]
        remedy = f"it has {', '.join(versions)}" if versions else "is a component or a suite switched off?"
        return DeadEnd(f"{who}, which is not in {self.universe.describe}", remedy, stays)

    def _with_recommends(self, state: State) -> State:
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
                    except DeadEnd:
                        continue
        return state
