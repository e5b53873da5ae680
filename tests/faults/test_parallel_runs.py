"""Runs at the same time, of one manifest and of two that share layers: each layer is made once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from faultlab import Lab, end

from pipeline.store import Store

Make = Callable[..., Lab]
OTHER = "other.yaml"


def _made(one: Lab) -> list[str]:
    """What steps were made, by all runs; one that was made twice stands there twice."""
    rows = Store(one.home / "store").database.execute("SELECT step FROM run_steps WHERE outcome = 'made'")
    return sorted(row[0] for row in rows)


def test_of_one_manifest_everything_is_made_once(lab: Make, figure: Callable[[str, int], None]) -> None:
    one = lab()
    with ExitStack() as stack:
        runs = [stack.enter_context(one.begin()) for _ in range(3)]
        said = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], "\n".join(said)
    once = [step for step in _made(one) if step.startswith(("base", "layer", "push", "tag"))]
    assert len(once) == len(set(once)), once
    one.sweep()
    alone = lab()
    assert alone.run().code == 0
    assert one.result().images == alone.result().images
    figure("parallel runs", 3)


def test_of_two_manifests_that_share_layers_each_is_made_once(lab: Make, figure: Callable[[str, int], None]) -> None:
    one = lab()
    text = one.manifest.read_text()
    (one.project / OTHER).write_text(
        text.replace("name: shop", "name: other").replace("push: {to: prod}", "env: {A: b}")
    )
    with ExitStack() as stack:
        runs = [stack.enter_context(one.begin("run", name)) for name in ("shop.yaml", OTHER)]
        said = [run.communicate(timeout=120)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)
    layers = [step for step in _made(one) if step.startswith(("base", "layer"))]
    assert len(layers) == len(set(layers)), layers
    figure("parallel runs", 2)


def test_who_waits_says_for_whom_and_goes_on_when_that_one_is_killed(lab: Make) -> None:
    """The first run has stopped, with the guard of a layer in its hand."""
    one = lab()
    with one.begin(faults={"stop": "before open @ store/blobs.py"}) as first:
        stopped = _until_stopped(first.pid)
        with one.begin() as second:
            assert second.stdout
            told = next(line for line in second.stdout if "waits for" in line)
            assert f"process {stopped}, run 1 of shop" in told
            end(first)
            said = second.communicate(timeout=120)[0]
    assert second.returncode == 0, said
    assert "nothing to do" in one.run().said


def _until_stopped(pid: int) -> int:
    end_ = time.monotonic() + 60
    while time.monotonic() < end_:
        with Path(f"/proc/{pid}/stat").open() as file:
            if file.read().rpartition(")")[2].split()[0] == "T":
                return pid
        time.sleep(0.02)
    raise AssertionError("it did not stop")
