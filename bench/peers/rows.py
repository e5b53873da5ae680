"""What is measured: each row a piece of work, done by all sides in turn, some times over."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.peers.inputs import BASE, SERVICES, SUITE, Inputs
from bench.peers.sides import COMPILED, Pipeline, Side
from bench.peers.traffic import Moved, Traffic
from bench.shipping import Registry

REMADE = ("less", "tzdata", "netbase", "bc", "lsof", "file", "tree")
"""A package more in each base that is made anew."""


@dataclass(frozen=True)
class Take:
    seconds: float
    moved: Moved


@dataclass
class Row:
    """A piece of work, and what each side that took part needed for it."""

    what: str
    goal: str
    takes: dict[str, list[Take]] = field(default_factory=dict)

    def seconds(self, side: str) -> float:
        return median(take.seconds for take in self.takes[side])

    def moved(self, side: str) -> Moved:
        """The medians of each."""
        found = [take.moved for take in self.takes[side]]
        return Moved(*(round(median(getattr(one, name) for one in found)) for name in ("up", "down", "fetched")))

    def runs(self) -> int:
        return max(map(len, self.takes.values()), default=0)


@dataclass
class BaseImage:
    """The base of both sides, made by this project's `debian` kind and pushed to the registry as base:v1."""

    folder: Path
    maker: Pipeline
    address: str
    number: int = 0
    more: str = ""

    def make(self) -> None:
        (self.folder / ".git").mkdir(parents=True, exist_ok=True)
        text = BASE.replace("ADDRESS", self.address).replace("SUITE", SUITE).replace("MORE", self.more)
        (self.folder / "base.yaml").write_text(text)
        (self.folder / "release").write_text(f"{self.number}\n")
        self.maker.call("run", "base.yaml", folder=self.folder)

    def update(self) -> None:
        """Moves the tag to an image of which a small layer is new."""
        self.number += 1
        self.make()

    def remake(self) -> None:
        """Moves the tag to an image that has a package more, and so nothing in common with the one before."""
        self.more = f", {REMADE[self.number % len(REMADE)]}"
        self.update()


@dataclass
class Contest:
    """All that the rows share. `runs` is how often long work is done, `short` how often what takes a second."""

    folder: Path
    registry: Registry
    sides: list[Side]
    base: BaseImage
    traffic: Traffic
    runs: int
    short: int

    def rows(self) -> Iterator[Row]:
        """Raises Failed when a command does."""
        self.base.make()
        projects = self._projects(1)
        yield from self._cold()
        everyday = [side for side in self.sides if side.name != COMPILED]
        yield self._each("one more pip package", "1 s", everyday, self.runs, lambda n, p: p.more(n), projects)
        yield self._each(
            "one line of the entry script", "0.22 s", everyday, self.short, lambda _n, p: p.edit(), projects
        )
        yield self._each("nothing to do", "0.17 s", everyday, self.short, lambda _n, _p: None, projects)
        yield self._rebased("new base digest, a small layer of it new", "1 s", self.sides, self.base.update)
        yield self._rebased("new base digest, all of it new", "1 s", everyday, self.base.remake)
        yield self._forgetful()
        yield from self._fifty([side for side in everyday if side.keeps])

    def _projects(self, services: int) -> dict[str, Inputs]:
        """A project for each side, with one lock, and the peers' pins from it."""
        template = Inputs(self.folder / f"project-{services}", self.registry.address, services)
        template.make()
        ours = self.base.maker
        ours.use(template)
        ours.aim("template")
        ours.call("lock", template.manifest.name)
        ours.call("lock", template.manifest.name, "--export", "requirements", "--layer", "science")
        template.pin(ours.said())
        found = {}
        for number, side in enumerate(self.sides):
            found[side.name] = inputs = template.copy(self.folder / f"side-{services}-{number}")
            side.furnish(inputs)
            side.use(inputs)
        return found

    def _cold(self) -> Iterator[Row]:
        row = Row("cold, nothing cached anywhere", "8 s")
        for number in range(self.runs):
            for place, side in enumerate(self.sides):
                side.aim(f"cold-{place}-{number}")
                side.empty()
                self._take(row, side, side.run)
        yield row

    def _each(
        self,
        what: str,
        goal: str,
        sides: list[Side],
        runs: int,
        change: Callable[[int, Inputs], None],
        projects: dict[str, Inputs],
    ) -> Row:
        row = Row(what, goal)
        for number in range(runs):
            for side in sides:
                change(number, projects[side.name])
                self._take(row, side, side.run)
        return row

    def _rebased(self, what: str, goal: str, sides: list[Side], change: Callable[[], None]) -> Row:
        row = Row(what, goal)
        for _ in range(self.runs):
            change()
            for side in sides:
                self._take(row, side, side.rebase)
        return row

    def _forgetful(self) -> Row:
        row = Row("cold store, package caches warm", "4 s")
        for number in range(self.runs):
            for place, side in enumerate(self.sides):
                if side.keeps and side.name != COMPILED:
                    side.aim(f"forgot-{place}-{number}")
                    side.forget()
                    self._take(row, side, side.run)
        return row

    def _fifty(self, sides: list[Side]) -> Iterator[Row]:
        projects = self._projects(SERVICES)
        for place, side in enumerate(self.sides):
            if side in sides:
                side.aim(f"fifty-{place}")
                side.run()
        yield self._each(
            f"{SERVICES} services, nothing to do", "0.6 s", sides, self.short, lambda _n, _p: None, projects
        )
        yield self._rebased(f"{SERVICES} services, new base", "3 s", sides, self.base.update)

    def _take(self, row: Row, side: Side, work: Callable[[], float]) -> None:
        moved: list[Moved] = []
        with self.traffic.of(moved):
            seconds = work()
        row.takes.setdefault(side.name, []).append(Take(seconds, moved[0]))
        print(f"  {row.what}: {side.name}: {seconds:.2f} s", file=sys.stderr, flush=True)
