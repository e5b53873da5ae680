"""Locks as merges, editors and other hands leave them: each is used, or refused in words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fuzz_texts import changed, encoded, mangled
from fuzzlab import SEEDED, Shop, fuzz, sound
from offline import planned

from pipeline.errors import PipelineError
from pipeline.lock.diff import changes
from pipeline.lock.model import Lock
from pipeline.lock.text import dump
from pipeline.stages.locks import read_lock

SHARDS = 2
EXAMPLES = 1_000
FULL = (Path(__file__).parent / "full.yaml").read_bytes()


def lock_of(text: str, chance: random.Random) -> bytes:
    """One lock, broken as data or as text."""
    if chance.random() < 0.7:
        value = json.loads(text)
        for _ in range(chance.choice([1, 1, 1, 3])):
            value = changed(value, chance)
        return encoded(json.dumps(value), chance)
    return encoded(mangled(text, chance), chance)


def used(shop: Shop, good: Lock, text: str, chance: random.Random) -> str:
    """Plans from it, frozen or not, and compares it with the good one, as `pipeline lock --diff` does."""
    bench = shop.load(FULL)
    shop.path.with_suffix(".lock").write_bytes(lock_of(text, chance))
    try:
        lock = read_lock(bench)
        changes(good, lock)
        changes(lock, good)
    except PipelineError as error:
        sound(error)
        return "refused"
    try:
        _, found = planned(bench, lock, frozen=chance.random() < 0.5)
        dump(found.lock)
    except PipelineError as error:
        sound(error)
        return "stopped"
    return "planned"


@pytest.mark.parametrize("shard", range(SHARDS))
def test_fuzzed_lock_is_used_or_refused_in_words(
    tmp_path: Path, figure: Callable[[str, int], None], shard: int
) -> None:
    shop = Shop(tmp_path / "shop")
    _, found = planned(shop.load(FULL), Lock())
    good = found.lock
    ends = fuzz(partial(used, shop, good, dump(good)), SEEDED, number=EXAMPLES // SHARDS, shard=shard)
    assert ends["planned"] > EXAMPLES // SHARDS // 20, ends
    figure("fuzzed locks", ends.total())
