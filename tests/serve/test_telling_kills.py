"""Whatever fails and whenever it is killed: in the end each commit's status is how its job ended."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from newsroom import Newsroom

from pipeline.errors import OutOfReach
from pipeline.serve.messages import Message
from pipeline.serve.model import OPEN, Job, Tracked


class Killed(BaseException):
    pass


class Rough:
    """Calls through, and is killed before or after at times."""

    def __init__(self, chance: random.Random, call: object) -> None:
        self._chance, self._call = chance, call

    def __call__(self, *values: object) -> object:
        if self._chance.random() < 0.05:
            raise Killed
        found = self._call(*values)  # type: ignore[operator]
        if self._chance.random() < 0.05:
            raise Killed
        return found


def roughen(room: Newsroom, chance: random.Random) -> None:
    for part, names in ((room.book, ("tell", "told", "untold")), (room.news, ("look",))):
        for name in names:
            setattr(part, name, Rough(chance, getattr(part, name)))


def happens(room: Newsroom, chance: random.Random) -> None:
    """Something that a server does, or somebody asks of it."""
    open_jobs = room.queue.open()
    running = [job for job in open_jobs if job.state == "running"]
    what = chance.random()
    if what < 0.4:
        manifest = Tracked("models", f"manifests/{chance.randrange(3)}.yaml")
        room.add(manifest=manifest, commit=f"{chance.randrange(1 << 60):040x}")
    elif what < 0.6:
        room.queue.take()
    elif running:
        room.queue.end(running[0].id, chance.choice(["done", "failed"]), 0, {"text": "it ended"})
    elif open_jobs:
        room.queue.cancel(open_jobs[0].id, "ada")
    if chance.random() < 0.3:
        error = OutOfReach("away", transient=True)
        error.silent = chance.random() < 0.5
        (room.host if chance.random() < 0.5 else room.channel).errors.append(error)


@pytest.mark.parametrize("seed", range(8))
def test_all_is_told_in_the_end(tmp_path: Path, seed: int) -> None:
    chance, room = random.Random(seed), Newsroom(tmp_path)
    roughen(room, chance)
    kills = 0
    for _ in range(250):
        happens(room, chance)
        try:
            room.step(chance.choice([0.5, 3.0, 40.0]))
        except Killed:
            kills += 1
            room.database.close()
            room.start()
            roughen(room, chance)
    room.database.close()
    room.start()
    while job := next(iter(room.queue.open()), None):
        room.queue.cancel(job.id, "ada") if job.state != "running" else room.queue.end(job.id, "done", 0, {})
    room.host.errors.clear()
    room.channel.errors.clear()
    room.until(7200)

    assert kills > 5
    assert room.notes() == []
    last = {commit: state for commit, state, *_ in room.host.statuses}
    for job in room.queue.jobs(1000):
        assert job.state not in OPEN
        assert last[job.commit] == {"done": "success", "failed": "failure"}.get(job.state, "error"), job
    in_order(room, {job.id: job for job in room.queue.jobs(1000)})


def in_order(room: Newsroom, jobs: dict[int, Job]) -> None:
    """Messages about a manifest come in the order in which its jobs ended, and the last says how the last one did; what
    is repeated after a kill has the same number.
    """
    numbers: set[str] = set()
    last: dict[str, Message] = {}
    for told in room.channel.got:
        if told.delivery in numbers:
            continue
        numbers.add(told.delivery)
        before, message = last.get(told.message.subject), told.message
        assert before is None or ended(before, jobs) <= ended(message, jobs)
        last[message.subject] = message
    for subject, message in last.items():
        newest = max((job for job in jobs.values() if job.manifest.id == subject and job.exit_code is not None), key=at)
        assert (message.event == "failed") == (newest.state == "failed"), subject


def ended(message: Message, jobs: dict[int, Job]) -> float:
    return at(jobs[int(message.facts["job"])])


def at(job: Job) -> float:
    return job.ended
