"""Checks that no layer on an image's base writes where the serving stack keeps its own files."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.digest import cache_key
from pipeline.errors import AssembleError
from pipeline.manifest.stack import is_own, told
from pipeline.plan.model import ImageWork, Plan, Step
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench
from pipeline.stages.borrow import contents


def check(step: Step, plan: Plan, bench: Bench, ids: Sequence[str]) -> None:
    """Raises AssembleError for the first such layer, with the path; layers that were found clean are remembered."""
    assert isinstance(step.work, ImageWork)
    for one in map(plan.step, ids):
        for layer in layers_of(one, bench) if one.kind != "base" else ():
            memo = "stack " + cache_key(layer.diff_id)
            if bench.cache.known(memo):
                continue
            # A whiteout takes away what is there: that is writing, too.
            paths = (member[0].replace(".wh.", "", 1) for member in contents(layer, bench)["members"])
            if path := next(filter(is_own, paths), ""):
                raise AssembleError(f"layer {one.name}: {told(path)}", remedy="install elsewhere", place=one.place)
            bench.cache.tell(memo, True)
