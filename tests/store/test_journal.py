"""The run journal: what was noted is told, killed runs are found, and it does not grow without end."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.store.database import Database
from pipeline.store.journal import Asked, Attempt, Counts, Journal, Run, RunStep
from pipeline.store.journal_logs import RunLog, prune

ASKED = Asked("/p/prod.yaml", "shop", "run", "CI", "here", 7, "boot/ns/7/1")
BEGUN = Run(0, ASKED, 100.0, None, "running", Counts())


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Database(tmp_path / "store.db"), tmp_path / "runs", now=lambda: 200.0)


def everybody(_asked: Asked) -> bool:
    return True


def test_what_a_run_did_is_told_again(journal: Journal) -> None:
    id_ = journal.begin(BEGUN)
    step = RunStep("layer a", 101.0, key="k", inputs={"packer": "1"})
    journal.step(id_, step)
    journal.attempt(id_, "layer a", Attempt(1, 102.0, 0.5, "busy"))
    made = replace(step, ended=103.0, outcome="made", output={"layers": ["ü"]}, title="t", size=5, why="first time")
    journal.step(id_, made)
    journal.end(id_, "done", Counts(steps=1, made=1, size=5), "")
    assert journal.run(id_) == Run(id_, ASKED, 100.0, 200.0, "done", Counts(steps=1, made=1, size=5))
    assert journal.steps(id_) == [replace(made, attempts=(Attempt(1, 102.0, 0.5, "busy"),))]


def test_runs_come_newest_first_and_of_one_manifest(journal: Journal) -> None:
    other = replace(BEGUN, asked=replace(ASKED, manifest="/p/test.yaml", name="test"))
    ids = [journal.begin(one) for one in (BEGUN, other, BEGUN)]
    assert [run.id for run in journal.runs(10)] == ids[::-1]
    assert [run.id for run in journal.runs(1)] == ids[2:]
    assert (
        [run.id for run in journal.runs(10, "test")] == [run.id for run in journal.runs(10, "/p/test.yaml")] == [ids[1]]
    )
    assert journal.run(99) is None


def test_a_killed_run_is_found_once_and_what_was_under_way_ends_with_it(journal: Journal) -> None:
    id_ = journal.begin(BEGUN)
    journal.planned(id_, 4, 1)
    journal.step(id_, RunStep("base a", 110.0, 120.0, "made"))
    journal.step(id_, RunStep("layer b", 130.0))
    assert journal.bury(lambda asked: asked.pid != 7) == []
    assert journal.runs(1)[0].outcome == "running"
    (killed,) = journal.bury(everybody)
    assert (killed.outcome, killed.ended, killed.counts) == ("killed", 130.0, Counts(steps=4, hits=1, made=1))
    assert [step.outcome for step in journal.steps(id_)] == ["made", "killed"]
    assert journal.bury(everybody) == []


def test_a_run_that_has_ended_is_not_killed(journal: Journal) -> None:
    id_ = journal.begin(BEGUN)
    journal.end(id_, "failed", Counts(), "no")
    journal.begin(replace(BEGUN, ended=101.0, outcome="nothing to do"))
    assert journal.bury(everybody) == []
    assert [run.outcome for run in journal.runs(5)] == ["nothing to do", "failed"]


def test_the_oldest_runs_are_forgotten(journal: Journal) -> None:
    ids = [journal.begin(replace(BEGUN, ended=101.0, outcome="done")) for _ in range(5)]
    for id_ in ids:
        journal.step(id_, RunStep("layer a", 1.0))
        journal.attempt(id_, "layer a", Attempt(1, 1.0, 1.0, "busy"))
    journal.prune(keep=2)
    assert [run.id for run in journal.runs(10)] == [ids[4], ids[3]]
    assert [len(journal.steps(id_)) for id_ in ids] == [0, 0, 0, 1, 1]


def test_a_database_of_version_2_gets_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    Database(path).keep("key", {"made": 1}, "step", {"a": "1"})
    with sqlite3.connect(path) as old:
        for table in ("runs", "run_steps", "run_attempts"):
            old.execute(f"DROP TABLE {table}")
        old.execute("CREATE TABLE journal (id INTEGER PRIMARY KEY, at REAL, run TEXT, event TEXT)")
        old.execute("PRAGMA user_version=2")
    database = Database(path)
    assert database.record("key") == {"made": 1}
    assert Journal(database, tmp_path).begin(BEGUN) == 1
    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'journal'") == []


# -- logs -----------------------------------------------------------------------------------------------------------


def test_a_log_tells_who_said_what_and_when(tmp_path: Path) -> None:
    log = RunLog(tmp_path / "runs", 3)
    assert list(log.lines()) == []
    log.write(1.25, "layer a", "one\ntwo\tthree")
    log.write(2.0, "", "four \udcff")
    # Before it is closed: as after a kill.
    told = [(line.at, line.step, line.text) for line in RunLog(tmp_path / "runs", 3).lines()]
    assert told == [
        ("1970-01-01T00:00:01.250Z", "layer a", "one"),
        ("1970-01-01T00:00:01.250Z", "layer a", "two\tthree"),
        ("1970-01-01T00:00:02.000Z", "", "four \\udcff"),
    ]
    assert [line.text for line in log.lines("layer a")] == ["one", "two\tthree"]
    log.close()


def test_a_step_that_talks_without_end_does_not_fill_the_disk_nor_silence_others(tmp_path: Path) -> None:
    log = RunLog(tmp_path, 1, step_bytes=1000)
    for number in range(1000):
        log.write(1.0, "layer loud", f"line {number}")
    log.write(1.0, "layer quiet", "a word")
    loud = [line.text for line in log.lines("layer loud")]
    assert 10 < len(loud) < 40
    assert loud[0] == "line 0" and "not kept" in loud[-1]
    assert [line.text for line in log.lines("layer quiet")] == ["a word"]


@pytest.mark.parametrize(
    ("files", "total", "left"), [(3, 10**6, ["10", "11"]), (99, 250, ["10", "11"]), (99, 9999, None)]
)
def test_the_oldest_logs_make_room(tmp_path: Path, files: int, total: int, left: list[str] | None) -> None:
    for number in (2, 9, 10, 11):
        (tmp_path / f"{number}.log").write_bytes(bytes(100))
    (tmp_path / "notes.log").write_bytes(bytes(1000))
    prune(tmp_path, files, total)
    found = sorted(path.stem for path in tmp_path.iterdir())
    assert found == [*(left if left is not None else ["10", "11", "2", "9"]), "notes"]


def test_a_graph_goes_with_its_log(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        log = RunLog(tmp_path, number)
        log.write_graph([{"step": "layer a"}])
        log.write(0.0, "layer a", "a word")
        log.close()
    assert RunLog(tmp_path, 3).graph() == [{"step": "layer a"}]
    prune(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.graph", "3.log"]
    assert RunLog(tmp_path, 1).graph() == []


def test_a_log_that_cannot_be_written_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    log = RunLog(tmp_path / "runs", 1)
    log.write(1.0, "layer a", "word")
    assert "cannot write" in log.problem
    log.close()
