"""Runs and other commands killed by SIGKILL at any instant, with all that they started, and run again.

Nothing of the product is counted or wrapped here: how long a command lives is chance. A failure says the seed; with it
in FUZZ_SEED the same commands are chosen, though not the same instants.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import pytest
from faultlab import Lab, Result, end

Make = Callable[..., Lab]
Count = Callable[[str, int], None]
SHARDS = 4
RUNS, COMMANDS, PAIRS = 1000, 100, 60
OTHERS = [["gc"], ["gc", "--older", "0s"], ["store", "verify"], ["push"], ["lock"], ["plan"], ["run"]]
pytestmark = pytest.mark.long


class Killer:
    """Labs whose commands it kills, and what an undisturbed run gives and takes."""

    def __init__(self, make: Make, seed: int) -> None:
        self.make = make
        self.chance = random.Random(seed)
        self.kills = 0
        one = make()
        began = time.monotonic()
        self.run_well(one)
        self.seconds = time.monotonic() - began
        self.run_well(one)
        self.expected: Result = one.result()

    def begin(self, one: Lab, *args: str) -> subprocess.Popen[str]:
        """The command line as users start it, in a session of its own."""
        about = {"gc": [], "store": [], "push": ["shop/web", f"http://{one.registry}/web:v1"]}
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline", *args, *about.get(args[0], [str(one.manifest)])],
            env=one.environ,
            cwd=one.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def killed(self, one: Lab, *args: str, within: float = 1.0) -> bool:
        """Whether the command was killed before its end; what ended before must not have met a bug.

        `within` is the part of an undisturbed run's time in which it is killed.
        """
        with self.begin(one, *args) as process:
            return self.struck(process, args, within)

    def struck(self, process: subprocess.Popen[str], args: Sequence[str], within: float = 1.0) -> bool:
        try:
            said = process.communicate(timeout=self.chance.uniform(0.05, self.seconds * within))[0]
        except subprocess.TimeoutExpired:
            end(process)
            said = process.communicate()[0]
        assert "bug:" not in said and "Traceback" not in said, f"{args}: {said}"
        self.kills += process.returncode == -signal.SIGKILL
        return process.returncode == -signal.SIGKILL

    def run_well(self, one: Lab) -> None:
        with self.begin(one, "run") as process:
            said = process.communicate(timeout=120)[0]
        assert process.returncode == 0, said

    def is_as_expected(self, one: Lab, after: object) -> None:
        """A run ends well, and then all is as in a lab that nobody disturbed."""
        tags, ended = one.tags(), one.ended_well()
        again = one.run()
        assert again.code == 0 and "Traceback" not in again.said, f"{after}: {again.said}"
        right = [tag for tag in tags if tags[tag] == self.expected.tags.get(tag)]
        moved = [detail for point, detail in zip(again.points, again.details, strict=True) if "PUT manifests " in point]
        assert not [tag for tag in right if any(detail.endswith(tag.replace(":", "/manifests/")) for detail in moved)]
        if ended:
            # Killed once its end was noted: what it had in use is cleared by whoever makes something next.
            one.sweep()
        found = one.result()
        left = sorted(found.files - self.expected.files), sorted(self.expected.files - found.files)
        assert left == ([], []), f"{after}: left over, missing: {left}"
        mine, other = asdict(found), asdict(self.expected)
        assert [name for name in ("images", "lock", "tags") if mine[name] != other[name]] == [], f"{after}"


@pytest.fixture
def killer(lab: Make, request: pytest.FixtureRequest) -> Killer:
    seed = int(os.environ.get("FUZZ_SEED") or int.from_bytes(os.urandom(4)))
    print(f"FUZZ_SEED={seed}")
    return Killer(lab, seed + request.node.callspec.params["shard"])


@pytest.mark.parametrize("shard", range(SHARDS))
def test_runs_killed_at_random_instants(killer: Killer, figure: Count, shard: int) -> None:
    """Up to seven kills before a run may end; each leaves less to do, and the next comes sooner."""
    while killer.kills < RUNS // SHARDS:
        one, before = killer.make(), killer.kills
        for number in range(killer.chance.randint(1, 7)):
            if not killer.killed(one, "run", within=0.8**number):
                break
        killer.is_as_expected(one, f"shard {shard}, kills {before} to {killer.kills}")
    figure("random kills of runs", killer.kills)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_other_commands_killed_at_random_instants(killer: Killer, figure: Count, shard: int) -> None:
    """On a store that is whole, and on one that a killed run has left."""
    one = killer.make()
    while killer.kills < COMMANDS // SHARDS:
        command = killer.chance.choice(OTHERS)
        if killer.chance.random() < 0.2:
            one = killer.make()
            killer.killed(one, "run")
        killer.killed(one, *command, within=0.4)
        killer.is_as_expected(one, f"shard {shard}: {command}")
    figure("random kills of other commands", killer.kills)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_one_of_two_at_the_same_time_killed(killer: Killer, figure: Count, shard: int) -> None:
    """Of two runs, or of a run and another command: the other one ends well."""
    while killer.kills < PAIRS // SHARDS:
        one, other = killer.make(), killer.chance.choice([["run"], ["run"], *OTHERS[:3]])
        with contextlib.ExitStack() as stack:
            stays = stack.enter_context(killer.begin(one, "run"))
            dies = stack.enter_context(killer.begin(one, *other))
            killer.struck(dies, other)
            said = stays.communicate(timeout=120)[0]
        assert stays.returncode == 0, f"{other} was killed: {said}"
        killer.is_as_expected(one, f"shard {shard}: {other}")
    figure("random kills beside a run", killer.kills)
