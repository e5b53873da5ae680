"""Looks at what is live: what drifted is seen, by policy mended, and nothing is asked more often than needed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.serve import drift
from pipeline.serve.book import Book
from pipeline.serve.database import Database
from pipeline.serve.looks import BATCH, EVERY, Kit, Looks, answers
from pipeline.serve.model import Entry, Job, Live, Reason, RepositoryStatus, Tracked
from pipeline.serve.queue import Queue
from pipeline.serve.settings import Policies, Repository

ONE = Tracked("models", "manifests/one.yaml")
LOOK = 600.0


class Checkouts:
    """A Git whose every commit has the same files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commits: list[str] = []

    @contextmanager
    def at(self, commit: str, _place: str) -> Iterator[Path]:
        self.commits.append(commit)
        yield self.folder


class Commands:
    """`pipeline status`, of targets as a test wants them: manifest → rows, or its error."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]] | str] = {}
        self.asked: list[list[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def ask(self, words: list[str], _environment: Mapping[str, str], _folder: Path) -> tuple[int, str, str]:
        assert words[0] == "status" and words[-2:] == ["--output", "json"]
        paths = words[1:-2]
        self.asked.append(paths)
        rows: list[dict[str, Any]] = []
        for path in paths:
            found = self.rows.get(path, [])
            if isinstance(found, str):
                if len(paths) == 1:
                    return 2, "", f"error: {found}\n"
                rows.append({"manifest": path, "error": found})
                continue
            rows += [{**({"manifest": path} if len(paths) > 1 else {}), **row} for row in found]
        self.meanwhile()
        return 0, json.dumps(rows), ""


def target(
    state: str = "running", revision: str = "r1", image: str = "sha256:" + "a" * 64, **more: Any
) -> dict[str, Any]:
    return {"service": "one-here", "target": "here", "kind": "local", "state": state, "revision": revision} | {
        "image": image,
        "address": "http://127.0.0.1:8890",
        "detail": "",
        "since": None,
        **more,
    }


class Bench:
    def __init__(self, folder: Path, manifests: int = 1, **policies: Any) -> None:
        self.now = 1_800_000_000.0
        database = Database(folder / "serve.db")
        self.book, self.queue = Book(database), Queue(database, lambda: self.now)
        self.commands, self.git = Commands(), Checkouts(folder / "checkout")
        names = ["one", *(f"m{number}" for number in range(1, manifests))]
        for name in names:
            self.put(f"manifests/{name}.yaml")
        self.book.put_repository(RepositoryStatus("models", "ok", "c9", "c9"))
        self.restart(**policies)

    def put(self, path: str, blob: str = "b1") -> None:
        file = self.git.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        self.book.put_entry(Entry(Tracked("models", path), Path(path).stem, blob))
        self.commands.rows.setdefault(path, [target()])

    def restart(self, **policies: Any) -> None:
        repository = Repository("models", "origin", policies=Policies(**{"look": LOOK, **policies}))
        gits: Any = {"models": self.git}
        commands: Any = self.commands
        self.looks = Looks(Kit({"models": repository}, gits, commands, self.book, self.queue, {}))

    def to(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            while (due := self.looks.due(self.now)) is not None and due <= self.now:
                self.looks.do(self.now)
            if self.now >= end:
                return
            self.now = min(end, max(due or end, self.now))

    def sees(self, *rows: dict[str, Any], seconds: float = LOOK) -> tuple[Live, ...]:
        self.commands.rows[ONE.path] = list(rows)
        self.to(seconds)
        return tuple(self.book.live(ONE))

    def ran(self, state: Any = "done", action: Any = "run", commit: str = "c9", told: Any = None) -> Job:
        """A job that was done by the server."""
        made = self.queue.add(Job(0, ONE, action, Reason("commit", "commit c9"), commit=commit))
        self.queue.take()
        job = self.queue.end(made.id, state, 0, told or {})
        self.looks.heard(job)
        return job

    def mends(self) -> list[Job]:
        return [job for job in self.queue.jobs(100)[::-1] if job.reason.cause == "drift"]

    def work(self, state: Any = "done") -> None:
        while job := self.queue.take():
            self.looks.heard(self.queue.end(job.id, state, 0, {}))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_what_is_live_is_kept(bench: Bench) -> None:
    bench.ran()
    (live,) = bench.sees(target(pinned="r1"))
    assert (live.target, live.state, live.revision, live.address) == ("here", "running", "r1", "http://127.0.0.1:8890")
    assert (live.pinned, live.drift) == ("r1", ())
    assert bench.git.commits[0] == "c9"


def test_the_end_of_a_job_is_looked_at_at_once(bench: Bench) -> None:
    bench.to(2 * LOOK)
    bench.commands.asked.clear()
    job = bench.ran()
    assert bench.looks.due(bench.now) == bench.now
    bench.to(1)
    assert bench.commands.asked == [[ONE.path]]
    assert not bench.looks.heard(replace(job, action="plan"))
    assert not bench.looks.heard(replace(job, state="running"))


def test_services_by_the_name_of_another_manifest_are_not_looked_at(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    bench.commands.asked.clear()
    bench.book.put_entry(Entry(ONE, "other", "b2", error="this manifest is called 'other', as other.yaml is"))
    bench.ran(state="failed")
    bench.to(2 * LOOK)
    assert bench.commands.asked == []


def test_nothing_is_kept_of_a_manifest_that_was_forgotten_meanwhile(bench: Bench) -> None:
    bench.commands.meanwhile = lambda: bench.book.forget_entry(ONE)
    assert bench.sees(target()) == ()


def test_it_is_looked_once_in_an_interval_after_a_restart_too(bench: Bench) -> None:
    bench.to(LOOK / 2)
    for _ in range(5):
        bench.restart()
        bench.to(LOOK / 20)
    assert len(bench.commands.asked) == 1
    bench.to(10 * LOOK)
    assert 10 <= len(bench.commands.asked) <= 12


def test_several_manifests_are_looked_at_with_one_command(tmp_path: Path) -> None:
    bench = Bench(tmp_path, manifests=120)
    bench.to(2 * LOOK)
    seen = {path for paths in bench.commands.asked for path in paths}
    assert len(seen) == 120
    assert max(len(paths) for paths in bench.commands.asked) == BATCH
    assert len(bench.commands.asked) == 3 * 3


def test_a_manifest_without_targets_is_not_asked_again_until_it_changes(bench: Bench) -> None:
    bench.sees()
    assert len(bench.commands.asked) == 1
    bench.to(5 * LOOK)
    bench.restart()
    bench.to(5 * LOOK)
    assert len(bench.commands.asked) == 1
    bench.put(ONE.path, "b2")
    bench.to(EVERY + LOOK)
    assert len(bench.commands.asked) == 2


@pytest.mark.parametrize("state", drift.DOWN)
def test_by_default_what_is_down_is_only_reported(bench: Bench, state: str) -> None:
    bench.ran()
    bench.sees(target())
    (live,) = bench.sees(target(state, detail="it was killed by signal 9"))
    assert (live.state, live.detail) == (state, "it was killed by signal 9")
    assert bench.mends() == []


def test_what_others_changed_is_drift(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    (live,) = bench.sees(target(revision="r2", image="sha256:" + "b" * 64))
    assert live.drift == ("image: bbbbbbbbbbbb → aaaaaaaaaaaa, by somebody else",)
    (live,) = bench.sees(target(revision="r3"))
    assert live.drift == ("revision: r3 → r1, by somebody else",)
    (live,) = bench.sees(target())
    assert live.drift == ()
    (live,) = bench.sees(target(drift=[{"field": "replicas", "text": "replicas: 5 → 2 (set by kubectl)"}]))
    assert live.drift == ("replicas: 5 → 2 (set by kubectl)",)


def test_what_the_server_changes_itself_is_no_drift(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    bench.ran()
    (live,) = bench.sees(target(revision="r2"))
    assert live.drift == ()
    bench.ran(action="rollback")
    (live,) = bench.sees(target(pinned="r1"))
    assert live.drift == ()


def test_by_policy_it_is_mended_by_a_run_of_what_ran_well_last(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drift="mend")
    bench.ran(commit="c7")
    bench.ran("failed", commit="c8")
    bench.sees(target())
    bench.sees(target("failed", detail="it was killed by signal 9"))
    (job,) = bench.mends()
    assert (job.action, job.commit) == ("run", "c7")
    assert job.reason.text == "drift: here is failed: it was killed by signal 9"
    bench.work()
    bench.sees(target())
    bench.sees(target(revision="r2"))
    assert bench.mends()[1].reason.text == "drift: here: revision: r2 → r1, by somebody else"


def test_what_was_applied_by_a_rebuild_is_mended_at_its_commit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drift="mend")
    bench.ran(commit="c7")
    bench.ran(action="rebuild", commit="", told={"policy": "propose"})
    bench.ran(action="rebuild", commit="", told={"policy": "apply", "commit": "c8"})
    bench.sees(target())
    bench.sees(target("stopped"))
    assert [job.commit for job in bench.mends()] == ["c8"]


def test_mending_in_vain_waits_longer_each_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drift="mend")
    bench.ran()
    bench.sees(target())
    bench.commands.rows[ONE.path] = [target("failed")]
    for _ in range(7 * 24 * 6):
        bench.to(LOOK)
        bench.work("failed")
    times = [job.created for job in bench.mends()]
    waits = [second - first for first, second in itertools.pairwise(times)]
    assert waits[:3] == sorted(waits[:3]) and waits[0] < waits[2]
    assert max(waits) < drift.MOST + 2 * LOOK
    assert 10 < len(times) < 20
    # Once it was well, it is mended at once again.
    bench.sees(target())
    before = len(bench.mends())
    bench.sees(target("failed"))
    assert len(bench.mends()) == before + 1


@pytest.mark.parametrize("row", [target("stopped", pinned="r1"), target(revision="r2", pinned="r2")])
def test_a_pin_is_respected(tmp_path: Path, row: dict[str, Any]) -> None:
    bench = Bench(tmp_path, drift="mend")
    bench.ran()
    bench.sees(target())
    (live,) = bench.sees(row)
    assert live.pinned and bench.mends() == []


def test_what_never_ran_well_is_not_mended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, drift="mend")
    bench.ran("failed")
    bench.sees(target("absent"))
    bench.sees(target("absent"))
    assert bench.mends() == []


@pytest.mark.parametrize("state, mended", [("waiting", []), ("approval", ["c9"])])
def test_what_waits_already_is_not_replaced_by_mending(tmp_path: Path, state: Any, mended: list[str]) -> None:
    """A word that nobody has said yet keeps no service down."""
    bench = Bench(tmp_path, drift="mend")
    bench.ran()
    bench.sees(target())
    job = bench.queue.add(Job(0, ONE, "run", Reason("commit", "commit c10"), state=state, commit="c10"))
    bench.sees(target("failed"))
    assert [one.commit for one in bench.mends()] == mended
    now = bench.queue.job(job.id)
    assert now and now.state == state


def test_nothing_is_looked_at_while_a_job_runs(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    asked = len(bench.commands.asked)
    made = bench.queue.add(Job(0, ONE, "run", Reason("commit", "commit c10"), commit="c10"))
    bench.queue.take()
    bench.to(10 * LOOK)
    assert len(bench.commands.asked) == asked
    bench.looks.heard(bench.queue.end(made.id, "done", 0, {}))
    bench.to(1)
    assert len(bench.commands.asked) == asked + 1


def test_what_was_seen_while_a_job_came_between_does_not_count(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    bench.commands.meanwhile = lambda: (bench.ran(), setattr(bench.commands, "meanwhile", lambda: None))
    asked = len(bench.commands.asked)
    (live,) = bench.sees(target(revision="r2"))
    assert (live.drift, len(bench.commands.asked)) == ((), asked + 2)
    # It was looked at once more, after the job: that is how it was left.
    (live,) = bench.sees(target())
    assert live.drift == ("revision: r1 → r2, by somebody else",)


def test_what_cannot_be_asked_is_unknown_and_keeps_what_was_known(bench: Bench) -> None:
    bench.ran()
    bench.sees(target())
    bench.commands.rows[ONE.path] = "manifests/one.yaml:3: wrong"
    bench.to(LOOK)
    (live,) = bench.book.live(ONE)
    assert (live.state, live.revision, live.detail) == ("unknown", "r1", "manifests/one.yaml:3: wrong")


def test_one_that_cannot_be_asked_does_not_keep_the_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path, manifests=3)
    bench.to(2 * LOOK)
    bench.commands.rows["manifests/m1.yaml"] = "manifests/m1.yaml:3: wrong\nremedy"
    bench.to(2 * LOOK)
    assert [(one.manifest.path, one.state, one.detail) for one in bench.book.live()] == [
        ("manifests/m1.yaml", "unknown", "manifests/m1.yaml:3: wrong"),
        ("manifests/m2.yaml", "running", ""),
        ("manifests/one.yaml", "running", ""),
    ]


def test_a_manifest_that_is_gone_is_left_alone(bench: Bench) -> None:
    bench.to(LOOK / 2)
    bench.book.put_entry(Entry(ONE, "one", "b1", gone=True, commit="c9"))
    bench.commands.asked.clear()
    bench.to(5 * LOOK)
    assert bench.commands.asked == []


def test_no_interval_means_only_after_jobs(tmp_path: Path) -> None:
    bench = Bench(tmp_path, look=0.0)
    bench.to(3600)
    assert bench.commands.asked == []
    bench.ran()
    bench.to(3600)
    assert len(bench.commands.asked) == 1


def test_what_the_command_says_of_one_and_of_several() -> None:
    row = target()
    assert answers(["a.yaml"], 0, json.dumps([row]), "") == {"a.yaml": [row]}
    assert answers(["a.yaml"], 4, "", "error: it does not answer\n  start it\n") == {"a.yaml": "it does not answer"}
    several = json.dumps([{"manifest": "a.yaml", **row}, {"manifest": "b.yaml", "error": "wrong"}])
    assert answers(["a.yaml", "b.yaml", "c.yaml"], 2, several, "") == {
        "a.yaml": [{"manifest": "a.yaml", **row}],
        "b.yaml": "wrong",
        "c.yaml": [],
    }
