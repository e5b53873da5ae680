from __future__ import annotations

import pytest

from pipeline.events import Report, StepEnded, StepRetried
from pipeline.reporters import lines


def ended(**facts: object) -> StepEnded:
    return StepEnded(**{"step": "layer science", "kind": "layer", "name": "science", "outcome": "made", **facts})


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_950, "10 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (61_400_000, "61 MB"),
        (4_200_000_000, "4.2 GB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_sizes_have_two_or_three_digits_in_powers_of_1000(count: int, text: str) -> None:
    assert lines.size(count) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.04, "0.0 s"), (2.06, "2.1 s"), (59.94, "59.9 s"), (59.96, "1 min 0 s"), (185, "3 min 5 s")]
)
def test_seconds_become_minutes_when_they_are_many(value: float, text: str) -> None:
    assert lines.seconds(value) == text


def test_a_step_is_one_line_in_columns() -> None:
    base = ended(kind="base", name="slim", title="debian bookworm, 52 packages", seconds=2.1, size=20_000_000)
    assert lines.step(base) == "base   slim      debian bookworm, 52 packages          2.1 s   20 MB"
    layer = ended(title="pip, 9 packages", seconds=1.4, size=61_000_000)
    assert lines.step(layer) == "layer  science   pip, 9 packages                       1.4 s   61 MB"


def test_a_digest_as_title_is_cut_short() -> None:
    image = ended(kind="image", name="scoring", title="sha256:" + "3f9c" * 16, seconds=0.1)
    assert lines.step(image) == "image  scoring   sha256:3f9c3f9c3f9c…                  0.1 s"


def test_a_title_longer_than_its_column_keeps_its_distance() -> None:
    target = ended(kind="target", name="here", title="http://127.0.0.1:8890  healthy, scored in 12 ms", seconds=1.2)
    assert lines.step(target) == "target here      http://127.0.0.1:8890  healthy, scored in 12 ms  1.2 s"


def test_hits_and_skipped_steps_say_no_more_than_that() -> None:
    assert lines.step(ended(outcome="hit", title="pip, 9 packages")) == "layer  science   hit"
    assert lines.step(ended(outcome="skipped", title="pip, 9 packages")) == "layer  science   skipped"
    hit = ended(kind="target", name="here", outcome="hit", title="http://127.0.0.1:8890")
    assert lines.step(hit) == "target here      http://127.0.0.1:8890  hit"


def test_the_name_column_is_as_wide_as_the_longest_name() -> None:
    width = lines.width(["slim", "a-name-that-is-long"])
    assert lines.step(ended(outcome="hit"), width) == "layer  science              hit"


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (Report(4.2, 3, 2, 0, 0, 81_000_000), "done in 4.2 s: 3 made, 2 hits, 81 MB new"),
        (Report(4.2, 3, 0, 0, 0, 0), "done in 4.2 s: 3 made"),
        (Report(0.1, 0, 9, 0, 0, 0), "nothing to do in 0.1 s: 9 hits"),
        (Report(2.1, 2, 0, 1, 3, 5), "failed in 2.1 s: 1 failed, 3 skipped, 2 made"),
    ],
)
def test_the_last_line_is_worth_reading_alone(report: Report, text: str) -> None:
    assert lines.summary(report) == text


def test_a_run_that_ended_before_all_its_steps_was_interrupted() -> None:
    assert lines.summary(Report(2.1, 1, 2, 0, 0, 0), 5) == "interrupted after 2.1 s: 1 made, 2 hits, 2 not done"
    assert lines.summary(Report(2.1, 0, 0, 0, 0, 0), 5) == "interrupted after 2.1 s: 5 not done"


def test_a_retry_says_why_and_when() -> None:
    event = StepRetried("layer science", 1, 0.5, "the index does not answer\nsecond line")
    text = "layer  science   attempt 1: the index does not answer; trying again in 0.5 s"
    assert lines.retried(event) == text


def test_tables_align_and_leave_no_spaces_at_the_end() -> None:
    rows = [["web", "9"], ["scoring", "10"]]
    assert lines.table(rows, ["NAME", "SIZE"], right={1}) == ["NAME     SIZE", "web         9", "scoring    10"]
    assert lines.table([]) == []
