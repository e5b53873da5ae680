from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from watchlab import Lab, manifest

from pipeline.serve.model import RepositoryStatus, Tracked
from pipeline.serve.ports import Request
from pipeline.serve.reconcile import Reconcile
from pipeline.serve.watch import Watch, accept, decide

TWO = {"manifests/a.yaml": manifest("a"), "manifests/b.yaml": manifest("b", "../other"), "src/x": "x", "other/y": "y"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_all_manifests_run_when_a_repository_is_first_seen(lab: Lab) -> None:
    tip = lab.commit(TWO, "Begin")
    status = lab.look()
    assert (status.state, status.applied, status.seen) == ("ok", tip, tip)
    assert lab.jobs() == ["run manifests/a.yaml", "run manifests/b.yaml"]
    job = lab.queue.open()[0]
    assert job.commit == tip
    assert job.reason.text == f"commit {tip[:7]} 'Begin' by Ada"
    assert job.reason.url.endswith(tip)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"manifests/a.yaml": manifest("a") + "# more\n"}, ["run manifests/a.yaml"]),
        ({"src/new/file.py": "x"}, ["run manifests/a.yaml"]),
        ({"other/y": None}, ["run manifests/b.yaml"]),
        ({"manifests/b.lock": "lock"}, ["run manifests/b.yaml"]),
        ({"src/x": "1", "other/y": "2"}, ["run manifests/a.yaml", "run manifests/b.yaml"]),
        ({"manifests/c.yaml": manifest("c")}, ["run manifests/c.yaml"]),
        ({"README.md": "x", "manifests/environment.yml": "dependencies: []\n"}, []),
    ],
)
def test_a_commit_runs_what_it_concerns(lab: Lab, changes: dict[str, str | None], wanted: list[str]) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    tip = lab.commit(changes)
    assert lab.look().applied == tip
    assert lab.jobs() == wanted


def test_several_commits_are_one_job_that_says_so(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"src/x": "1"}, "One")
    lab.commit({"src/x": "2"}, "Two")
    lab.look()
    (job,) = lab.queue.open()
    assert job.reason.text.endswith("'Two' by Ada (+1 more)")


def test_nothing_new_is_nothing_to_do(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    assert lab.look().state == "ok"
    assert lab.jobs() == []


def test_a_force_push_is_not_applied_until_it_is_undone(lab: Lab) -> None:
    lab.commit(TWO)
    good = lab.commit({"src/x": "good"})
    lab.look()
    lab.finish()
    lab.origin.git("reset", "--hard", "--quiet", "HEAD~1")
    lab.commit({"src/x": "forced"})
    status = lab.look()
    assert (status.state, status.applied) == ("diverged", good)
    assert lab.jobs() == []
    lab.look()
    lab.origin.git("reset", "--hard", "--quiet", good)
    assert lab.look().state == "ok"
    assert lab.jobs() == []
    assert [line.partition(": ")[0] for line in lab.said] == [
        "repository models is diverged",
        "repository models is ok",
    ]


def test_there_is_something_to_tell_when_a_repository_changes_and_not_before(lab: Lab) -> None:
    heard: list[str] = []
    host: Any = lab.host
    lab.watch = Watch(lab.repository, lab.clone, host, lab.book, lab.queue, heard=lambda: heard.append("news"))
    lab.commit(TWO)
    lab.commit({"src/x": "good"})
    lab.look()
    lab.look()
    before = len(heard)
    lab.origin.git("reset", "--hard", "--quiet", "HEAD~1")
    lab.look()
    assert len(heard) == before + 1
    lab.look()
    assert len(heard) == before + 1
    lab.host.open = [request(7, branched(lab, "none", {"README": "x"}))]
    lab.look()
    assert len(heard) == before + 2


def test_a_force_push_that_somebody_accepts_is_applied_and_no_other(lab: Lab) -> None:
    lab.commit(TWO)
    lab.commit({"src/x": "good"})
    lab.look()
    lab.finish()
    lab.origin.git("reset", "--hard", "--quiet", "HEAD~1")
    forced = lab.commit({"src/x": "forced"})
    lab.look()
    accept(lab.book, "models", forced)
    status = lab.look()
    assert (status.state, status.applied, status.accepted) == ("ok", forced, "")
    assert lab.jobs() == ["run manifests/a.yaml"]


def test_a_history_that_is_not_related_is_diverged(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.origin.git("checkout", "--quiet", "--orphan", "new")
    lab.origin.commit({"src/x": "other"})
    lab.origin.git("branch", "-M", "new", "main")
    assert lab.look().state == "diverged"


def test_a_branch_or_a_repository_that_is_gone_tears_nothing_down(lab: Lab) -> None:
    lab.policies(prune=True)
    tip = lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.origin.git("branch", "-m", "main", "away")
    status = lab.look()
    assert (status.state, status.applied) == ("gone", tip)
    assert "has no branch main" in status.detail
    lab.origin.git("branch", "-m", "away", "main")
    lab.origin.folder.rename(lab.origin.folder.parent / "elsewhere")
    assert lab.look().state == "gone"
    assert lab.jobs() == []
    (lab.origin.folder.parent / "elsewhere").rename(lab.origin.folder)
    status = lab.look()
    assert (status.state, status.detail) == ("ok", "")
    assert lab.jobs() == []


def test_what_a_deleted_manifest_runs_is_left_alone(lab: Lab) -> None:
    first = lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"manifests/b.yaml": None})
    status = lab.look()
    assert status.state == "ok"
    assert "manifests/b.yaml" in status.detail
    assert lab.jobs() == []
    entry = lab.book.entry(Tracked("models", "manifests/b.yaml"))
    assert entry is not None and entry.gone and entry.commit == first
    lab.commit({"src/x": "1"})
    assert "manifests/b.yaml" in lab.look().detail


def test_with_prune_it_is_stopped_at_the_commit_that_had_it_last(lab: Lab) -> None:
    lab.policies(prune=True)
    first = lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"manifests/b.yaml": None})
    lab.look()
    (job,) = lab.queue.open()
    assert (job.action, job.manifest.path, job.commit, job.reason.cause) == (
        "stop",
        "manifests/b.yaml",
        first,
        "prune",
    )


def test_a_manifest_that_comes_back_is_run(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.commit({"manifests/b.yaml": None})
    lab.look()
    lab.finish()
    lab.commit({"manifests/b.yaml": manifest("b", "../other")})
    assert lab.look().detail == ""
    assert lab.jobs() == ["run manifests/b.yaml"]


def test_a_renamed_manifest_is_not_stopped(lab: Lab) -> None:
    lab.policies(prune=True)
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.origin.git("mv", "manifests/b.yaml", "manifests/new.yaml")
    lab.commit({})
    assert lab.look().detail == ""
    assert lab.jobs() == ["run manifests/new.yaml"]
    assert lab.book.entry(Tracked("models", "manifests/b.yaml")) is None


def test_what_waits_for_a_deleted_manifest_is_cancelled(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.commit({"manifests/b.yaml": None})
    lab.look()
    assert lab.jobs() == ["run manifests/a.yaml"]


def test_two_manifests_of_one_name(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"manifests/c.yaml": manifest("a")})
    lab.look()
    assert lab.jobs() == []
    (failed,) = [job for job in lab.queue.jobs(10) if job.state == "failed"]
    assert failed.manifest.path == "manifests/c.yaml"
    assert "manifests/a.yaml is" in str(failed.told["text"])
    lab.commit({"manifests/a.yaml": manifest("other")})
    lab.look()
    assert lab.jobs() == ["run manifests/a.yaml", "run manifests/c.yaml"]


def test_a_manifest_that_cannot_be_read_runs_and_tells(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"manifests/a.yaml": "version: 1\nimages: [\n"})
    lab.look()
    assert lab.jobs() == ["run manifests/a.yaml"]
    entry = lab.book.entry(Tracked("models", "manifests/a.yaml"))
    assert entry is not None and entry.error.startswith("manifests/a.yaml:3:1: ")
    assert (entry.name, entry.uses) == ("a", ("manifests/a.lock", "src"))


def test_commits_that_wait_for_approval(lab: Lab) -> None:
    lab.policies(approve=True)
    lab.commit({"manifests/a.yaml": manifest("a")})
    lab.look()
    assert lab.jobs("approval") == ["run manifests/a.yaml"]
    assert lab.jobs() == ["plan manifests/a.yaml"]


def test_other_settings_begin_anew_and_stop_nothing(lab: Lab) -> None:
    lab.commit({**TWO, "more/c.yaml": manifest("c")})
    lab.look()
    lab.finish()
    lab.policies(prune=True)
    lab.again(folders=("more",))
    lab.look()
    assert lab.jobs() == ["run more/c.yaml"]


def test_a_watched_folder_that_is_a_link(tmp_path: Path) -> None:
    lab = Lab(tmp_path, folders=("manifests",))
    (lab.origin.folder / "deploy").mkdir()
    (lab.origin.folder / "manifests").symlink_to("deploy")
    lab.commit({"deploy/a.yaml": manifest("a")})
    lab.look()
    assert lab.jobs() == ["run deploy/a.yaml"]


def test_odd_names_of_files(lab: Lab) -> None:
    lab.commit({'manifests/ä "b"\n.yaml': manifest("a", '"../s r\\tc"'), "s r\tc/x": "x"})
    lab.look()
    lab.finish()
    lab.commit({"s r\tc/x": "y"})
    lab.look()
    assert lab.jobs() == ['run manifests/ä "b"\n.yaml']


def test_a_kill_between_looks_doubles_and_loses_nothing(lab: Lab) -> None:
    lab.commit(TWO)

    class Killed(BaseException):
        pass

    put = lab.book.put_repository

    def killed(status: RepositoryStatus) -> None:
        put(status)
        raise Killed

    lab.book.put_repository = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        lab.look()
    lab.book.put_repository = put  # type: ignore[method-assign]
    assert lab.jobs() == []
    lab.look()
    assert lab.jobs() == ["run manifests/a.yaml", "run manifests/b.yaml"]


# -- when it is looked ------------------------------------------------------------------------------------------------


def test_it_looks_at_its_interval_and_more_rarely_while_nobody_answers(tmp_path: Path) -> None:
    lab = Lab(tmp_path, poll=60.0)
    lab.commit(TWO)
    lab.look()
    assert lab.watch.due(lab.now) == lab.now + 60
    lab.again(url="ssh://git@127.0.0.1:1/models.git")
    waits = []
    for _ in range(6):
        assert lab.look().state == "unreachable"
        waits.append((lab.watch.due(lab.now) or 0) - lab.now)
    assert waits == [120, 240, 480, 900, 900, 900]


def test_a_clock_that_was_set_back_does_not_stop_it(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    assert lab.watch.due(lab.now - 86400) == lab.now - 86400


# -- pull requests ----------------------------------------------------------------------------------------------------


def request(number: int, commit: str, **facts: object) -> Request:
    one = {"number": number, "commit": commit, "into": "main", "title": "Try", "author": "Bob", "url": "https://h/1"}
    return Request(**{**one, **facts})  # type: ignore[arg-type]


def branched(lab: Lab, name: str, files: dict[str, str | None]) -> str:
    lab.origin.git("checkout", "--quiet", "-B", name, "main")
    commit = lab.commit(files)
    lab.origin.git("checkout", "--quiet", "main")
    return commit


def test_a_pull_request_is_planned_once_and_again_when_it_changes(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    first = branched(lab, "try", {"src/x": "1"})
    lab.host.open = [request(7, first)]
    lab.look()
    lab.look()
    (job,) = lab.queue.open()
    assert (job.action, job.manifest.path, job.commit, dict(job.asked)) == (
        "plan",
        "manifests/a.yaml",
        first,
        {"request": 7, "name": "a"},
    )
    assert job.reason.cause == "pull-request"
    second = branched(lab, "try", {"other/y": "1"})
    lab.host.open = [request(7, second)]
    lab.look()
    assert lab.jobs() == ["plan manifests/b.yaml"]


def test_a_closed_pull_request_waits_for_no_plan(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.host.open = [request(7, branched(lab, "try", {"src/x": "1"}))]
    lab.look()
    lab.host.open = []
    lab.look()
    assert lab.jobs() == []


def ended_plans(lab: Lab) -> list[tuple[str, str, str]]:
    jobs = [job for job in lab.queue.jobs(10) if job.action == "plan" and job.ended]
    return [(job.manifest.path, job.state, str(job.told["text"])) for job in jobs if job.state != "cancelled"]


@pytest.mark.parametrize(("prune", "what"), [(True, "stopped"), (False, "left alone (`prune` is not set)")])
def test_a_pull_request_that_deletes_a_manifest_says_what_becomes_of_it(lab: Lab, prune: bool, what: str) -> None:
    lab.policies(prune=prune)
    lab.commit(TWO)
    lab.look()
    lab.finish()
    deleting = branched(lab, "del", {"manifests/b.yaml": None})
    # What comes to the branch meanwhile is not deleted by it.
    lab.commit({"manifests/c.yaml": manifest("c")})
    lab.host.open = [request(7, deleting)]
    lab.look()
    assert ended_plans(lab) == [("manifests/b.yaml", "done", f"deleted, and what it runs is {what}")]


def test_a_pull_request_that_moves_a_manifest_deletes_none(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.host.open = [request(7, branched(lab, "mv", {"manifests/b.yaml": None, "manifests/n.yaml": manifest("b")}))]
    lab.look()
    assert (lab.jobs(), ended_plans(lab)) == (["plan manifests/n.yaml"], [])


def test_a_pull_request_with_a_name_that_another_has_would_fail(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.host.open = [request(7, branched(lab, "dup", {"manifests/c.yaml": manifest("a")}))]
    lab.look()
    assert lab.jobs() == []
    ((path, state, text),) = ended_plans(lab)
    assert (path, state) == ("manifests/c.yaml", "failed")
    assert "as manifests/a.yaml is" in text


def test_the_comment_of_a_request_that_changes_nothing_any_more_is_taken_back(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.host.open = [request(7, branched(lab, "none", {"README": "it concerns no manifest"}))]
    lab.look()
    assert lab.book.notes(lab.now) == []
    lab.host.open = [request(7, branched(lab, "try", {"src/x": "1"}))]
    lab.look()
    lab.finish()
    undone = branched(lab, "try", {"README": "x"})
    lab.host.open = [request(7, undone)]
    lab.look()
    (note,) = lab.book.notes(lab.now)
    assert (note.kind, note.body["request"]) == ("comment", 7)
    assert f"changes no manifest any more, at `{undone[:12]}`" in note.body["body"]


def test_forks_and_other_branches_get_no_plan(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    commit = branched(lab, "try", {"src/x": "1"})
    lab.host.open = [request(7, commit, fork=True), request(8, commit, into="release")]
    lab.look()
    assert lab.jobs() == []


# -- decisions --------------------------------------------------------------------------------------------------------


def test_decisions() -> None:
    status = RepositoryStatus("models", applied="a" * 40)
    assert decide(status, "a" * 40, follows=True).apply is False
    assert decide(status, "b" * 40, follows=True).apply is True
    assert decide(status, "b" * 40, follows=False).state == "diverged"
    assert decide(status, "b" * 40, follows=True, unsigned=["c" * 40]).state == "unsigned"
    accepted = RepositoryStatus("models", applied="a" * 40, accepted="c" * 40)
    assert decide(accepted, "b" * 40, follows=True, unsigned=["c" * 40]).apply is True
    assert decide(accepted, "b" * 40, follows=False).state == "diverged"
    assert decide(accepted, "c" * 40, follows=False, unsigned=["c" * 40]).apply is True


def test_a_renamed_manifest_waits_for_what_still_runs_under_its_old_path(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"other/y": "newer"})
    lab.look()
    running = lab.queue.take()
    assert running and running.manifest.path == "manifests/b.yaml"
    lab.origin.git("mv", "manifests/b.yaml", "manifests/new.yaml")
    lab.commit({})
    lab.look()
    assert lab.queue.take() is None
    lab.queue.end(running.id, "done", 0, {})
    assert [job.manifest.path for job in lab.finish()] == ["manifests/new.yaml"]


@pytest.mark.parametrize("prune", [False, True])
def test_a_manifest_that_was_deleted_and_comes_back_elsewhere_is_not_gone(lab: Lab, prune: bool) -> None:
    lab.policies(prune=prune)
    lab.commit(TWO)
    lab.look()
    lab.finish()
    lab.commit({"manifests/b.yaml": None})
    lab.look()
    stops = lab.queue.take()
    lab.commit({"manifests/new.yaml": manifest("b", "../other")})
    status = lab.look()
    assert status.detail == ""
    assert lab.book.entry(Tracked("models", "manifests/b.yaml")) is None
    if stops:
        assert (stops.action, lab.queue.take()) == ("stop", None)
        lab.queue.end(stops.id, "done", 0, {})
    assert [job.manifest.path for job in lab.finish()] == ["manifests/new.yaml"]


def test_a_deleted_manifest_that_ran_nothing_is_forgotten(lab: Lab) -> None:
    lab.commit(TWO)
    lab.look()
    lab.finish()
    one = lab.book.entry(Tracked("models", "manifests/b.yaml"))
    assert one
    Reconcile(lab.book, lab.queue).idle(one.manifest, one.blob)
    lab.commit({"manifests/b.yaml": None})
    assert (lab.look().detail, lab.book.entry(one.manifest)) == ("", None)
