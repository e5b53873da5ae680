"""What a plan would move: packages once, whoever names them, and estimates that say that they are."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.digest import CacheKey
from pipeline.errors import Location
from pipeline.facts import Facts, Platform
from pipeline.manifest.model import Entry
from pipeline.plan.model import LayerWork, Plan, ResolvedEntry, ResolvedImage, Step, Verdict
from pipeline.recipe import Assemble
from pipeline.run import open_bench
from pipeline.stages.bench import Bench
from pipeline.stages.effects import Effect
from pipeline.stages.forecast import Amount, forecast, hashed, total

LOCKED = {"wheels": [{"name": "numpy", "file": "numpy-2.0-py3-none-any.whl", "sha256": "ab" * 32, "size": 1000}]}


def test_every_package_of_a_lock_is_found_by_its_hash() -> None:
    assert [package["name"] for _, package in hashed({"a": [LOCKED, {"pip": LOCKED["wheels"]}]})] == ["numpy", "numpy"]


def test_an_estimate_makes_the_sum_one() -> None:
    assert str(total([Amount(1_000_000), Amount(2_000_000)])) == "3.0 MB"
    assert str(total([Amount(1_000_000), Amount(2_000_000, exact=False)])) == "~3.0 MB"
    assert total([]) == Amount()


def _bench(tmp_path: Path) -> Bench:
    (tmp_path / "pipeline.yaml").write_text(
        "version: 1\nname: shop\nbases:\n  slim: {image: python:3.11}\nimages:\n  web: {base: slim, command: [a]}\n"
    )
    return open_bench(tmp_path / "pipeline.yaml", {**os.environ, "UV_CACHE_DIR": str(tmp_path / "uv")}, {})


def _step(name: str, packer: str) -> Step:
    recipe = Assemble(packer, {"wheels": [["numpy-2.0-py3-none-any.whl", "ab" * 32]]})
    return Step(f"layer {name}", "layer", name, "", CacheKey(name), {}, (), LayerWork(recipe, Facts()), Location("m"))


def test_a_package_that_two_steps_name_is_downloaded_once_and_one_in_the_cache_not_at_all(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    steps = (_step("numpy", "wheel"), _step("bytecode", "bytecode"))
    plan = Plan("shop", steps, {step.id: Verdict(False) for step in steps})
    entry = Entry("science", "pip", {}, Location("m"))
    item = ResolvedEntry("layers", entry, "layers.science", LOCKED, Facts(), Facts(), ())
    images = [ResolvedImage(bench.manifest.images["web"], Platform(), (item,))]
    assert forecast(bench, plan, images).download == {"layer numpy": Amount(1000)}
    cached = tmp_path / "uv" / "wheels-v8" / "pypi" / "numpy" / "2.0-py3-none-any.http"
    cached.parent.mkdir(parents=True)
    cached.touch()
    assert forecast(bench, plan, images).download == {}


def test_what_a_target_does_in_words() -> None:
    old, new = "sha256:" + "a" * 64, "sha256:" + "b" * 64
    assert str(Effect("here", "nothing")) == ""
    assert str(Effect("here", "starts")) == "starts"
    assert str(Effect("here", "starts", image=new)) == "starts on sha256:bbbbbbbbbbbb…"
    assert str(Effect("here", "restarts", live=old)) == "restarts on a new image"
    assert str(Effect("here", "restarts", live=old, image=new)) == "restarts on sha256:bbbbbbbbbbbb…"
    assert str(Effect("here", "restarts", live=new, image=new)) == "restarts"
