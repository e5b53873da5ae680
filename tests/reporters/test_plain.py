from __future__ import annotations

from pipeline.events import (
    Event,
    Locked,
    Report,
    RunEnded,
    RunStarted,
    StepEnded,
    StepRetried,
    StepSaid,
    StepStarted,
    Warned,
)
from pipeline.reporters.plain import Plain


def told(*events: Event, verbose: bool = False) -> tuple[list[str], list[str]]:
    out: list[str] = []
    err: list[str] = []
    plain = Plain(out.append, err.append, verbose=verbose)
    for event in events:
        plain(event)
    plain.close()
    return out, err


def hit(kind: str, name: str, title: str = "") -> StepEnded:
    return StepEnded(f"{kind} {name}", kind, name, "hit", title)


def report(made: int = 0, hits: int = 0, failed: int = 0, skipped: int = 0) -> RunEnded:
    return RunEnded(Report(0.1, made, hits, failed, skipped, 0))


def test_when_all_is_there_only_the_targets_and_the_last_line_are_shown() -> None:
    events = [RunStarted("shop", 3), hit("layer", "a"), hit("image", "b"), hit("target", "here", "http://h:1"),
              report(hits=3)]  # fmt: skip
    out, err = told(*events)
    assert out == ["target here      http://h:1  hit", "nothing to do in 0.1 s: 3 hits"]
    assert err == []


def test_hits_are_shown_before_the_first_step_that_takes_time() -> None:
    events = [
        RunStarted("shop", 2),
        hit("layer", "a"),
        StepStarted("layer b", "layer", "b"),
        StepEnded("layer b", "layer", "b", "made", "1 file", 0.2, 100),
        report(made=1, hits=1),
    ]
    out, _ = told(*events)
    assert out == [
        "layer  a         hit",
        "layer  b         1 file                                0.2 s   100 B",
        "done in 0.1 s: 1 made, 1 hit",
    ]


def test_layers_of_one_entry_that_are_hits_take_one_line() -> None:
    parts = [hit("layer", f"science/{name}@linux/amd64") for name in ("numpy", "small", "bytecode-numpy")]
    events = [RunStarted("shop", 5), hit("base", "slim"), *parts, StepStarted("layer b", "layer", "b")]
    out, _ = told(*events)
    assert out == ["base   slim      hit", "layer  science   hit, 3 layers"]


def made(name: str, title: str, size: int) -> StepEnded:
    return StepEnded(f"layer {name}", "layer", name, "made", title, 0.1, size)


def test_layers_that_are_made_of_one_entry_take_one_line_when_the_last_is_there() -> None:
    clock = iter([10.0, 10.5, 12.5]).__next__
    out: list[str] = []
    plain = Plain(out.append, out.append, clock=clock)
    plain(RunStarted("shop", 3, {"layer science": 2}))
    plain(StepStarted("layer science/numpy", "layer", "science/numpy"))
    plain(StepStarted("layer science/small", "layer", "science/small"))
    plain(made("science/numpy", "pip, numpy", 200))
    plain(made("code", "1 file", 1))
    assert out == ["layer  code      1 file                                0.1 s     1 B"]
    plain(made("science/small", "pip, 3 packages", 100))
    assert out[1:] == ["layer  science   pip, 2 layers                         2.5 s   300 B"]


def test_what_was_made_of_an_entry_is_told_when_another_layer_of_it_fails_or_it_is_to_be_verbose() -> None:
    failed = StepEnded("layer science/small", "layer", "science/small", "failed", error="no")
    started = RunStarted("shop", 2, {"layer science": 2})
    events = [started, made("science/numpy", "pip, numpy", 200), failed, report(1, failed=1)]
    out, _ = told(*events)
    assert [line.split()[1] for line in out[:2]] == ["science/small", "science/numpy"]
    out, _ = told(*events, verbose=True)
    assert [line.split()[1] for line in out[:2]] == ["science/numpy", "science/small"]


def test_a_failure_shows_its_error_and_the_last_words_below_and_what_was_skipped() -> None:
    said = [StepSaid("layer a", f"word {n}") for n in range(8)]
    failed = StepEnded("layer a", "layer", "a", "failed", "", 1.0, error="no wheel\n  for linux")
    skipped = StepEnded("image b", "image", "b", "skipped")
    out, err = told(RunStarted("shop", 2), *said, failed, skipped, report(failed=1, skipped=1))
    assert out == [
        "layer  a         failed                                1.0 s",
        "image  b         skipped",
        "failed in 0.1 s: 1 failed, 1 skipped",
    ]
    words = [f"      word {n}" for n in range(3, 8)]
    assert err == ["    no wheel", "      for linux", "    its last words:", *words]


def test_words_of_steps_are_shown_when_verbose_and_only_then() -> None:
    said = StepSaid("layer a", "unpacking numpy")
    assert told(said) == ([], [])
    assert told(said, verbose=True) == (["layer  a         | unpacking numpy"], [])


def test_words_already_shown_are_not_repeated_by_a_failure() -> None:
    failed = StepEnded("layer a", "layer", "a", "failed", error="broken")
    _, err = told(StepSaid("layer a", "unpacking"), failed, verbose=True)
    assert err == ["    broken"]


def test_lock_changes_are_listed_up_to_ten() -> None:
    out, _ = told(Locked("/p/prod.lock", [f"numpy {n}" for n in range(12)], 1.5))
    assert out[0] == "lock   prod.lock  12 changes                            1.5 s"
    assert out[1:] == [*(f"    numpy {n}" for n in range(10)), "    and 2 more"]


def test_warnings_and_retries_go_where_errors_go() -> None:
    out, err = told(Warned("old lock"), StepRetried("layer a", 1, 0.5, "timeout"))
    assert out == []
    assert err == ["warning: old lock", "layer  a         attempt 1: timeout; trying again in 0.5 s"]


def test_a_request_that_is_tried_again_is_told_once() -> None:
    busy = "registry.example.com: busy"
    _, err = told(StepRetried("push a", 0, 0.5, busy), StepRetried("push b", 0, 0.5, busy, known=True))
    assert err == [f"push   a         {busy}; trying again in 0.5 s"]


def test_hits_are_not_lost_when_a_run_is_cut_off() -> None:
    out, _ = told(RunStarted("shop", 2), hit("layer", "a"))
    assert out == ["layer  a         hit"]
