"""A part that turns out to hold nothing becomes no layer of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.facts import Facts
from pipeline.home import Home
from pipeline.manifest.load import load
from pipeline.plan.model import LayerWork, Plan, Step
from pipeline.recipe import Assemble
from pipeline.stages import assemble
from pipeline.stages.bench import Bench

MANIFEST = "version: 1\nname: shop\nbases: {b: {image: x/y}}\nimages: {i: {base: b}}\n"


def test_bytecode_of_packages_without_python_is_no_layer(
    project: Callable[[Mapping[str, str | bytes]], Path], tmp_path: Path
) -> None:
    folder = project({"m.yaml": MANIFEST})
    bench = Bench(load(folder / "m.yaml", environ={}), Home(tmp_path / "s", tmp_path / "c", tmp_path / "t"), {})
    recipe = Assemble("bytecode", {"python": "3.11.2", "trees": ["usr/lib/none"]}, part="bytecode", needs_root=True)
    place = bench.manifest.images["i"].location
    step = Step("layer a", "layer", "a", "", "0" * 64, {}, (), LayerWork(recipe, Facts()), place)  # type: ignore[arg-type]
    result = assemble.run(step, Plan("shop", (step,)), bench)
    bench.store.database.keep(step.key, result.record, "shop layer a", step.inputs)
    assert assemble.layers_of(step, bench) == []
    assert assemble.done(step, None, bench)
    assert result.size == 0
