"""A clock that is wrong, or jumps in the midst of a run: nothing that is needed goes, and no time is negative."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faultlab import Lab

Make = Callable[..., Lab]
Figure = Callable[[str, int], None]

STARTER = Path(__file__).with_name("clock_starter.py")
YEAR = 365 * 86400.0
CLOCKS = {
    "1970": [-time.time() + 10],
    "years ahead": [10 * YEAR],
    "set back by years": [0.0, -10 * YEAR],
    "jumps ahead by years": [0.0, 10 * YEAR],
    "jumps to and fro": [0.0, 5 * YEAR, -5 * YEAR, 3600.0, -3600.0, 0.0],
}


def told(lab: Lab, clock: list[float], *args: str) -> str:
    """What a command says by this clock; it ends well."""
    ended = subprocess.run(
        [sys.executable, str(STARTER), *args],
        env={**lab.environ, "CLOCK": json.dumps(clock)},
        cwd=lab.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert not re.search(r"(^|\s)-\d", said), said
    return said


@pytest.mark.parametrize("name", CLOCKS)
def test_a_run_with_a_wrong_clock_is_a_run(lab: Make, figure: Figure, name: str) -> None:
    clock, right = CLOCKS[name], [0.0]
    sound, one = lab(), lab()
    assert sound.run().code == 0
    told(one, clock, "run", "shop.yaml")
    for again in (right, clock):
        assert "nothing to do" in told(one, again, "run", "shop.yaml")
        told(one, again, "gc", "--older", "1d")
        assert "nothing to do" in told(one, again, "run", "shop.yaml")
        runs = [int(line.split()[0]) for line in told(one, again, "runs").splitlines()[1:]]
        assert runs == sorted(runs, reverse=True)
        for command in (["runs", "show", "1"], ["runs", "logs", "1"], ["image", "ls"], ["why", "web", "shop.yaml"]):
            told(one, again, *command)
    found = one.result()
    assert (found.images, found.lock) == (sound.result().images, sound.result().lock)
    figure("wrong clocks", 1)
