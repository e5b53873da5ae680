"""What a failure stops: what needs the step, and with `--fail-fast` everything that has not begun."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.events import Event, StepEnded, StepStarted
from pipeline.run import open_bench, perform, prepare

MANIFEST = """\
version: 1
name: shop
bases:
  slim: {plain: [{from: base/, to: /usr/share/shop/}]}
layers:
  good: {files: [{from: src/, to: /srv/app/}]}
  bad: {files: [{from: bad, to: /bad}]}
images:
  fine: {base: slim, layers: [good]}
  broken: {base: slim, layers: [bad]}
"""


def outcomes(shop: Any, *, fail_fast: bool) -> dict[str, str]:
    """How the steps ended. `layer good` begins before `layer bad` fails, and goes on afterwards."""
    begun, failed = threading.Event(), threading.Event()
    found: dict[str, str] = {}

    def report(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step.startswith("layer"):
            if event.name == "good":
                begun.set()
            assert (failed if event.name == "good" else begun).wait(60)
        if isinstance(event, StepEnded):
            found[f"{event.kind} {event.name}"] = event.outcome
            if event.outcome == "failed":
                failed.set()

    bench = open_bench(Path("pipeline.yaml"), shop.environ, {}, report)
    plan = prepare(bench, report, kinds=("base", "layer", "image"))
    Path("bad").unlink()
    with pytest.raises(PipelineError):
        perform(bench, plan, report, ("base", "layer", "image"), fail_fast=fail_fast)
    return found


@pytest.mark.parametrize(("fail_fast", "fine"), [(False, "made"), (True, "skipped")])
def test_what_does_not_need_a_failed_step_goes_on_unless_told_otherwise(shop: Any, fail_fast: bool, fine: str) -> None:
    shop.write("pipeline.yaml", MANIFEST)
    shop.write("bad", "2")
    ended = outcomes(shop, fail_fast=fail_fast)
    assert (ended["layer bad"], ended["image broken"]) == ("failed", "skipped")
    assert (ended["layer good"], ended["image fine"]) == ("made", fine)


def test_the_option_is_there_and_kept_in_the_journal(shop: Any) -> None:
    shop.write("pipeline.yaml", MANIFEST)
    shop.write("bad", "2")
    assert shop("build", "--fail-fast").code == 0
    assert shop("runs", "--output", "json").json[0]["command"] == "build --fail-fast"
