"""Rebuilds with the real command line, a real Git and a registry whose tag moves: what is proposed, what applied."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from movingbase import Base, serving
from servelab import CONFIG, Lab

from pipeline.errors import OutOfReach
from pipeline.serve.actions import plan, rebuild
from pipeline.serve.children import Children
from pipeline.serve.environment import environment
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.ports import Outcome, Work
from pipeline.serve.proposals import movement
from pipeline.serve.settings import Signed
from pipeline.serve.withdrawals import Withdrawals

ONE = Tracked("models", "manifests/one.yaml")
LOCK = "manifests/one.lock"
MANIFEST = """\
version: 1
name: {name}
bases: {{slim: {{image: "{address}"}}}}
layers: {{code: {{files: [{{from: {name}.txt, to: /srv/}}]}}}}
images: {{{name}: {{base: slim, layers: [code], checks: {{size: 1MB}}}}}}
"""


def manifest(name: str, base: Base) -> dict[str, str]:
    return {f"manifests/{name}.yaml": MANIFEST.format(name=name, address=base.address), f"manifests/{name}.txt": "text"}


@pytest.fixture
def base() -> Iterator[Base]:
    with serving() as made:
        yield made


class Host:
    """A host's API in memory: the pull requests that were opened."""

    def __init__(self) -> None:
        self.proposed: list[tuple[str, ...]] = []
        self.withdrawn: list[tuple[str, ...]] = []
        self.silent = False

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        self.proposed.append((branch, into, title, body))
        return "https://git.example.com/pulls/7"

    def withdraw(self, branch: str, into: str, why: str) -> None:
        if self.silent:
            raise OutOfReach("the host does not answer", transient=True)
        self.withdrawn.append((branch, into, why))


class Meanwhile:
    """Commands that others are faster than: `then` happens before one of this name begins."""

    def __init__(self, commands: Any, name: str, then: Callable[[], object]) -> None:
        self._commands, self._name, self._then = commands, name, then

    def run(self, words: list[str], *more: Any) -> int:
        if words[0] == self._name:
            self._then()
        return int(self._commands.run(words, *more))


class Rebuilds:
    """A manifest that was run, with its lock."""

    def __init__(self, folder: Path, base: Base, lock: str) -> None:
        self.base = base
        self.lab = Lab(folder, {**manifest("one", base), LOCK: lock})
        self.lab.origin.git("config", "receive.denyCurrentBranch", "updateInstead")
        self.core = self.lab.core()
        self.host = Host()
        self.origin = self.lab.origin
        self.core.pushed("models")
        self.core.rota.tick(self.lab.now)
        while job := self.core.queue.take():
            self.core.queue.end(job.id, "done", 0, {})
        self.first = self.digest("main")

    def digest(self, branch: str) -> str:
        lock = json.loads(self.origin.git("show", f"{branch}:{LOCK}"))
        return next(one["locked"]["digest"] for id_, one in lock["entries"].items() if id_.startswith("bases.slim"))

    def branches(self) -> list[str]:
        return self.origin.git("branch", "--format=%(refname:short)").split()

    @contextmanager
    def work(self, asked: Mapping[str, Any] | None = None, policy: str = "propose", **more: Any) -> Iterator[Work]:
        core, commit = self.core, self.core.book.repository("models").applied
        job = core.queue.add(Job(0, ONE, "rebuild", Reason("schedule", "schedule 0 3 * * 1"), asked=asked or {}))
        taken = core.queue.take()
        assert taken and taken.id == job.id
        policies = replace(core.settings.repositories["models"].policies, rebuild=policy)
        repository = replace(core.settings.repositories["models"], policies=policies)
        with core.gits["models"].at(commit, ONE.path) as checkout:
            work = Work(
                job=replace(taken, commit=commit),
                settings=core.settings,
                repository=repository,
                entry=core.book.entry(ONE),
                checkout=checkout,
                manifest=checkout / ONE.path,
                environment=environment(core.environ, repository, job),
                log=core.logs / f"{job.id}.jsonl",
                commands=core.children,
                git=core.gits["models"],
                host=None,
                book=core.book,
                queue=core.queue,
                now=core.now,
                halted=lambda: False,
            )
            yield replace(work, **more)
        if (now := core.queue.job(job.id)) and now.state == "running":
            core.queue.end(job.id, "done", 0, {})

    def perform(self, asked: Mapping[str, Any] | None = None, policy: str = "propose", **more: Any) -> Outcome:
        with self.work(asked, policy, **more) as work:
            return rebuild.perform(work)


@pytest.fixture(scope="module")
def lock(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the manifest locks to at first; no lock names a host."""
    folder = tmp_path_factory.mktemp("lock")
    with serving() as first:
        for name, text in manifest("one", first).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        environ = {"PATH": os.environ["PATH"], "PIPELINE_HOME": str(folder / "home")}
        code, _, err = Children(folder / "children").ask(["lock", ONE.path], environ, folder)
        assert code == 0, err
    return (folder / LOCK).read_text()


@pytest.fixture
def rebuilds(tmp_path: Path, base: Base, lock: str) -> Iterator[Rebuilds]:
    made = Rebuilds(tmp_path / "lab", base, lock)
    yield made
    made.core.close()


def test_nothing_new_is_nothing_done(rebuilds: Rebuilds) -> None:
    before = rebuilds.origin.head
    outcome = rebuilds.perform()
    assert (outcome.state, outcome.told["text"]) == ("done", "nothing new")
    assert rebuilds.origin.head == before


def test_what_moved_is_proposed_with_its_diff(rebuilds: Rebuilds) -> None:
    head, new = rebuilds.origin.head, rebuilds.base.push("second")
    outcome = rebuilds.perform(host=rebuilds.host)
    assert outcome.state == "done"
    assert outcome.told["url"] == "https://git.example.com/pulls/7"
    assert outcome.told["moved"].startswith("base slim: base:latest ")
    assert outcome.told["lock"] == [line for line in outcome.told["lock"] if line.startswith("bases.slim: image ")]
    ((branch, into, title, body),) = rebuilds.host.proposed
    assert (branch, into) == ("pipeline/rebuild/one", "main")
    assert title.startswith("one: base slim: ")
    assert "schedule 0 3" in body and outcome.told["lock"][0] in body
    assert (rebuilds.digest(branch), rebuilds.digest("main"), rebuilds.origin.head) == (new, rebuilds.first, head)
    assert "schedule 0 3 * * 1" in rebuilds.origin.git("log", "-1", "--format=%B", branch)


def test_the_same_is_not_proposed_twice(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    tip = rebuilds.origin.git("rev-parse", "pipeline/rebuild/one")
    outcome = rebuilds.perform(host=rebuilds.host)
    assert outcome.told["text"] == "proposed already"
    assert outcome.told["url"] == "https://git.example.com/pulls/7"
    assert (rebuilds.origin.git("rev-parse", "pipeline/rebuild/one"), len(rebuilds.host.proposed)) == (tip, 1)


def test_what_moves_again_takes_the_place_of_the_proposal(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    third = rebuilds.base.push("third")
    rebuilds.perform({"upgrade": ["slim"]}, host=rebuilds.host)
    assert rebuilds.digest("pipeline/rebuild/one") == third
    assert rebuilds.origin.git("rev-list", "--count", "main..pipeline/rebuild/one") == "1"


def test_what_is_gone_back_is_withdrawn(rebuilds: Rebuilds) -> None:
    second = rebuilds.base.push("second")
    rebuilds.perform()
    rebuilds.base.push("first")
    assert rebuilds.perform().told["text"] == "nothing new; what was proposed is withdrawn"
    # The same as before is news again.
    assert rebuilds.base.push("second") == second
    assert rebuilds.perform().told["text"].startswith("proposed: branch pipeline/rebuild/one")


def withdrawn(rebuilds: Rebuilds) -> list[str]:
    """Why proposals were withdrawn, once the duty has looked."""
    duty = Withdrawals(rebuilds.core.book, rebuilds.core.gits, {"models": rebuilds.host}, rebuilds.lab.said.append)  # type: ignore[dict-item]
    duty.do(rebuilds.lab.now)
    return [f"{branch} into {into}: {why}" for branch, into, why in rebuilds.host.withdrawn]


BRANCH = "pipeline/rebuild/one"


def test_where_nothing_is_new_any_more_its_pull_request_is_closed_and_its_branch_removed(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    assert withdrawn(rebuilds) == [] and BRANCH in rebuilds.branches()
    rebuilds.base.push("first")
    assert "withdrawn" in rebuilds.perform(host=rebuilds.host).told["text"]
    (said,) = withdrawn(rebuilds)
    assert said.startswith(
        f"{BRANCH} into main: Withdrawn by pipeline: resolved anew (schedule 0 3 * * 1), the lock names"
    )
    assert BRANCH not in rebuilds.branches()
    assert len(withdrawn(rebuilds)) == 1


def test_a_branch_that_others_have_pushed_to_stays(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.origin.git("checkout", "--quiet", BRANCH)
    theirs = rebuilds.origin.commit({"manifests/one.txt": "fits the new base"}, "Fit it")
    rebuilds.origin.git("checkout", "--quiet", "main")
    rebuilds.base.push("first")
    rebuilds.perform(host=rebuilds.host)
    assert len(withdrawn(rebuilds)) == 1
    assert rebuilds.origin.git("rev-parse", BRANCH).strip() == theirs


def test_what_was_merged_by_hand_is_closed_at_once(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    lock = rebuilds.origin.git("show", f"{BRANCH}:{LOCK}")
    commit = rebuilds.origin.commit({LOCK: f"{lock}\n"}, "Taken by hand")
    rebuilds.core.rota.call("watch models", rebuilds.lab.now)
    (said,) = withdrawn(rebuilds)
    assert f"this lock is in main already, as of {commit[:7]}" in said


def test_of_a_manifest_that_was_deleted_nothing_is_proposed(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.origin.commit({ONE.path: None, LOCK: None}, "Not any more")
    rebuilds.core.rota.call("watch models", rebuilds.lab.now)
    assert "manifests/one.yaml is not there any more" in withdrawn(rebuilds)[0]


def test_a_newer_proposal_by_another_branch_takes_the_place(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.base.push("third")
    entry = rebuilds.core.book.entry(ONE)
    assert entry
    rebuilds.perform(host=rebuilds.host, entry=replace(entry, name="renamed"))
    (said,) = withdrawn(rebuilds)
    assert said.startswith(f"{BRANCH} into main") and "a newer proposal takes its place: https://git" in said
    assert BRANCH not in rebuilds.branches() and "pipeline/rebuild/renamed" in rebuilds.branches()


def test_a_withdrawal_waits_for_a_silent_host_and_gives_way_to_a_new_proposal(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.base.push("first")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.host.silent = True
    with pytest.raises(OutOfReach):
        withdrawn(rebuilds)
    assert BRANCH in rebuilds.branches()
    rebuilds.base.push("third")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.host.silent, rebuilds.lab.now = False, rebuilds.lab.now + 3600
    assert withdrawn(rebuilds) == []
    assert BRANCH in rebuilds.branches()


def test_a_merged_proposal_is_run_and_nothing_is_new_then(rebuilds: Rebuilds) -> None:
    new = rebuilds.base.push("second")
    rebuilds.perform()
    rebuilds.origin.git("merge", "--quiet", "pipeline/rebuild/one")
    rebuilds.lab.settle(rebuilds.core, 60)
    job = rebuilds.core.queue.jobs(1)[0]
    assert (job.action, job.state, job.reason.cause) == ("run", "done", "commit")
    assert rebuilds.digest("main") == new
    assert rebuilds.perform().told["text"] == "nothing new"


def test_applied_it_is_run_and_committed_and_not_run_twice(rebuilds: Rebuilds) -> None:
    new = rebuilds.base.push("second")
    with rebuilds.work(policy="apply") as work:
        outcome = rebuild.perform(work)
    assert outcome.state == "done"
    assert outcome.told["made"] > 0
    assert outcome.told["commit"] == rebuilds.origin.head
    assert rebuilds.digest("main") == new
    run_ = rebuilds.core.journal.run(rebuilds.core.run_of(work.job.id) or 0)
    assert run_ and "schedule 0 3 * * 1" in run_.asked.trigger and "base slim: base:latest" in run_.asked.trigger
    rebuilds.lab.settle(rebuilds.core, 60)
    job = rebuilds.core.queue.jobs(1)[0]
    assert (job.action, job.told["made"], job.told["text"][:13]) == ("run", 0, "nothing to do")


def test_by_a_schedule_s_own_policy(rebuilds: Rebuilds) -> None:
    new = rebuilds.base.push("second")
    rebuilds.perform({"policy": "apply"})
    assert rebuilds.digest("main") == new


def test_what_cannot_be_built_is_not_pushed(rebuilds: Rebuilds) -> None:
    head = rebuilds.origin.head
    rebuilds.base.push("second", size=3_000_000)
    outcome = rebuilds.perform(policy="apply")
    assert (outcome.state, outcome.exit_code) == ("failed", 3)
    assert "1 MB" in outcome.told["text"]
    assert outcome.told["moved"].startswith("base slim")
    assert (rebuilds.origin.head, rebuilds.digest("main")) == (head, rebuilds.first)
    assert "pipeline/rebuild/one" not in rebuilds.origin.git("branch", "--no-merged", "main")


def test_what_cannot_be_resolved_is_told_with_its_reason(rebuilds: Rebuilds) -> None:
    outcome = rebuilds.perform({"upgrade": ["slin"]})
    assert (outcome.state, outcome.exit_code) == ("failed", 2)
    assert "'slin' is no base, no layer" in outcome.told["text"]
    assert "slim" in outcome.told["remedy"]


def test_a_push_that_is_refused_is_told_with_what_moved(rebuilds: Rebuilds) -> None:
    rebuilds.origin.git("config", "receive.denyCurrentBranch", "refuse")
    rebuilds.base.push("second")
    outcome = rebuilds.perform(policy="apply")
    assert outcome.state == "failed"
    assert "the new lock cannot be kept: the push to main is refused" in outcome.told["text"]
    assert "bare" in outcome.told["remedy"]
    assert outcome.told["moved"].startswith("base slim")
    assert rebuilds.digest("main") == rebuilds.first


def test_commits_that_came_meanwhile_stay_below_the_lock(rebuilds: Rebuilds) -> None:
    new = rebuilds.base.push("second")
    others: list[str] = []

    def commit() -> None:
        others.append(rebuilds.origin.commit({"manifests/one.txt": "more"}, "Meanwhile"))
        rebuilds.core.pushed("models")
        rebuilds.core.rota.tick(rebuilds.lab.now)

    outcome = rebuilds.perform(policy="apply", commands=Meanwhile(rebuilds.core.children, "run", commit))
    assert outcome.told["commit"] == rebuilds.origin.head
    assert rebuilds.origin.git("rev-parse", "HEAD^") == others[0]
    assert rebuilds.digest("main") == new
    # That commit is not run with the old lock before the lock's commit is.
    rebuilds.lab.settle(rebuilds.core, 120)
    last, meanwhile = (job for job in rebuilds.core.queue.jobs(2) if job.action == "run")
    assert (meanwhile.commit, meanwhile.state) == (others[0], "replaced")
    assert (last.commit, last.state) == (rebuilds.origin.head, "done")


def test_killed_after_the_push_it_pushes_nothing_again(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    first = rebuilds.perform(policy="apply")
    head = rebuilds.origin.head
    # As it is begun again: nothing was noted of the first, and the repository was not looked at yet.
    second = rebuilds.perform(policy="apply")
    assert first.told["commit"] == second.told["commit"] == head == rebuilds.origin.head
    assert second.told["made"] == 0


def test_a_lock_that_others_changed_meanwhile_is_resolved_again(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    lock = rebuilds.origin.git("show", f"main:{LOCK}")

    def commit() -> None:
        rebuilds.origin.commit({LOCK: f"{lock}\n\n"}, "Meanwhile")

    head = rebuilds.origin.head
    outcome = rebuilds.perform(policy="apply", commands=Meanwhile(rebuilds.core.children, "run", commit))
    assert "resolved again" in outcome.told["text"]
    assert rebuilds.origin.git("rev-parse", "HEAD^") == head
    rebuilds.lab.settle(rebuilds.core, 120)
    again = next(job for job in rebuilds.core.queue.jobs(9) if job.action == "rebuild" and job.told.get("policy"))
    assert (again.state, again.reason.text) == ("done", "schedule 0 3 * * 1")


@pytest.mark.parametrize("guarded", ["approve", "signed"])
def test_where_people_have_to_agree_it_is_only_proposed(rebuilds: Rebuilds, guarded: str) -> None:
    head = rebuilds.origin.head
    rebuilds.base.push("second")
    with rebuilds.work({"policy": "apply"}) as work:
        policies = replace(work.repository.policies, approve=guarded == "approve")
        signed = Signed(ssh="signers") if guarded == "signed" else None
        outcome = rebuild.perform(replace(work, repository=replace(work.repository, policies=policies, signed=signed)))
    assert outcome.told["policy"] == "propose"
    assert rebuilds.origin.head == head


def test_a_run_that_had_to_lock_proposes_the_lock(rebuilds: Rebuilds) -> None:
    rebuilds.origin.commit({LOCK: None}, "Forget the lock")
    rebuilds.base.push("second")
    rebuilds.lab.settle(rebuilds.core, 60)
    job = rebuilds.core.queue.jobs(1)[0]
    assert (job.action, job.state, job.told["policy"]) == ("run", "done", "propose")
    assert "proposed: branch pipeline/rebuild/one" in job.told["text"]
    assert rebuilds.digest("pipeline/rebuild/one") == rebuilds.base.digest


@pytest.mark.parametrize(
    ("names", "cause"), [(["slim"], "hand"), (["slim:openssl"], "packages"), (["openssl"], "packages"), ([], "hand")]
)
def test_packages_that_somebody_asks_for_are_the_cause(rebuilds: Rebuilds, names: list[str], cause: str) -> None:
    with rebuilds.work({"upgrade": names}) as work:
        by_hand = rebuilds.core.queue.note(work.job.id, reason=Reason("hand", "by hand, by Ada", who="Ada"))
        rebuild.perform(replace(work, job=by_hand))
        rebuild.perform(replace(work, job=rebuilds.core.queue.job(work.job.id) or by_hand))
    job = rebuilds.core.queue.job(work.job.id)
    words = f"packages {names[0]}: by hand, by Ada" if cause == "packages" else "by hand, by Ada"
    assert job and (job.reason.cause, job.reason.text, job.reason.who) == (cause, words, "Ada")


def test_a_schedule_stays_the_reason_and_says_what_moved(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    with rebuilds.work() as work:
        outcome = rebuild.perform(work)
        rebuilds.core.queue.end(work.job.id, "done", 0, outcome.told)
    job = rebuilds.core.queue.job(work.job.id)
    assert job and job.reason.cause == "schedule"
    assert job.because.startswith("schedule 0 3 * * 1; base slim: base:latest ")


def test_its_log_says_what_moved(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    with rebuilds.work() as work:
        rebuild.perform(work)
    events = [json.loads(line) for line in work.log.read_text().splitlines()]
    assert [event["event"] for event in events] == ["attempt", "step-said", "locked"]
    assert events[1]["text"] == "resolving everything anew"
    assert sorted(path.name for path in work.log.parent.glob(f"{work.job.id}*")) == [
        f"{work.job.id}.err",
        f"{work.job.id}.jsonl",
    ]


def test_locks_that_differ_in_files_alone_do_not_differ(rebuilds: Rebuilds) -> None:
    text = rebuilds.origin.git("show", f"main:{LOCK}")
    lock = json.loads(text)
    lock["files"] = {}
    assert movement(text, json.dumps(lock)) is None
    assert movement("", text)
    assert movement(text, text) is None


def test_what_was_approved_is_done_whatever_has_moved_since(rebuilds: Rebuilds) -> None:
    """The lock does not answer: what the plan has resolved is run, and nothing newer."""
    rebuilds.lab.config.write_text(CONFIG.replace("poll: 20s", "poll: 20s, approve: true"))
    rebuilds.core.close()
    core = rebuilds.core = rebuilds.lab.core()
    rebuilds.origin.commit({LOCK: None}, "Forget the lock")
    shown = rebuilds.base.push("second")
    rebuilds.lab.settle(core, 60)
    (waiting,) = (job for job in core.queue.open() if job.state == "approval")
    assert any(shown[7:19] in line for line in waiting.told["lock"])
    rebuilds.base.push("third")
    core.queue.approve(waiting.id, "Ada")
    # In another checkout than the one that it was planned in.
    with core.gits["models"].at(waiting.commit, ONE.path):
        rebuilds.lab.settle(core, 60)
    done = core.queue.job(waiting.id)
    assert done and (done.state, done.told["policy"]) == ("done", "propose"), done
    assert rebuilds.digest("pipeline/rebuild/one") == shown


# -- plans ------------------------------------------------------------------------------------------------------------


def planned(rebuilds: Rebuilds) -> list[str]:
    """The lock's lines of a plan of what the branch has now, and nothing has run of it."""
    rebuilds.core.pushed("models")
    rebuilds.core.rota.tick(rebuilds.lab.now)
    assert rebuilds.core.book.repository("models").applied == rebuilds.origin.head
    for job in rebuilds.core.queue.open():
        rebuilds.core.queue.cancel(job.id, "Ada")
    with rebuilds.work() as work:
        outcome = plan.perform(work)
    assert outcome.state == "done"
    return list(outcome.told["lock"])


def test_a_plan_tells_what_the_commits_lock_moves_since_what_was_deployed(rebuilds: Rebuilds) -> None:
    rebuilds.base.push("second")
    rebuilds.perform(host=rebuilds.host)
    rebuilds.origin.git("merge", "pipeline/rebuild/one")
    (line,) = planned(rebuilds)
    assert line.startswith("bases.slim: image ")


def test_a_plan_tells_what_a_run_will_lock_where_the_committed_lock_does_not_answer(rebuilds: Rebuilds) -> None:
    text = manifest("one", rebuilds.base)[ONE.path].replace(
        "{slim: {", f'{{more: {{image: "{rebuilds.base.address}"}}, slim: {{'
    )
    rebuilds.origin.commit({ONE.path: text.replace("images: {", "images: {two: {base: more}, ")}, "One base more")
    assert any(line.startswith("bases.more: new") for line in planned(rebuilds))
