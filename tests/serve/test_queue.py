"""The queue: what replaces what, who goes first, what a kill and a person change, and when that is heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.serve.database import Database
from pipeline.serve.model import Action, Job, Reason, State, Tracked
from pipeline.serve.queue import Queue

ONE, TWO = Tracked("models", "manifests/one.yaml"), Tracked("models", "manifests/two.yaml")


class Shop:
    """A queue whose time stands still, and what was heard of it."""

    def __init__(self, folder: Path) -> None:
        self.now = 1000.0
        self.heard: list[tuple[int, str]] = []
        self.database = Database(folder / "serve.db")
        self.queue = Queue(self.database, lambda: self.now, lambda job: self.heard.append((job.id, job.state)))

    def add(self, manifest: Tracked = ONE, action: Action = "run", state: State = "waiting", **asked: object) -> Job:
        return self.queue.add(Job(0, manifest, action, Reason("commit", "a commit"), state, "c" * 40, asked))

    def states(self) -> list[str]:
        return [job.state for job in reversed(self.queue.jobs(99))]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_later_job_takes_the_place_of_those_that_wait(shop: Shop) -> None:
    first = shop.add()
    second = shop.add()
    shop.add(TWO)
    assert shop.states() == ["replaced", "waiting", "waiting"]
    replaced = shop.queue.job(first.id)
    assert replaced and replaced.replaced_by == second.id and replaced.ended == shop.now


def test_what_runs_is_not_replaced_and_its_manifest_waits(shop: Shop) -> None:
    shop.add()
    running = shop.queue.take()
    assert running and running.attempt == 1
    later, other = shop.add(), shop.add(TWO)
    assert shop.states() == ["running", "waiting", "waiting"]
    taken = shop.queue.take()
    assert taken and taken.id == other.id and shop.queue.take() is None
    shop.queue.end(running.id, "done", 0, {"text": "well"})
    taken = shop.queue.take()
    assert taken and taken.id == later.id


def test_rollbacks_are_all_done(shop: Shop) -> None:
    shop.add(action="rollback", target="here")
    shop.add(action="rollback", target="here")
    assert shop.states() == ["waiting", "waiting"]


def test_a_plan_replaces_only_that_of_its_request_and_runs_beside_others(shop: Shop) -> None:
    shop.add()
    shop.queue.take()
    shop.add(action="plan", request=1)
    shop.add(action="plan", request=2)
    shop.add(action="plan", request=1)
    assert shop.states() == ["running", "replaced", "waiting", "waiting"]
    assert shop.queue.take() and shop.queue.take()


def test_what_ran_when_the_server_died_goes_on_first(shop: Shop) -> None:
    running = shop.add()
    shop.queue.take()
    shop.add(TWO)
    assert [job.id for job in shop.queue.resume()] == [running.id]
    taken = shop.queue.take()
    assert taken and (taken.id, taken.attempt) == (running.id, 2)


def test_a_job_waits_until_it_is_due(shop: Shop) -> None:
    job = shop.add()
    shop.queue.take()
    shop.queue.again(job.id, shop.now + 30, {"text": "out of reach"})
    assert shop.queue.take() is None and shop.queue.next_due() == shop.now + 30
    shop.now += 30
    taken = shop.queue.take()
    assert taken and taken.attempt == 2 and shop.queue.next_due() is None


def test_what_waits_for_approval_is_planned_and_told_so(shop: Shop) -> None:
    first = shop.add(state="approval")
    second = shop.add(state="approval")
    assert shop.states() == ["replaced", "replaced", "approval", "waiting"]
    plan = shop.queue.take()
    assert plan and (plan.action, dict(plan.asked)) == ("plan", {"approval": second.id})
    shop.queue.end(plan.id, "done", 0, {"text": "2 to do", "plan": ["layer code"]})
    waiting = shop.queue.job(second.id)
    assert waiting and waiting.state == "approval" and waiting.told["plan"] == ["layer code"]
    with pytest.raises(ValueError, match="replaced"):
        shop.queue.approve(first.id, "Ada")
    assert shop.queue.approve(second.id, "Ada").state == "waiting"


def test_a_plan_by_hand_takes_no_plan_from_what_waits_for_approval(shop: Shop) -> None:
    waiting = shop.add(state="approval")
    shop.add(action="plan")
    plan = shop.queue.take()
    assert plan and dict(plan.asked) == {"approval": waiting.id}


def test_a_person_cancels_what_waits_and_asks_what_runs_to_end(shop: Shop) -> None:
    waiting, running = shop.add(TWO), shop.add()
    assert shop.queue.cancel(waiting.id, "Ada").state == "cancelled"
    shop.queue.take()
    asked = shop.queue.cancel(running.id, "Ada")
    assert (asked.state, asked.told) == ("running", {"cancelling": "Ada"})
    with pytest.raises(ValueError, match="cancelled"):
        shop.queue.cancel(waiting.id, "Ada")


def test_a_change_is_heard_once_the_outermost_transaction_is_committed(shop: Shop) -> None:
    with shop.database.transaction():
        with shop.database.transaction():
            job = shop.add()
        assert shop.heard == []
    assert shop.heard == [(job.id, "waiting")]


def test_what_is_rolled_back_is_not_heard(shop: Shop) -> None:
    with pytest.raises(RuntimeError), shop.database.transaction():
        shop.add()
        raise RuntimeError
    assert shop.heard == [] and shop.states() == []
    job = shop.add()
    assert shop.heard == [(job.id, "waiting")]


def test_whoever_hears_may_use_the_queue(shop: Shop) -> None:
    seen: list[str] = []
    shop.queue.heard = lambda job: seen.extend(one.state for one in shop.queue.open() if one.id == job.id)
    shop.add()
    shop.queue.take()
    assert seen == ["waiting", "running"]


def test_old_jobs_are_forgotten_and_open_ones_never(shop: Shop) -> None:
    old = shop.add()
    shop.queue.take()
    shop.queue.end(old.id, "failed", 3, {})
    shop.add(TWO)
    shop.now += 100.0
    assert shop.queue.forget(shop.now - 50) == [old.id]
    assert shop.states() == ["waiting"]


def test_what_is_to_be_tried_again_gives_way_to_a_later_one(shop: Shop) -> None:
    older = shop.add()
    shop.queue.take()
    newer, other = shop.add(), shop.add(TWO)
    given = shop.queue.give_way(older.id, {"text": "out of reach"})
    assert given and (given.state, given.replaced_by, given.told["text"]) == ("replaced", newer.id, "out of reach")
    taken = [shop.queue.take(), shop.queue.take()]
    assert [job and job.id for job in taken] == [newer.id, other.id]
    assert shop.queue.give_way(newer.id, {}) is None


def mending(shop: Shop) -> Job:
    return shop.queue.add(Job(0, ONE, "run", Reason("drift", "drift: here is stopped"), commit="a" * 40))


def test_mending_leaves_what_waits_for_approval_and_gives_way_once_it_is_approved(shop: Shop) -> None:
    waiting = shop.add(state="approval")
    mends = mending(shop)
    assert shop.states() == ["approval", "waiting", "waiting"]
    shop.queue.approve(waiting.id, "Ada")
    replaced = shop.queue.job(mends.id)
    assert replaced and (replaced.state, replaced.replaced_by) == ("replaced", waiting.id)


def test_mending_that_runs_while_somebody_approves_is_not_tried_again(shop: Shop) -> None:
    waiting = shop.add(state="approval")
    mends = mending(shop)
    shop.queue.take()
    running = shop.queue.take()
    assert running and running.id == mends.id
    assert shop.queue.give_way(mends.id, {}) is None
    shop.queue.approve(waiting.id, "Ada")
    given = shop.queue.give_way(mends.id, {})
    assert given and given.replaced_by == waiting.id


def test_a_manifest_waits_for_what_runs_of_those_whose_name_it_has(shop: Shop) -> None:
    old = shop.add()
    shop.queue.take()
    shop.add(TWO, after=[ONE.id])
    newer = shop.add(TWO)
    assert dict(newer.asked) == {"after": [ONE.id]}
    assert shop.queue.take() is None
    shop.queue.end(old.id, "done", 0, {})
    taken = shop.queue.take()
    assert taken and taken.id == newer.id
