"""Manifests as nobody would write them: each is planned, or refused in words, with its place and within bounds.

Some are made from the schema, some are good ones with a few places changed, some are text that is broken anywhere.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzz_texts import SECRET, anything, changed, encoded, fitting, mangled, written
from fuzzlab import SEEDED, Shop, fuzz, sound
from hypothesis import strategies as st
from offline import planned

from pipeline.errors import ManifestError, PipelineError
from pipeline.lock.model import Lock
from pipeline.manifest import schema as schemas

SHARDS = 4
FEW, MANY = 2_000, 10_000
ROOT = Path(__file__).parents[2]
FULL = (Path(__file__).parent / "full.yaml").read_text(encoding="utf-8")
MINIMAL = (ROOT / "tests/golden/good/minimal.yaml").read_text(encoding="utf-8")
TEXTS = [
    path.read_text(encoding="utf-8", errors="replace")
    for folder in ("tests/golden/good", "tests/golden/bad", "manifests")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]
SETS = st.dictionaries(
    st.sampled_from(["name", "images.scoring.user", "images.scoring.env.A", "layers.code", "retry.attempts", "x", ""]),
    st.text(max_size=20) | st.sampled_from(["1", "[1, 2", "{a: b}", "!!x y", "${env:PASSWORD}", "1" * 5000]),
    max_size=2,
)


@cache
def _schema() -> Mapping[str, Any]:
    return schemas.schema()


def manifest(chance: random.Random) -> bytes:
    """One fuzzed manifest."""
    full, act = yaml.safe_load(FULL), chance.random()
    if act < 0.15:
        text = written(fitting(_schema(), chance), chance)
    elif act < 0.35:
        text = written(_grafted(full, chance), chance)
    elif act < 0.65:
        value = full if chance.random() < 0.9 else yaml.safe_load(MINIMAL)
        for _ in range(chance.choice([1, 1, 2, 5])):
            value = changed(value, chance)
        text = written(value, chance)
    elif act < 0.7:
        text = written(anything(chance), chance)
    else:
        text = FULL if act < 0.85 else chance.choice(TEXTS)
    return encoded(mangled(text, chance) if act > 0.6 else text, chance)


def _grafted(full: Mapping[str, Any], chance: random.Random) -> Any:
    """The full manifest with one entry made anew from the schema."""
    section = chance.choice(["bases", "layers", "images", "targets", "registries", "retry", "build", "cache"])
    schema = _schema()["properties"][section]
    if "properties" in schema:
        return {**full, section: fitting(schema, chance, 1)}
    name = chance.choice([*full[section], "x"])
    return {**full, section: {**full[section], name: fitting(schema["additionalProperties"], chance, 2)}}


def read_and_planned(shop: Shop, data: bytes, sets: Mapping[str, str]) -> str:
    """How far it came."""
    try:
        bench = shop.load(data, sets)
    except ManifestError as error:
        shop.refused(data, error)
        return "refused"
    try:
        plan, _ = planned(bench, Lock())
    except PipelineError as error:
        sound(error)
        return "stopped"
    assert SECRET not in repr(plan)
    return "planned"


def fuzzed(folder: Path, number: int, shard: int, *, anew: bool) -> int:
    # One in ten is of bytes that hypothesis makes, and one in five is given settings beside.
    examples = st.integers(0, 9).flatmap(lambda at: SEEDED.map(manifest) if at else st.binary(max_size=300))
    sets = st.integers(0, 4).flatmap(lambda at: st.just({}) if at else SETS)
    ends = fuzz(partial(read_and_planned, Shop(folder)), examples, sets, number=number, shard=shard, anew=anew)
    # Examples that all fall at the first check would tell nothing of the others.
    assert ends["planned"] > number // 100, ends
    return ends.total()


@pytest.mark.parametrize("shard", range(SHARDS))
def test_fuzzed_manifest_is_planned_or_refused_in_words(
    tmp_path: Path, figure: Callable[[str, int], None], shard: int
) -> None:
    figure("fuzzed manifests", fuzzed(tmp_path / "shop", FEW // SHARDS, shard, anew=False))


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_fuzzed_manifests(tmp_path: Path, figure: Callable[[str, int], None], shard: int) -> None:
    figure("fuzzed manifests", fuzzed(tmp_path / "shop", MANY // SHARDS, shard, anew=True))
