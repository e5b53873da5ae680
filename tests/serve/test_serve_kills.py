"""A server that is killed each minute, while commits arrive and clocks fire: nothing lost, and nothing done twice."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from servelab import Lab, manifest

from pipeline.serve.core import Core
from pipeline.serve.database import Database
from pipeline.serve.model import Job
from pipeline.serve.queue import Queue
from pipeline.store.lookup import find

STEPPER = Path(__file__).parent / "serve_stepper.py"
NAMES = ("one", "two", "three")
EVERY = 10
"""Minutes between firings of the schedule."""
CONFIG = "version: 1\nrepositories: {models: {url: origin, poll: 20s, drift: {look: 5m}}}\n"


class Killed:
    """Minutes of a server, each ended by SIGKILL at a moment by chance; sometimes its commands are killed with it."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab, self.chance = lab, random.Random(seed)
        self.begin = lab.now = 1_800_000_000.0 - 1_800_000_000 % 3600
        self.texts: dict[str, list[tuple[str, str]]] = {}
        self.serial = 0
        self.cut = 0
        self.starts = 0.5

    def minute(self) -> None:
        """Most are killed at work, some while they start; all at the end of the minute. How long things take is
        measured in the time that this one took to start: so a busy machine changes little.
        """
        process, began = self._start(self.lab.now), time.monotonic()
        if self.chance.random() < 0.1:
            self._wait(process, self.chance.uniform(0.0, self.starts))
        else:
            assert process.stdout and process.stdout.readline() == b"begins\n"
            self.starts = time.monotonic() - began
            if self.chance.random() < 0.4:
                self._commit()
            self._wait(process, self.chance.uniform(0.0, 5.0 * self.starts))
        self.lab.now += 60.0

    def _wait(self, process: subprocess.Popen[bytes], patience: float) -> None:
        try:
            assert process.wait(patience) == -signal.SIGKILL
        except subprocess.TimeoutExpired:
            self.cut += 1
            process.kill()
            process.wait()
            if self.chance.random() < 0.5:
                self._kill_commands()

    def settle(self) -> None:
        assert self._start(self.lab.now, "--settle").wait() == 0
        self.lab.now += 3600.0

    def met_enough(self, minutes: int) -> bool:
        """Whether there were kills at work, and one of them a job that was begun again."""
        database = Database(self.lab.folder / "home/state/serve/serve.db")
        again = any(job.attempt > 1 for job in Queue(database, lambda: self.lab.now).jobs(1_000_000))
        database.close()
        return self.cut > minutes / 10 and again

    def _start(self, begin: float, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(STEPPER), str(self.lab.folder), str(begin), *more]
        return subprocess.Popen(command, env=self.lab.environ, stdout=subprocess.PIPE)

    def _kill_commands(self) -> None:
        for path in (self.lab.folder / "home/state/serve/children").glob("*"):
            # Empty where the command has not begun: and 0 would be everybody.
            with contextlib.suppress(OSError):
                if process := path.read_text():
                    os.kill(int(process), signal.SIGKILL)

    def _commit(self) -> None:
        """One manifest's text, or that of two: one change each, never seen before."""
        names = self.chance.sample(NAMES, self.chance.choice((1, 1, 2)))
        self.serial += 1
        text = f"text {self.serial}"
        commit = self.lab.origin.commit({f"manifests/{name}.txt": text for name in names}, f"Change {self.serial}")
        for name in names:
            self.texts.setdefault(name, []).append((commit, text))


def check_jobs(jobs: list[Job]) -> None:
    """All ended, well or replaced by one that ended well; of one commit a manifest has one."""
    assert {job.state for job in jobs} <= {"done", "replaced"}, [job for job in jobs if job.state not in ("done",)]
    asked = Counter((job.manifest, job.commit) for job in jobs if job.reason.cause == "commit")
    assert max(asked.values()) == 1, [key for key, count in asked.items() if count > 1]
    last = {job.manifest: job for job in sorted(jobs, key=lambda job: job.id) if job.action == "run"}
    assert {job.state for job in last.values()} == {"done"}


def check_effects(killed: Killed, core: Core, jobs: list[Job]) -> None:
    """Each image is what the last commit says, and each job that ended well has one run that did it."""
    git = core.gits["models"]
    for name, texts in killed.texts.items():
        done = [job for job in jobs if job.manifest.path == f"manifests/{name}.yaml" and job.state == "done"]
        newest = max((job for job in done if job.action == "run"), key=lambda job: job.id)
        assert git.text(newest.commit, f"manifests/{name}.txt") == texts[-1][1]
        assert newest.told["images"][name] == find(core.store, f"{name}/{name}:latest").image.digest
    runs = core.journal.runs(1_000_000)
    of_job = Counter(run.asked.trigger.partition(":")[0] for run in runs if run.outcome in ("done", "nothing to do"))
    made = Counter(run.asked.trigger.partition(":")[0] for run in runs if run.outcome == "done")
    for job in jobs:
        if job.action == "run" and job.state == "done":
            assert of_job[f"serve, job {job.id}"] >= 1
            assert made[f"serve, job {job.id}"] <= 1, f"job {job.id} was done twice"
    steps = Counter(
        (step.step, step.key) for run in runs for step in core.journal.steps(run.id) if step.outcome == "made"
    )
    assert not [key for key, count in steps.items() if count > 1]


def check_schedule(killed: Killed, jobs: list[Job], minutes: int) -> None:
    """At each firing one job was made, or an earlier one was still open."""
    rebuilds = [job for job in jobs if job.reason.cause == "schedule"]
    marks = [killed.begin + 60.0 * minute for minute in range(EVERY, minutes, EVERY)]
    for mark in marks:
        made = [job for job in rebuilds if mark <= job.created < mark + EVERY * 60]
        merged = [job for job in rebuilds if job.created < mark and job.ended > mark]
        assert len(made) == 1 or (not made and merged), f"{len(made)} jobs of the firing at {mark - killed.begin:.0f} s"
    assert {job.state for job in rebuilds} <= {"done"}


def killed_for(tmp_path: Path, least: int, seed: int) -> Killed:
    schedule = f'schedule: "*/{EVERY} * * * *"\n'
    files = {**manifest("one"), **manifest("two"), **manifest("three", more=schedule)}
    killed = Killed(Lab(tmp_path / "lab", files, CONFIG), seed)
    # What a kill meets is chance: on until enough of them have met something, at most three times as long.
    for minutes in range(1, 3 * least + 1):
        killed.minute()
        if minutes >= least and killed.met_enough(minutes):
            break
    killed.settle()
    core = killed.lab.core()
    jobs = core.queue.jobs(1_000_000)
    check_jobs(jobs)
    check_effects(killed, core, jobs)
    check_schedule(killed, jobs, minutes)
    again = sum(job.attempt > 1 for job in jobs)
    print(f"{minutes} minutes: {killed.cut} kills, {killed.serial} commits, {len(jobs)} jobs, {again} begun again")
    core.close()
    assert killed.met_enough(minutes), "too few kills met anything"
    return killed


def test_a_server_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    killed_for(tmp_path, 30, seed=7)


@pytest.mark.long
def test_a_day_with_a_kill_each_minute(tmp_path: Path) -> None:
    killed_for(tmp_path, 24 * 60, seed=11)
