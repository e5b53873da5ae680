"""Collections beside runs, again and again: no run misses what it counted on, and the images are always the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from faultlab import MANIFEST, Lab, Result

Make = Callable[..., Lab]
Figure = Callable[[str, int], None]
OTHER = MANIFEST.replace("name: shop", "name: other").replace("push: {to: prod}", "env: {A: b}")


def beside(lab: Lab) -> None:
    """Two manifests that share layers, and two collections of all that may go, at the same time."""
    with ExitStack() as stack:
        commands = [("run", "shop.yaml"), ("gc", "--older", "0s"), ("run", "other.yaml"), ("gc", "--keep", "0")]
        runs = [stack.enter_context(lab.begin(*command)) for command in commands]
        said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0], "\n".join(said)
    assert not any("damaged" in each or "not in the store" in each for each in said), "\n".join(said)


def tagged(result: Result) -> dict[str, str]:
    return {name: digest for name, digest in result.images.items() if ":" in name}


def several(lab: Make, figure: Figure, rounds: int) -> None:
    one, alone = lab(), lab()
    for each in (one, alone):
        (each.project / "other.yaml").write_text(OTHER)
    for number in range(rounds):
        for each in (one, alone):
            # Two versions by turns: what the one made is not needed while the other is wanted.
            (each.project / "src/more.py").write_text(f"x = {number % 2}\n")
        beside(one)
        for name in ("shop.yaml", "other.yaml"):
            assert alone.run("run", name).code == 0
            assert "nothing to do" in one.run("run", name).said
        one.sweep()
        found, wanted = one.result(), alone.result()
        # A name alone is of what was made last: an image that was there still is not made again.
        assert tagged(found) == tagged(wanted)
        assert found.lock == wanted.lock
    figure("collections beside runs", 2 * rounds)


def test_runs_and_collections_at_the_same_time(lab: Make, figure: Figure) -> None:
    several(lab, figure, 2)


@pytest.mark.long
def test_runs_and_collections_at_the_same_time_many_times(lab: Make, figure: Figure) -> None:
    several(lab, figure, 60)
