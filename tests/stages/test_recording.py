"""What a run tells ends up in the journal: one row for nothing to do, steps and words for work, and no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AssembleError
from pipeline.events import (
    Event,
    Planned,
    PlannedStep,
    Report,
    RunContinued,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepSaid,
    StepStarted,
    Warned,
)
from pipeline.stages.recording import Recorder, asked, is_gone
from pipeline.store.database import Database
from pipeline.store.journal import Asked, Journal

OURS = asked(Path("/p/prod.yaml"), "shop", "run", {})
WORK: Sequence[Event] = (
    RunStarted("shop", 3),
    StepEnded("base a", "base", "a", "hit"),
    StepStarted("layer b", "layer", "b"),
    StepSaid("layer b", "downloading"),
    StepRetried("layer b", 1, 0.5, "busy"),
    StepEnded("layer b", "layer", "b", "made", "1 file", 1.0, 7, "first time"),
)
DYING = """
import os, signal, sys
from pathlib import Path
from pipeline.events import *
from pipeline.stages.recording import Recorder, asked
from pipeline.store.database import Database
from pipeline.store.journal import Journal
folder = Path(sys.argv[1])
journal = Journal(Database(folder / "store.db"), folder / "runs")
with Recorder(journal, asked(Path("/p/prod.yaml"), "shop", "run", {}), print) as recorder:
    recorder(RunStarted("shop", 3))
    recorder(StepEnded("base a", "base", "a", "hit"))
    recorder(StepStarted("layer b", "layer", "b"))
    recorder(StepSaid("layer b", "half way"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Database(tmp_path / "store.db"), tmp_path / "runs")


def recorded(journal: Journal, *events: Event, one: Asked = OURS, error: BaseException | None = None) -> list[Event]:
    """Performs a run that tells these events; what it told beside them."""
    told: list[Event] = []
    try:
        with Recorder(journal, one, told.append, lambda text: text.replace("hush", "***")) as recorder:
            for event in events:
                recorder(event)
            if error:
                raise error
    except BaseException as raised:
        if raised is not error:
            raise
    return told


def test_nothing_to_do_is_one_row_and_no_file(journal: Journal, tmp_path: Path) -> None:
    hits = [StepEnded(f"layer {n}", "layer", str(n), "hit") for n in range(20)]
    recorded(journal, RunStarted("shop", 20), *hits, RunEnded(Report(0.1, 0, 20, 0, 0, 0)))
    (run,) = journal.runs(5)
    assert (run.outcome, run.counts.steps, run.counts.hits, journal.steps(run.id)) == ("nothing to do", 20, 20, [])
    assert not (tmp_path / "runs").exists()


def test_work_is_kept_with_its_steps_tries_and_words(journal: Journal) -> None:
    recorded(journal, *WORK, RunEnded(Report(1.0, 1, 1, 0, 0, 7)))
    (run,) = journal.runs(5)
    assert (run.outcome, run.counts.steps, run.counts.hits, run.counts.made, run.counts.size) == ("done", 3, 1, 1, 7)
    (step,) = journal.steps(run.id)
    assert (step.step, step.outcome, step.size, step.why) == ("layer b", "made", 7, "first time")
    assert [(one.attempt, one.wait, one.error) for one in step.attempts] == [(1, 0.5, "busy")]
    assert [line.text for line in journal.log(run.id).lines("layer b")] == ["downloading", "attempt 1 failed: busy"]


def test_the_graph_of_work_is_kept(journal: Journal) -> None:
    nodes = [PlannedStep("base a", "base", "a", "", (), True), PlannedStep("layer b", "layer", "b", "", ("base a",))]
    recorded(journal, WORK[0], Planned(nodes), *WORK[1:])
    graph = journal.log(journal.runs(1)[0].id).graph()
    assert [(node["step"], node["needs"], node["hit"]) for node in graph] == [
        ("base a", [], True),
        ("layer b", ["base a"], False),
    ]


def test_tries_of_requests_are_counted_with_those_of_their_step(journal: Journal) -> None:
    tries = [StepRetried("layer b", attempt, 0.5, text) for attempt, text in ((0, "503"), (0, "reset"), (1, "busy"))]
    asked = StepRetried("lock bases.slim", 0, 0.1, "no answer")
    recorded(journal, asked, WORK[0], WORK[1], WORK[2], *tries, RunEnded(Report(1.0, 1, 1, 0, 0, 7)))
    steps = {step.step: step for step in journal.steps(1)}
    assert [(one.attempt, one.error) for one in steps["layer b"].attempts] == [(1, "503"), (2, "reset"), (3, "busy")]
    assert [one.error for one in steps["lock bases.slim"].attempts] == ["no answer"]


def test_warnings_are_kept_with_what_was_done_but_are_no_work(journal: Journal) -> None:
    recorded(journal, Warned("first"), RunStarted("shop", 0))
    assert not journal.log(1).path.exists()
    recorded(journal, Warned("first"), *WORK, Warned("second"))
    assert [line.text for line in journal.log(2).lines()][::3] == ["warning: first", "warning: second"]


@pytest.mark.parametrize(
    ("error", "outcome", "text"),
    [
        (AssembleError("no hush", remedy="say hush"), "failed", "no *** (say ***)"),
        (KeyboardInterrupt(), "interrupted", ""),
        (SystemExit(143), "interrupted", ""),
        (KeyError("hush"), "bug", "'***'"),
    ],
)
def test_how_it_ended_is_kept_without_secrets(journal: Journal, error: Any, outcome: str, text: str) -> None:
    recorded(journal, *WORK[:4], error=error)
    (run,) = journal.runs(5)
    assert (run.outcome, run.error) == (outcome, text)
    assert [step.outcome for step in journal.steps(run.id)] == [outcome]
    assert "hush" not in journal.log(run.id).path.read_text()


def test_a_killed_run_is_continued_by_the_next_of_its_manifest(journal: Journal, tmp_path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False).returncode == -9
    killed = journal.runs(1)[0]
    assert killed.outcome == "running"
    other = replace(OURS, manifest="/p/other.yaml")
    assert recorded(journal, one=other) == []
    assert journal.run(killed.id).outcome == "killed"  # type: ignore[union-attr]
    assert [line.text for line in journal.log(killed.id).lines()] == ["half way"]

    assert subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=False).returncode == -9
    again = journal.runs(1)[0].id
    (told,) = recorded(journal, *WORK)
    assert isinstance(told, RunContinued) and (told.run, told.done, told.steps) == (again, 1, 3)
    assert journal.runs(1)[0].continues == again
    assert recorded(journal) == []


def test_a_process_at_work_or_on_another_machine_is_not_gone() -> None:
    assert not is_gone(OURS)
    boot, _, rest = OURS.process.partition("/")
    assert is_gone(replace(OURS, process=f"another boot/{rest}"))
    assert is_gone(replace(OURS, process=f"{OURS.process}0"))
    assert not is_gone(replace(OURS, process=f"another boot/{rest}", host="elsewhere"))
    assert not is_gone(replace(OURS, process=""))
    assert boot


def test_a_journal_that_cannot_be_written_fails_no_run(journal: Journal, tmp_path: Path) -> None:
    database = Database(tmp_path / "store.db")
    database.execute("DROP TABLE runs")
    told = recorded(journal, *WORK)
    assert len(told) == 1 and isinstance(told[0], Warned) and "journal" in told[0].text


def test_ci_says_why_it_runs() -> None:
    def trigger(**environ: str) -> str:
        return asked(Path("m"), "m", "run", environ).trigger

    assert trigger() == trigger(CI="false") == ""
    assert trigger(CI="true") == "CI"
    assert trigger(CI="true", GITHUB_ACTIONS="true", GITHUB_EVENT_NAME="schedule") == "GitHub Actions, schedule"
    assert asked(Path("m"), "m", "run", {}).pid == os.getpid()


def test_runs_with_nothing_to_do_do_not_fill_the_journal(journal: Journal) -> None:
    recorded(journal, RunStarted("shop", 0))
    one = journal.runs(1)[0]
    for _ in range(1098):
        journal.begin(one)
    recorded(journal, RunStarted("shop", 0))
    assert journal.runs(1)[0].id == 1100
    assert len(journal.runs(5000)) == 1000
