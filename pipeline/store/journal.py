"""The run journal: what each run was asked, did, and came to, in the store's SQLite file; its words are in `logs`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.noun import noun
from pipeline.store.database import Database

if TYPE_CHECKING:
    from pipeline.store.journal_logs import RunLog

KEPT = 1000
"""Runs that the journal keeps; older ones are forgotten as new ones begin."""

RUNNING, KILLED = "running", "killed"


@noun
class Asked:
    """What a run was started for: the manifest's path and name, the command, and who says so (CI), if anybody.

    `process` identifies the process over all boots of `host` (`pipeline.engine.owner`).
    """

    manifest: str
    name: str
    command: str
    trigger: str
    host: str
    pid: int
    process: str


@noun
class Counts:
    """How many steps there are in all, how they ended, and the bytes that are new in the store."""

    steps: int = 0
    hits: int = 0
    made: int = 0
    failed: int = 0
    skipped: int = 0
    size: int = 0


@noun
class Run:
    """A run; times are Unix times in seconds, `ended` None while it goes on. `outcome`: running, done, nothing to do,
    failed, interrupted, killed, or bug. `continues` is the killed run whose work it took up.
    """

    id: int
    asked: Asked
    started: float
    ended: float | None
    outcome: str
    counts: Counts
    error: str = ""
    continues: int | None = None


@noun
class Attempt:
    """A try that failed for a passing reason, and the pause after it in seconds."""

    attempt: int
    ended: float
    wait: float
    error: str


@noun
class RunStep:
    """What a run did for a step; those that were hits from the start are counted, not listed.

    `output` is the record that the step's key made.
    """

    step: str
    started: float
    ended: float | None = None
    outcome: str = RUNNING
    key: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    output: Any = None
    title: str = ""
    size: int = 0
    why: str = ""
    error: str = ""
    attempts: tuple[Attempt, ...] = ()


_RUN = "manifest, name, command, trigger, host, pid, process, continues, started, ended, outcome, steps, hits, made, "
_RUN += "failed, skipped, size, error"


_STEP = ("ended", "outcome", "key", "inputs", "output", "title", "size", "why", "error")


class Journal:
    """Reads and writes the runs of one store. Raises StoreError when the database cannot be used."""

    def __init__(self, database: Database, logs: Path, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._logs = logs
        self.now = now

    # -- writing ------------------------------------------------------------------------------------------------

    def begin(self, run: Run) -> int:
        """Notes that a run has begun, or all of one that is over already; its number."""
        values, counts = _values(run.asked), _values(run.counts)
        places = ", ".join("?" * (len(values) + len(counts) + 5))
        found = self._database.execute(
            f"INSERT INTO runs ({_RUN}) VALUES ({places}) RETURNING id",
            *(*values, run.continues, run.started, run.ended, run.outcome, *counts, run.error),
        )
        return int(found[0][0])

    def end(self, id_: int, outcome: str, counts: Counts, error: str) -> None:
        """Notes how a run ended; steps that were under way end with it."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE runs SET ended = ?, outcome = ?, steps = ?, hits = ?, made = ?, failed = ?, skipped = ?,"
                " size = ?, error = ? WHERE id = ?",
                *(self.now(), outcome, *_values(counts), error, id_),
            )
            self._close_steps(id_, outcome)

    def planned(self, id_: int, steps: int, hits: int) -> None:
        self._database.execute("UPDATE runs SET steps = ?, hits = ? WHERE id = ?", steps, hits, id_)

    def step(self, id_: int, step: RunStep) -> None:
        """Notes a step as it is now: under way, or ended. Its row stays the one that its beginning got."""
        self._database.execute(
            "INSERT INTO run_steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, step) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in _STEP),
            *(id_, step.step, step.started, step.ended, step.outcome, step.key, json.dumps(dict(step.inputs))),
            *(json.dumps(step.output), step.title, step.size, step.why, step.error),
        )

    def output(self, key: str) -> Any:
        """The record that a key made, None for none."""
        return self._database.record(key) if key else None

    def attempt(self, id_: int, step: str, attempt: Attempt) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO run_attempts VALUES (?, ?, ?, ?, ?, ?)",
            *(id_, step, attempt.attempt, attempt.ended, attempt.wait, attempt.error),
        )

    def bury(self, is_gone: Callable[[Asked], bool]) -> list[Run]:
        """Marks as killed the runs without an end whose process is gone: those that nobody else has marked, the newest
        first. A killed run ended, as far as is known, when something of it was noted last.
        """
        found = []
        for run in self._runs("WHERE ended IS NULL ORDER BY id DESC"):
            if not is_gone(run.asked):
                continue
            with self._database.transaction():
                marked = self._database.execute(
                    "UPDATE runs SET outcome = ?, ended = ?, made = ? WHERE id = ? AND ended IS NULL RETURNING id",
                    *(KILLED, self._last_sign(run), self._count(run.id, "made"), run.id),
                )
                self._close_steps(run.id, KILLED)
            found += [self.run(run.id)] if marked else []
        return [run for run in found if run]

    def prune(self, keep: int = KEPT) -> None:
        """Forgets all but the newest runs."""
        newest = self._database.execute("SELECT max(id) FROM runs")[0][0] or 0
        with self._database.transaction():
            self._database.execute("DELETE FROM runs WHERE id <= ? AND ended IS NOT NULL", newest - keep)
            self._database.execute("DELETE FROM run_steps WHERE run <= ?", newest - keep)
            self._database.execute("DELETE FROM run_attempts WHERE run <= ?", newest - keep)

    def log(self, id_: int) -> RunLog:
        """Where the words of a run go, and are."""
        from pipeline.store.journal_logs import RunLog

        return RunLog(self._logs, id_)

    # -- reading ------------------------------------------------------------------------------------------------

    def runs(self, most: int, manifest: str = "") -> list[Run]:
        """The newest runs, of one manifest (its path, or its name) or of all; the newest first."""
        return self._runs("WHERE ? IN ('', manifest, name) ORDER BY id DESC LIMIT ?", manifest, most)

    def run(self, id_: int) -> Run | None:
        found = self._runs("WHERE id = ?", id_)
        return found[0] if found else None

    def steps(self, id_: int) -> list[RunStep]:
        """What a run did, in the order of its beginnings, whatever a clock said then."""
        attempts: dict[str, list[Attempt]] = {}
        for row in self._database.execute("SELECT * FROM run_attempts WHERE run = ? ORDER BY attempt", id_):
            attempts.setdefault(row[1], []).append(Attempt(*row[2:]))
        rows = self._database.execute("SELECT * FROM run_steps WHERE run = ? ORDER BY rowid", id_)
        return [_step(row, tuple(attempts.get(row[1], ()))) for row in rows]

    # -- within -------------------------------------------------------------------------------------------------

    def _runs(self, where: str, *values: Any) -> list[Run]:
        rows = self._database.execute(f"SELECT id, {_RUN} FROM runs {where}", *values)
        return [
            Run(row[0], Asked(*row[1:8]), row[9], row[10], row[11], Counts(*row[12:18]), row[18], row[8])
            for row in rows
        ]

    def _count(self, id_: int, outcome: str) -> int:
        query = "SELECT count(*) FROM run_steps WHERE run = ? AND outcome = ?"
        return int(self._database.execute(query, id_, outcome)[0][0])

    def _last_sign(self, run: Run) -> float:
        query = "SELECT max(max(started, coalesce(ended, 0))) FROM run_steps WHERE run = ?"
        noted = self._database.execute(query, run.id)[0][0] or 0.0
        return max(run.started, float(noted), self.log(run.id).written_last())

    def _close_steps(self, id_: int, outcome: str) -> None:
        self._database.execute(
            "UPDATE run_steps SET ended = ?, outcome = ? WHERE run = ? AND ended IS NULL", self.now(), outcome, id_
        )


def _step(row: Sequence[Any], attempts: tuple[Attempt, ...]) -> RunStep:
    _, step, started, ended, outcome, key, inputs, output, title, size, why, error = row
    kept = _read(inputs) or {}, _read(output)
    return RunStep(step, started, ended, outcome, key, *kept, title, size, why, error, attempts)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # A disk has altered it.
        return None


def _values(value: Asked | Counts) -> list[Any]:
    return [getattr(value, name) for name in value.__dataclass_fields__]


__all__ = ["KILLED", "RUNNING", "Asked", "Attempt", "Counts", "Journal", "Run", "RunStep"]
