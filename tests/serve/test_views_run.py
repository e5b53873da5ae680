"""A run as its job's log tells it, while it is written, after kills, and with lines that are none of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.serve.views_log import page
from pipeline.serve.views_run import RunLogs

STARTED = {"event": "run-started", "manifest": "shop", "steps": 2, "entries": {}, "at": 100.0}
PLANNED = {
    "event": "planned",
    "graph": [
        {"step": "layer a", "kind": "layer", "name": "a", "title": "1 file", "needs": [], "hit": True, "why": ""},
        {
            "step": "image w",
            "kind": "image",
            "name": "w",
            "title": "",
            "needs": ["layer a"],
            "hit": False,
            "why": "new",
        },
    ],
    "at": 100.1,
}
BEGINS = {"event": "step-started", "step": "image w", "kind": "image", "name": "w", "at": 101.0}
ENDS = {
    **BEGINS,
    "event": "step-ended",
    "outcome": "made",
    "title": "sha256:ab",
    "seconds": 2.0,
    "size": 7,
    "at": 103.0,
}
COUNTS = {"made": 1, "hits": 1, "failed": 0, "skipped": 0, "size": 7, "images": {"w": "sha256:ab"}, "services": {}}
OVER = {"event": "run-ended", "report": COUNTS, "at": 103.5}
ATTEMPT = {"event": "attempt", "attempt": 1, "at": 99.0}


def write(folder: Path, *lines: dict[str, Any] | str, job: int = 1) -> Path:
    path = folder / f"{job}.jsonl"
    with path.open("a") as file:
        file.writelines((line if isinstance(line, str) else json.dumps(line) + "\n") for line in lines)
    return path


def test_a_log_is_read_on_as_it_is_written(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    assert logs.run(1, over=False) is None
    write(tmp_path, ATTEMPT, STARTED, PLANNED, BEGINS)
    run = logs.run(1, over=False)
    assert run
    assert [(step.id, step.state, step.needs) for step in run.steps] == [
        ("layer a", "hit", ()),
        ("image w", "running", ("layer a",)),
    ]
    assert (run.outcome, run.started) == ("", 100.0)
    write(tmp_path, json.dumps(ENDS)[:40])
    assert logs.run(1, over=False) == run, "half a line is not read"
    write(tmp_path, json.dumps(ENDS)[40:] + "\n", OVER, {"event": "command-ended", "exit_code": 0})
    run = logs.run(1, over=True)
    assert run
    step = run.steps[1]
    assert (step.state, step.started, step.ended, step.seconds, step.size) == ("made", 101.0, 103.0, 2.0, 7)
    assert (run.outcome, run.ended, run.images) == ("done", 103.5, {"w": "sha256:ab"})


def test_what_was_under_way_when_it_was_killed_has_stopped_and_the_next_attempt_begins_anew(tmp_path: Path) -> None:
    logs = RunLogs(tmp_path)
    write(tmp_path, ATTEMPT, STARTED, PLANNED, BEGINS)
    killed = logs.run(1, over=True)
    assert killed
    assert (killed.outcome, killed.steps[1].state) == ("stopped", "stopped")
    write(tmp_path, {**ATTEMPT, "attempt": 2})
    assert logs.run(1, over=False) is None
    write(
        tmp_path,
        {"event": "run-continued", "run": 7, "at": 200.0},
        {**STARTED, "at": 201.0},
        PLANNED,
        BEGINS,
        ENDS,
        OVER,
    )
    again = logs.run(1, over=True)
    assert again
    assert (again.continues, again.started, again.outcome) == (7, 200.0, "done")


def test_an_error_is_told_with_its_place_and_remedy(tmp_path: Path) -> None:
    place = {"file": "m.yaml", "line": 4, "column": 2}
    error = {"event": "error", "message": "no such file", "remedy": "add it", "place": place, "exit_code": 3}
    report = {**COUNTS, "made": 0, "failed": 1}
    write(tmp_path, STARTED, PLANNED, BEGINS, {**ENDS, "outcome": "failed", "error": "no such file"})
    write(tmp_path, {**OVER, "report": report}, error)
    run = RunLogs(tmp_path).run(1, over=True)
    assert run
    assert (run.outcome, run.error, run.remedy, run.place) == ("failed", "no such file", "add it", "m.yaml:4")
    assert (run.ended, run.steps[1].error) == (103.5, "no such file")


def test_an_interrupted_run_is_not_done(tmp_path: Path) -> None:
    write(tmp_path, STARTED, PLANNED, BEGINS, {**OVER, "report": {**COUNTS, "made": 0}})
    run = RunLogs(tmp_path).run(1, over=True)
    assert run
    assert run.outcome == "stopped"


def test_lines_that_are_none_of_ours_do_no_harm(tmp_path: Path) -> None:
    odd = ["Traceback\n", "[1, 2]\n", '{"event": 3}\n', '{"event": "from a newer version"}\n', "\x00\xff\n", "{\n"]
    write(tmp_path, STARTED, PLANNED, *odd, BEGINS, ENDS, OVER, *odd)
    run = RunLogs(tmp_path).run(1, over=True)
    assert run
    assert run.outcome == "done"
    assert [line.text for line in page(tmp_path / "1.jsonl").lines if line.text == "Traceback"] == ["Traceback"] * 2


def test_the_last_words_of_a_step_are_with_it_while_it_runs(tmp_path: Path) -> None:
    said = [{"event": "step-said", "step": "image w", "text": f"{n} of 9\n", "at": 102.0} for n in range(10)]
    write(tmp_path, STARTED, PLANNED, BEGINS, *said)
    logs = RunLogs(tmp_path)
    run = logs.run(1, over=False)
    assert run
    assert run.steps[1].said == "9 of 9"
    tries = {"event": "step-retried", "step": "image w", "attempt": 1, "wait": 2.5, "error": "reset", "at": 102.5}
    write(tmp_path, tries, ENDS)
    run = logs.run(1, over=False)
    assert run
    assert run.steps[1].said == ""
    assert [(one.number, one.wait, one.error) for one in run.steps[1].attempts] == [(1, 2.5, "reset")]


# -- pages of a log ---------------------------------------------------------------------------------------------------


def test_a_log_is_read_in_pages_each_line_once(tmp_path: Path) -> None:
    said = [{"event": "step-said", "step": "layer a", "text": f"line {n}", "at": 100.0 + n} for n in range(25)]
    path = write(tmp_path, *said)
    texts, offset, more = [], 0, True
    while more:
        found = page(path, offset=offset, most=10)
        texts += [line.text for line in found.lines]
        offset, more = found.next, found.more
    assert texts == [f"line {n}" for n in range(25)]
    assert offset == path.stat().st_size
    write(tmp_path, {"event": "warning", "text": "late", "at": 200.0}, '{"event": "warn')
    last = page(path, offset=offset)
    assert [(line.text, line.about) for line in last.lines] == [("late", "warning")]
    assert not last.more


def test_a_log_is_read_from_its_end_and_of_one_step(tmp_path: Path) -> None:
    said = [{"event": "step-said", "step": f"layer {n % 2}", "text": f"line {n}"} for n in range(9000)]
    path = write(tmp_path, *said)
    end = page(path, offset=-1, most=3)
    assert [line.text for line in end.lines] == ["line 8997", "line 8998", "line 8999"]
    assert end.next == path.stat().st_size
    assert [line.text for line in page(path, "layer 1", -1, 2).lines] == ["line 8997", "line 8999"]


def test_a_log_that_is_not_there_or_was_begun_anew_is_no_error(tmp_path: Path) -> None:
    assert page(tmp_path / "none.jsonl").lines == ()
    path = write(tmp_path, {"event": "warning", "text": "first"})
    assert [line.text for line in page(path, offset=10_000).lines] == ["first"]


def test_terminals_sequences_and_overwritten_lines_are_not_shown(tmp_path: Path) -> None:
    text = "\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b]8;;\x07\n10%\r50%\r100%\na\u202eb\x07"
    path = write(tmp_path, {"event": "step-said", "step": "layer a", "text": text})
    assert [line.text for line in page(path).lines] == ["red link", "100%", "a\ufffdb\ufffd"]


def test_a_value_over_several_lines_is_told_in_words(tmp_path: Path) -> None:
    file = tmp_path / "1.jsonl"
    value = {
        "service": "shop-a",
        "pinned": "4f",
        "text": "revision 4f is live and pinned",
        "at": "2026-03-02T10:00:00Z",
    }
    told = json.dumps(value, indent=2) + "\n"
    file.write_text(told + json.dumps({"service": "shop-b", "stopped": True, "state": "stopped"}, indent=2) + "\n")
    found = page(file)
    assert [line.text for line in found.lines] == ["shop-a: revision 4f is live and pinned", "shop-b is stopped"]
    assert found.lines[0].at == 1772445600.0
    assert page(file, offset=len(told)).lines == found.lines[1:]


def test_a_value_that_was_cut_off_is_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "1.jsonl"
    file.write_text('{\n  "service": "shop-a",\n' + json.dumps({"event": "attempt", "attempt": 2, "at": 9.0}) + "\n")
    assert [line.text for line in page(file).lines] == ["{", '  "service": "shop-a",', "begun again, attempt 2"]
