"""Duties: called when they are due or woken, left alone for a while after a failure, and what is old is forgotten."""

from __future__ import annotations

import threading
from pathlib import Path

from pipeline.errors import OutOfReach
from pipeline.serve.database import Database
from pipeline.serve.duties import Rota
from pipeline.serve.keeping import DAY, Keeping
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.queue import Queue


class Bell:
    """A duty that is due each minute, and counts."""

    def __init__(self, name: str = "bell", every: float | None = 60.0) -> None:
        self.name, self.every, self.last = name, every, 0.0
        self.calls: list[float] = []
        self.error: Exception | None = None
        self.rung = threading.Event()

    def due(self, _now: float) -> float | None:
        return None if self.every is None else self.last + self.every

    def do(self, now: float) -> None:
        self.calls.append(now)
        self.rung.set()
        if self.error:
            raise self.error
        self.last = now


def test_a_duty_is_called_when_it_is_due() -> None:
    bell = Bell()
    rota = Rota([bell], lambda: 0.0)
    assert [rota.tick(now) for now in (59.0, 60.0, 61.0, 120.0)] == [0, 1, 0, 1]
    assert rota.next(130.0) == 50.0


def test_a_duty_that_has_no_time_is_called_when_it_is_woken() -> None:
    bell = Bell(every=None)
    rota = Rota([bell], lambda: 0.0)
    assert rota.tick(1e9) == 0
    rota.wake("bell")
    rota.wake("nobody")
    assert (rota.tick(5.0), rota.tick(5.0), bell.calls) == (1, 0, [5.0])


def test_a_failure_is_its_health_and_is_not_repeated_at_once() -> None:
    bell, other = Bell(), Bell("other")
    bell.error = OutOfReach("nobody answers", remedy="look")
    said: list[tuple[str, str]] = []
    rota = Rota([bell, other], lambda: 0.0, lambda name, what: said.append((name, what)))
    for now in (60.0, 60.5, 61.0, 62.0, 63.0):
        rota.tick(now)
    assert bell.calls == [60.0, 61.0, 63.0] and other.calls == [60.0]
    health = {one.name: one for one in rota.health()}
    assert (health["bell"].ok, health["bell"].error, health["other"].ok) == (False, "nobody answers (look)", True)
    assert said[0] == ("bell", "nobody answers (look)")
    bell.error = None
    rota.wake("bell")
    rota.tick(63.1)
    assert all(one.ok for one in rota.health())


def test_a_bug_of_a_duty_does_not_end_the_others() -> None:
    bell, other = Bell(), Bell("other")
    bell.error = KeyError("x")
    said: list[str] = []
    rota = Rota([bell, other], lambda: 0.0, lambda _name, what: said.append(what))
    assert rota.tick(60.0) == 2 and "Traceback" in said[0]
    assert rota.health()[0].error.startswith("bug: KeyError")


def test_threads_call_what_is_woken_and_end_when_they_are_told_to() -> None:
    bell = Bell(every=None)
    rota = Rota([bell], lambda: 0.0)
    rota.start()
    rota.wake("bell")
    assert bell.rung.wait(30)
    rota.stop(30.0)
    assert not [thread for thread in threading.enumerate() if thread.name == "duty bell"]


def test_old_jobs_and_their_logs_are_forgotten_once_a_day(tmp_path: Path) -> None:
    now = [100 * DAY]
    database = Database(tmp_path / "serve.db")
    queue = Queue(database, lambda: now[0])
    for _ in range(2):
        job = queue.add(Job(0, Tracked("models", "a.yaml"), "run", Reason("hand", "by hand")))
        queue.take()
        queue.end(job.id, "done", 0, {})
        now[0] += 40 * DAY
    logs = tmp_path / "jobs"
    logs.mkdir()
    for name in ("1.jsonl", "1.err", "2.jsonl", "9.jsonl"):
        (logs / name).write_text("")
    keeping = Keeping(database, queue, logs, 60.0)
    assert keeping.due(now[0]) is not None
    keeping.do(now[0])
    assert [job.id for job in queue.jobs(9)] == [2]
    assert [path.name for path in logs.iterdir()] == ["2.jsonl"]
    assert Keeping(database, queue, logs, 60.0).due(now[0]) == now[0] + DAY
