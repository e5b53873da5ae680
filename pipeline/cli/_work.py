"""Opens a manifest for a command, and shows its run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli._shell import Shell
from pipeline.errors import UsageError
from pipeline.events import Event, Reporter, RunEnded, StepEnded
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.lock.model import Lock
    from pipeline.plan.model import Plan, StepKind
    from pipeline.reporters import Show
    from pipeline.stages.bench import Bench
    from pipeline.stages.resolve import Resolution


@noun
class Wanted:
    """What the user asked for, in words of the project."""

    manifest: Path
    sets: Mapping[str, str] = field(default_factory=dict)
    images: Sequence[str] = ()
    frozen: bool = False
    upgrade: Sequence[str] = ()
    command: str = "run"
    fail_fast: bool = False

    @property
    def words(self) -> str:
        """The command as the journal keeps it: values that were set may be secrets."""
        words = [self.command, *(f"--image {name}" for name in self.images)]
        words += [f"--upgrade {name}" for name in self.upgrade] + [f"--set {name}=…" for name in self.sets]
        return " ".join([*words, *(["--frozen"] if self.frozen else []), *(["--fail-fast"] if self.fail_fast else [])])


@dataclass
class Door:
    """What events pass on their way out: one at a time, masked, and with the time of the whole command.

    `live` gathers the name and the address of each target that is up, `deployed` of those rolled out just now.
    """

    shell: Shell
    show: Show
    live: list[tuple[str, str]] = field(default_factory=list)
    deployed: list[tuple[str, str]] = field(default_factory=list)
    ended: bool = False
    record: Reporter = lambda _event: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._pass(event)

    def _pass(self, event: Event) -> None:
        if isinstance(event, RunEnded):
            self.ended = True
            event = RunEnded(replace(event.report, seconds=self.shell.clock() - self.shell.started))
        if isinstance(event, StepEnded):
            if event.outcome == "failed":
                self.shell.shown.add(event.error)
            elif event.outcome in ("made", "hit") and event.kind == "target":
                place = (event.name, event.title.split()[0] if event.title.startswith("http") else "")
                self.live.append(place)
                self.deployed += [place] if event.outcome == "made" else []
        event = self.shell.masks.value(event)
        self.record(event)
        self.show(event)


def show_for(shell: Shell) -> Show:
    """The reporter that suits the output: JSON lines, a live terminal, or plain lines."""
    if shell.json:
        from pipeline.reporters.json_lines import JsonLines

        return JsonLines(shell.line, ascii_only=shell.ascii_only)
    if shell.live and not shell.verbose:
        from pipeline.reporters.live import Live

        err = None if shell.err.isatty() else shell.error_line
        return Live(shell.out, shell.line, err, ascii_only=shell.ascii_only, clock=shell.clock)
    from pipeline.reporters.plain import Plain

    return Plain(shell.line, shell.error_line, verbose=shell.verbose)


def opened(shell: Shell, wanted: Wanted, report: Reporter | None = None) -> Bench:
    """The manifest, loaded and open for work; its secrets are masked from here on."""
    from pipeline.run import open_bench

    # Asked first, for its error is clear.
    _ = shell.home
    bench = open_bench(wanted.manifest, shell.environ, wanted.sets, report)
    shell.masks.add(bench.manifest.secrets)
    for image in wanted.images:
        known(image, bench.manifest.images, "image", wanted.manifest.name)
    return bench


def known(name: str, names: Iterable[str], noun: str, manifest: str) -> None:
    """Raises UsageError, with the nearest name, when the manifest of this file name has no such entry."""
    names = list(names)
    if name not in names:
        from pipeline.manifest.words import suggestion

        raise UsageError(f"{manifest} has no {noun} '{name}'", remedy=suggestion(name, names, "there are"))


def performed(
    shell: Shell,
    wanted: Wanted,
    kinds: Iterable[StepKind],
    after: Callable[[Plan, Door], None] = lambda _plan, _door: None,
    ready: Callable[[Bench, Reporter], Plan] | None = None,
) -> None:
    """Resolves, plans and performs the steps of these kinds, and shows it; `after` is called when all is well.

    `ready` gives the plan in place of a new one.
    """
    from pipeline.run import perform
    from pipeline.stages.recording import Recorder, asked, journal_of

    with closing(show_for(shell)) as show:
        door = Door(shell, show)
        bench = opened(shell, wanted, door)
        manifest = bench.manifest
        show.fit([*manifest.bases, *manifest.layers, *manifest.images, *manifest.targets])
        one = asked(wanted.manifest.absolute(), manifest.name, wanted.words, shell.environ)
        journal, passed = journal_of(bench.store, bench.home), shell.clock() - shell.started
        try:
            with Recorder(journal, one, door, shell.masks.text, passed, bench.sweep) as recorder:
                door.record = recorder
                plan = ready(bench, door) if ready else _prepared(bench, door, wanted, kinds)
                recorder.plan = plan
                show.fit(step.name for step in plan.steps)
                perform(bench, plan, door, kinds, fail_fast=wanted.fail_fast)
        except (KeyboardInterrupt, SystemExit):
            # Ctrl-C, SIGTERM. The run's last line says so, and how far it came.
            shell.told_interruption = door.ended
            raise
        finally:
            bench.halt.set()
    after(plan, door)


def _prepared(bench: Bench, door: Door, wanted: Wanted, kinds: Iterable[StepKind]) -> Plan:
    from pipeline.run import prepare

    only = wanted.images or None
    return prepare(bench, door, frozen=wanted.frozen, only=only, upgrade=wanted.upgrade, kinds=tuple(kinds))


@dataclass
class Proposal:
    """A plan with what it was made from: the project, the lock on disk, and the resolution, whose lock may say more."""

    bench: Bench
    lock: Lock
    resolution: Resolution
    plan: Plan


def planned(shell: Shell, wanted: Wanted) -> Plan:
    """The plan of a run; nothing is written, the lock neither. Progress goes to standard error when asked for."""
    return proposed(shell, wanted).plan


def proposed(shell: Shell, wanted: Wanted) -> Proposal:
    """The plan of a run, and what it was made from; nothing is written."""
    from pipeline.events import Followed, StepSaid, Warned
    from pipeline.run import plan_of
    from pipeline.stages.locks import read_lock
    from pipeline.stages.resolve import resolve

    def report(event: Event) -> None:
        if isinstance(event, Followed):
            shell.error_line(event.text)
        if isinstance(event, Warned):
            shell.error_line(f"warning: {event.text}")
        if shell.verbose and isinstance(event, StepSaid):
            shell.error_line(event.text)

    bench = opened(shell, wanted, report)
    bench.looks_only = True
    lock = read_lock(bench)
    resolution = resolve(bench, lock, frozen=wanted.frozen, only=wanted.images or None)
    return Proposal(bench, lock, resolution, plan_of(bench, resolution))
