"""Runs that are killed at each of their commit points and run again: the same result, nothing left, nothing twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pytest
from faultlab import CONDA, MANIFEST, Ended, Lab, Result

from pipeline.store import Store

Make = Callable[..., Lab]
Count = Callable[[str, int], None]
SHARDS = 4
RANDOM = 200
COMMIT_POINTS = "kills at commit points of layers, images, push and tags"
EVERY_POINT = "kills at every point of layers, images, push and tags"
_UNIMPORTANT = ("mkdir", "os.remove", "os.rmdir", "uses.py")


def undisturbed(lab: Make, manifest: str = MANIFEST) -> tuple[Ended, Result]:
    one = lab(manifest)
    first = one.run()
    assert first.code == 0, first.said
    again = one.run()
    assert again.code == 0 and "nothing to do" in again.said, again.said
    return first, one.result()


def survives(one: Lab, faults: dict[str, Any], expected: Result) -> bool:
    """Kills a run and runs again; whether the point was reached. Asserts that all is as without the kill."""
    killed = one.run(faults=faults)
    if killed.code == 0:
        return False
    assert killed.code == -9, f"{faults}: {killed.said}"
    tags, ended = one.tags(), one.ended_well()
    again = one.run()
    assert again.code == 0, f"{faults}: {again.said}"
    assert "Traceback" not in again.said
    moved = {f"{path.split('/')[-3]}:{path.rpartition('/')[2]}" for path in tags_put(again)}
    assert not [tag for tag in moved if tags.get(tag) == expected.tags.get(tag)], f"{faults}: moved again: {moved}"
    if ended:
        # Killed once its end was noted: what it had in use is cleared by whoever makes something next.
        one.sweep()
    found = one.result()
    assert _difference(found, expected) == [], f"{faults}"
    return True


def tags_put(run: Ended) -> list[str]:
    return [
        detail.partition(" ")[2]
        for point, detail in zip(run.points, run.details, strict=True)
        if point.startswith("before PUT manifests ")
    ]


def _difference(found: Result, expected: Result) -> list[str]:
    lines = [f"left over: {path}" for path in sorted(found.files - expected.files)]
    lines += [f"missing: {path}" for path in sorted(expected.files - found.files)]
    one, other = asdict(found), asdict(expected)
    return lines + [f"{name}: {one[name]}" for name in ("images", "lock", "tags") if one[name] != other[name]]


def commit_points(points: Sequence[str]) -> list[str]:
    """Each place of the product at which something lasting happens, once; making a folder and removing scratch has no
    meaning to anybody, and only the long variant tries it.
    """
    return [
        name
        for name in dict.fromkeys(points)
        if not any(word in name for word in ("mkdir", "os.remove", "os.rmdir", "uses.py"))
    ]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_each_commit_point(lab: Make, figure: Count, shard: int) -> None:
    first, expected = undisturbed(lab)
    points = commit_points(first.points)[shard::SHARDS]
    figure(
        "kills at commit points of layers, images, push and tags",
        sum(survives(lab(), {"name": name}, expected) for name in points),
    )


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("manifest", [MANIFEST, CONDA], ids=["all", "conda"])
def test_killed_at_every_point_with_all_that_it_started(lab: Make, figure: Count, manifest: str, shard: int) -> None:
    first, expected = undisturbed(lab, manifest)
    points = list(Counter(first.points).items())[shard::SHARDS]
    kills = [{"name": name, "nth": nth + 1, "group": True} for name, number in points for nth in range(number)]
    figure(
        "kills at every point of layers, images, push and tags",
        sum(survives(lab(manifest), kill, expected) for kill in kills),
    )


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_killed_at_random_points_again_and_again(lab: Make, figure: Count, shard: int) -> None:
    """Up to three kills before a run may end."""
    first, expected = undisturbed(lab)
    chance, kills = random.Random(shard), 0
    while kills < RANDOM // SHARDS:
        one = lab()
        for _ in range(chance.randrange(3)):
            kills += one.run(faults={"number": chance.randrange(1, len(first.points))}).code == -9
        kills += survives(one, {"number": chance.randrange(1, len(first.points))}, expected)
    figure("random kills at points", kills)


def test_each_stage_run_twice_does_nothing_more(lab: Make, figure: Count) -> None:
    """What each step made is forgotten, as when each had been killed just before its commit."""
    one = lab()
    first = one.run()
    assert first.code == 0, first.said
    expected = one.result()
    Store(one.home / "store").database.execute("DELETE FROM keys")
    again = one.run()
    assert again.code == 0 and "hit" not in again.said, again.said
    assert not tags_put(again)
    assert _difference(one.result(), expected) == []
    done = [line.split()[0] for line in again.said.splitlines() if line]
    figure("steps done twice", sum(word in ("base", "layer", "image", "push", "check", "tag") for word in done))
