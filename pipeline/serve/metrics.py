"""The server's metrics (Prometheus): what ended is counted as it ends, the rest is looked up when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

from pipeline import __version__
from pipeline.noun import noun
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.model import OPEN, Action, Cause, Job, RepositoryState
from pipeline.serve.moves import Moves
from pipeline.serve.settings import Settings

_MINUTES = (0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 10800.0)
_NO_COUNTS: Mapping[str, int] = {}
_USUAL: Mapping[Action, tuple[Cause, ...]] = {
    "run": ("commit", "drift", "hand"),
    "plan": ("commit", "hand", "pull-request"),
    "rebuild": ("base", "hand", "packages", "schedule"),
    "rollback": ("hand",),
    "lift": ("hand",),
    "stop": ("prune",),
}
_HOOKS = (
    *("accepted", "nothing", "unsigned", "signature", "time", "malformed", "unknown", "rate", "large", "broken off"),
)
"""What is counted from 0 on: of a series that begins with 1, Prometheus sees no growth."""


@noun
class Health:
    """How a duty is: its name, whether it did well when it was called last, when that was (Unix time in seconds, 0 for
    not yet), what went wrong, and the exit code that a command would have for it.
    """

    name: str
    ok: bool
    at: float = 0.0
    error: str = ""
    exit_code: int = 0


class Metrics:
    """`heard` is told of each job that changed, `hook` of each webhook, `note` of each note; for all threads.

    `counts` is what a job's run did with its steps, by outcome (hits, made, failed, skipped).
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        health: Callable[[], Sequence[Health]],
        now: Callable[[], float],
        counts: Callable[[Job], Mapping[str, int]] = lambda _job: _NO_COUNTS,
    ) -> None:
        from prometheus_client import (
            CollectorRegistry,
            Info,
            ProcessCollector,
            disable_created_metrics,
        )

        # When each series began is of no use, and as many lines again.
        disable_created_metrics()  # type: ignore[no-untyped-call]

        self._settings, self._database, self._health, self._now = settings, database, health, now
        self._book, self._counts = Book(database), counts
        registry = self._registry = CollectorRegistry()
        self._moves = Moves()
        self._count(registry)
        self._begin()
        registry.register(_Collector(self._gauges))
        Info("pipeline_build", "The server's version.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=registry)

    def _count(self, registry: Any) -> None:
        """What is counted as it happens."""
        from prometheus_client import Counter, Histogram

        self._jobs = Counter("pipeline_jobs", "Jobs that ended.", ["action", "state", "cause"], registry=registry)
        self._took = Histogram(
            "pipeline_job_duration_seconds", "How long jobs took.", ["action", "state"], buckets=_MINUTES,
            registry=registry,
        )  # fmt: skip
        self._waited = Histogram(
            "pipeline_job_wait_seconds", "From asking for a job to its beginning.", ["action"], buckets=_MINUTES,
            registry=registry,
        )  # fmt: skip
        self._steps = Counter("pipeline_run_steps", "Steps of runs, by how they ended.", ["outcome"], registry=registry)
        self._hooks = Counter("pipeline_webhooks", "Webhooks, by what became of them.", ["result"], registry=registry)
        self._notes = Counter(
            "pipeline_notes", "Statuses, comments and messages, by what became of them.", ["kind", "result"],
            registry=registry,
        )  # fmt: skip

    def _begin(self) -> None:
        for action, causes in _USUAL.items():
            for state, cause in product(("done", "failed"), causes):
                self._jobs.labels(action, state, cause)
        for result in _HOOKS:
            self._hooks.labels(result)
        for outcome in ("made", "hits", "failed", "skipped"):
            self._steps.labels(outcome)
        for kind, result in product(("status", "comment", "message"), ("delivered", "failed", "given up")):
            self._notes.labels(kind, result)

    def heard(self, job: Job) -> None:
        """To be told of a job that changed."""
        action = job.action
        if not self._moves.is_new(job):
            return
        if job.state == "running" and job.attempt == 1:
            self._waited.labels(action).observe(max(0.0, job.started - job.created))
        if job.state in OPEN:
            return
        self._jobs.labels(action, job.state, job.reason.cause).inc()
        if job.started and job.ended:
            self._took.labels(action, job.state).observe(max(0.0, job.ended - job.started))
            for outcome, count in self._counts(job).items():
                self._steps.labels(outcome).inc(count)

    def hook(self, result: str) -> None:
        """A webhook: `accepted`, `nothing` (it asks for nothing), or why it was refused."""
        self._hooks.labels(result).inc()

    def note(self, kind: str, result: str) -> None:
        """A status, comment or message: `delivered`, `failed` (to be tried again), or `given up`."""
        self._notes.labels(kind, result).inc()

    def told(self) -> tuple[bytes, str]:
        """All metrics, and their content type (Prometheus text format 0.0.4)."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    # -- what is looked up --------------------------------------------------------------------------------------

    def _gauges(self) -> Iterator[Any]:
        """(name, what it is, its labels' names, [(labels, value)])."""
        yield from self._of_queue()
        yield from self._of_repositories()
        yield from self._of_targets()
        health = self._health()
        yield "pipeline_duty_up", "Whether a duty did well last.", ("duty",), [((h.name,), h.ok) for h in health]
        at = [((h.name,), h.at) for h in health if h.at]
        yield "pipeline_duty_last_timestamp_seconds", "When a duty was called last.", ("duty",), at
        waiting = self._database.execute("SELECT kind, count(*) FROM notes GROUP BY kind")
        yield "pipeline_notes_waiting", "Notes to be delivered.", ("kind",), [((kind,), n) for kind, n in waiting]

    def _of_queue(self) -> Iterator[Any]:
        states = ", ".join(f"'{state}'" for state in OPEN)
        rows = self._database.execute(
            f"SELECT state, count(*), min(created) FROM jobs WHERE state IN ({states}) GROUP BY state"
        )
        held = {state: (count, created) for state, count, created in rows}
        counts = [((state,), held.get(state, (0, 0))[0]) for state in OPEN]
        yield "pipeline_queue_jobs", "Jobs that wait or run.", ("state",), counts
        oldest = self._now() - held["waiting"][1] if "waiting" in held else 0.0
        yield "pipeline_queue_oldest_seconds", "How long the oldest waits for its turn.", (), [((), max(0.0, oldest))]

    def _of_repositories(self) -> Iterator[Any]:
        names = list(self._settings.repositories)
        found = [self._book.repository(name) for name in names]
        states = [((one.name, state), one.state == state) for one in found for state in get_args(RepositoryState)]
        yield "pipeline_repository_state", "1 for the state that it is in.", ("repository", "state"), states
        checked = [((one.name,), one.checked) for one in found if one.checked]
        yield "pipeline_repository_checked_timestamp_seconds", "When it was asked last.", ("repository",), checked
        query = (
            "SELECT substr(id, 1, instr(id, '/') - 1), sum(gone = 0), sum(gone = 0 AND error != '') "
            "FROM manifests GROUP BY 1"
        )
        rows = self._database.execute(query)
        yield "pipeline_manifests", "Manifests.", ("repository",), [((name,), n) for name, n, _ in rows]
        broken = [((name,), n) for name, _, n in rows]
        yield "pipeline_manifests_broken", "Manifests that cannot be read.", ("repository",), broken

    def _of_targets(self) -> Iterator[Any]:
        states: dict[str, int] = {}
        drifted = pinned = 0
        for one in self._book.live():
            states[one.state] = states.get(one.state, 0) + 1
            drifted, pinned = drifted + bool(one.drift), pinned + bool(one.pinned)
        yield "pipeline_targets", "Targets, as seen last.", ("state",), [((s,), n) for s, n in sorted(states.items())]
        yield "pipeline_targets_drifted", "Targets that others changed.", (), [((), drifted)]
        yield "pipeline_targets_pinned", "Targets that runs leave as they are.", (), [((), pinned)]


class _Collector:
    """What prometheus_client asks at each scrape."""

    def __init__(self, gauges: Callable[[], Iterable[Any]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        for name, words, labels, values in self._gauges():
            family = GaugeMetricFamily(name, words, labels=labels)
            for held, value in values:
                family.add_metric(held, float(value))
            yield family

    def describe(self) -> tuple[Any, ...]:
        # Else it is asked at once, before the server is there.
        return ()


__all__ = ["Health", "Metrics"]
