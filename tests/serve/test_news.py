"""What is told of jobs, repositories and targets: each thing once, and no storm."""

from __future__ import annotations

from pathlib import Path

import pytest
from newsroom import BY_CLOCK, COMMIT, LATER, PROD, STAGING, Newsroom

from pipeline.serve.model import Reason


@pytest.fixture
def room(tmp_path: Path) -> Newsroom:
    found = Newsroom(tmp_path)
    found.entry()
    return found


# -- statuses of commits ----------------------------------------------------------------------------------------------


def test_a_job_is_a_status_of_its_commit(room: Newsroom) -> None:
    job = room.add()
    room.step()
    room.queue.take()
    room.step()
    room.queue.end(job.id, "done", 0, {"text": "done in 4.2 s: 3 made, 2 hits"})
    room.step()
    url = f"https://serve.example.com/jobs/{job.id}"
    assert room.host.statuses == [
        (COMMIT, "pending", "pipeline/prod", "waits for its turn", url),
        (COMMIT, "pending", "pipeline/prod", "running", url),
        (COMMIT, "success", "pipeline/prod", "done in 4.2 s: 3 made, 2 hits", url),
    ]


def test_a_failure_says_why(room: Newsroom) -> None:
    room.ran("failed", "manifests/prod.yaml:7: no such package: numpyy\nsecond line")
    room.step()
    assert room.host.statuses[-1][1:4] == (
        "failure",
        "pipeline/prod",
        "manifests/prod.yaml:7: no such package: numpyy",
    )


def test_a_status_fits_what_hosts_show(room: Newsroom) -> None:
    room.ran("failed", "x" * 900)
    room.step()
    assert len(room.host.statuses[-1][3]) == 140


def test_a_manifest_without_a_name_goes_by_its_path(room: Newsroom) -> None:
    room.add(manifest=STAGING)
    room.step()
    assert room.host.statuses[0][2] == "pipeline/manifests/staging.yaml"


def test_what_was_replaced_does_not_stay_pending(room: Newsroom) -> None:
    room.add()
    room.step()
    room.add(commit=LATER)
    room.step()
    assert room.states()[1:] == [("3f9c1d0", "error", "pipeline/prod"), ("77ab12e", "pending", "pipeline/prod")]


def test_of_the_same_commit_the_later_job_says_how_it_is(room: Newsroom) -> None:
    room.add()
    room.add()
    room.step()
    assert room.states() == [("3f9c1d0", "pending", "pipeline/prod")]


def test_what_no_commit_asked_for_is_no_status(room: Newsroom) -> None:
    room.ran("done", action="rollback", reason=Reason("hand", "by hand", who="ada"))
    room.ran("done", action="plan")
    room.ran("done", action="run", commit="")
    room.ran("done", action="run", manifest=type(PROD)("plain", "a.yaml"))
    room.step()
    assert room.host.statuses == []


def test_what_waits_for_approval_is_pending(room: Newsroom) -> None:
    room.add(state="approval")
    room.step()
    assert room.host.statuses[0][1:4] == ("pending", "pipeline/prod", "waits for approval")


# -- once, whenever it is killed --------------------------------------------------------------------------------------


def test_nothing_is_told_twice_or_never_by_a_kill(room: Newsroom) -> None:
    job = room.ran("failed", "no such package")
    # Killed before it looked: nobody had heard of the change.
    room.start()
    room.step()
    assert room.channel.titles == ["prod failed"]
    room.start()
    room.step()
    room.step(120)
    assert room.channel.titles == ["prod failed"]
    assert room.notes() == []
    assert room.host.statuses[-1][4].endswith(f"/jobs/{job.id}")


def test_notes_and_what_was_seen_are_kept_together(room: Newsroom) -> None:
    room.ran("failed", "no such package")
    full = room.book.tell

    def fails(*args: object) -> None:
        full(*args)  # type: ignore[arg-type]
        raise RuntimeError("killed here")

    room.book.tell = fails  # type: ignore[method-assign, assignment]
    with pytest.raises(RuntimeError):
        room.step()
    assert room.notes() == []
    room.start()
    room.step()
    assert room.channel.titles == ["prod failed"]


# -- a request's plan -------------------------------------------------------------------------------------------------


def test_one_comment_tells_all_plans_of_a_request(room: Newsroom) -> None:
    room.entry(STAGING, "staging")
    first = room.add("plan", asked={"request": 4})
    second = room.add("plan", STAGING, asked={"request": 4})
    room.ran(
        "done", "3 to be made", job=first, told={"plan": ["layer  science  miss"], "lock": ["- numpy 1", "+ numpy 2"]}
    )
    room.step()
    assert room.host.comments == {}
    room.ran("failed", "no such package: numpyy", job=second)
    room.step()
    text = room.host.comments[4, "plan"]
    assert text.startswith("### What this pull request would do\n\n1 of 2 manifests would fail, at `3f9c1d0")
    for part in (
        "**prod**",
        "3 to be made",
        "+ numpy 2",
        "layer  science  miss",
        "**staging**",
        "no such package: numpyy",
    ):
        assert part in text
    assert f"(https://serve.example.com/jobs/{first.id})" in text
    assert room.states()[-1] == ("3f9c1d0", "failure", "pipeline/staging (plan)")
    assert room.channel.got == []


def test_new_commits_of_a_request_change_its_comment(room: Newsroom) -> None:
    room.ran("done", "3 to be made", action="plan", asked={"request": 4})
    room.ran("done", "elsewhere", action="plan", asked={"request": 5})
    room.step()
    job = room.add("plan", asked={"request": 4}, commit=LATER)
    room.step()
    assert "3 to be made" in room.host.comments[4, "plan"]
    room.ran("done", "nothing to do", job=job)
    room.step()
    assert "nothing to do" in room.host.comments[4, "plan"]
    assert "3 to be made" not in room.host.comments[4, "plan"]
    assert "elsewhere" in room.host.comments[5, "plan"]


# -- messages ---------------------------------------------------------------------------------------------------------


def test_failed_then_recovered(room: Newsroom) -> None:
    room.ran("done", "fine")
    room.step()
    room.ran("failed", "no such package")
    room.step()
    room.ran("done", "fine")
    room.step()
    room.ran("done", "fine")
    room.step()
    assert room.channel.titles == ["prod is done", "prod failed", "prod is well again", "prod is done"]
    failed = room.channel.got[1].message
    assert (failed.text, failed.facts["because"], failed.facts["by"]) == (
        "no such package",
        "commit 3f9c1d0 'Newer model' by Ada",
        "Ada",
    )


def test_only_what_is_wanted_is_told(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, on=("recovered",))
    room.ran("failed", "no")
    room.ran("done", "yes")
    room.step()
    assert [told.message.event for told in room.channel.got] == ["recovered"]


def test_the_same_failure_of_a_clock_is_told_once_and_then_with_a_count(room: Newsroom) -> None:
    for hour in range(60):
        room.ran("failed", f"mirror out of reach after {hour}.5 s", action="rebuild", reason=BY_CLOCK)
        room.step(3600)
    titles = room.channel.titles
    assert titles[0] == "prod (rebuild) failed"
    assert titles[1].startswith("prod (rebuild) failed 25 times since 2023-11-14 22:13 UTC")
    assert titles[2].startswith("prod (rebuild) failed 49 times")
    assert len(titles) == 3
    room.ran("failed", "quite another reason", action="rebuild", reason=BY_CLOCK)
    room.step()
    assert room.channel.titles[3].startswith("prod (rebuild) failed 61 times")
    room.ran("done", "nothing new", action="rebuild", reason=BY_CLOCK)
    room.step()
    assert room.channel.titles[4] == "prod (rebuild) is well again, after it failed 61 times"


def test_a_failure_of_each_new_commit_is_told(room: Newsroom) -> None:
    for _ in range(3):
        room.ran("failed", "no such package")
        room.step()
    assert len(room.channel.got) == 3


def test_one_manifests_success_is_not_anothers_recovery(room: Newsroom) -> None:
    room.ran("failed", "no")
    room.ran("done", "yes", manifest=STAGING)
    room.ran("done", "yes", action="rebuild")
    room.step()
    assert "recovered" not in [told.message.event for told in room.channel.got]


def test_a_proposal_is_told_as_long_as_it_is_another(room: Newsroom) -> None:
    told = {"policy": "propose", "url": "https://github.com/acme/models/pull/9", "lock": ["numpy 1.26.4 → 2.0.0"]}
    for lock in (["numpy 1.26.4 → 2.0.0"], ["numpy 1.26.4 → 2.0.0"], ["numpy 1.26.4 → 2.1.0"]):
        room.ran("done", "proposed", action="rebuild", reason=BY_CLOCK, told={**told, "lock": lock})
        room.step()
    assert room.channel.titles == ["prod: a new lock is proposed"] * 2
    message = room.channel.got[0].message
    assert message.url == "https://github.com/acme/models/pull/9"
    assert "numpy 1.26.4 → 2.0.0" in message.text


def test_approval_is_asked_for(room: Newsroom) -> None:
    job = room.add(state="approval")
    room.step()
    assert room.channel.titles == ["prod: run waits for approval"]
    assert room.channel.got[0].message.url.endswith(f"/jobs/{job.id}")


def test_no_secret_is_told(tmp_path: Path) -> None:
    room = Newsroom(tmp_path, secrets=("hunter2",))
    room.ran("failed", "login with hunter2 failed", reason=Reason("commit", "commit 'hunter2'"))
    room.ran("done", "", action="plan", asked={"request": 1}, told={"plan": ["arg hunter2"], "lock": ["+ hunter2"]})
    room.is_now("broken", "hunter2 is wrong")
    room.seen("running")
    room.step()
    room.seen("failed", detail="hunter2")
    room.step()
    assert len(room.channel.got) == 3
    told = repr((room.channel.got, room.host.statuses, room.host.comments, room.said))
    assert "hunter2" not in told
    assert "login with *** failed" in told


# -- repositories -----------------------------------------------------------------------------------------------------


def test_a_repository_that_is_not_well_is_told_once_and_when_it_is_again(room: Newsroom) -> None:
    room.is_now("ok")
    room.step()
    for _ in range(3):
        room.is_now("gone", "there is no branch 'main' any more")
        room.step(60)
    room.is_now("ok")
    room.step()
    room.step()
    assert room.channel.titles == [
        "repository models is gone: nothing is applied or torn down",
        "repository models is well again",
    ]
    assert room.channel.got[0].message.text == "there is no branch 'main' any more"


def test_a_hiccup_of_the_network_is_no_news(room: Newsroom) -> None:
    room.is_now("unreachable", "no answer in time")
    room.step(120)
    room.is_now("ok")
    room.step()
    assert room.channel.got == []
    room.is_now("unreachable", "no answer in time")
    for _ in range(12):
        room.step(60)
        room.is_now("unreachable", "no answer in time")
    assert room.channel.titles == ["repository models does not answer"]


@pytest.mark.parametrize("state", ["diverged", "unsigned"])
def test_a_commit_that_is_held_back_says_so(room: Newsroom, state: str) -> None:
    room.is_now(state, "nobody whose signature counts", seen=LATER, applied=COMMIT)
    room.step()
    room.step()
    assert room.host.statuses == [
        (
            LATER,
            "failure",
            "pipeline",
            f"{state}: nobody whose signature counts",
            "https://serve.example.com/repositories",
        )
    ]
    room.is_now("ok", seen=LATER, applied=LATER, accepted=LATER)
    room.step()
    assert room.host.statuses[-1][1:4] == ("success", "pipeline", "accepted")


def test_a_branch_that_was_put_back_leaves_no_success_behind(room: Newsroom) -> None:
    room.is_now("diverged", "forced", seen=LATER, applied=COMMIT)
    room.step()
    room.is_now("ok", seen=COMMIT, applied=COMMIT)
    room.step()
    assert [state for _, state, *_ in room.host.statuses] == ["failure"]


# -- what is live -----------------------------------------------------------------------------------------------------


def test_drift_is_told_once_and_when_it_is_gone(room: Newsroom) -> None:
    room.seen()
    room.step()
    for _ in range(3):
        room.seen(drift=("replicas 3 → 1",), pinned="r4")
        room.step(600)
    room.seen()
    room.step()
    assert room.channel.titles == ["prod, here: not as it was made", "prod, here: as it was made again"]
    message = room.channel.got[0].message
    assert message.text == "replicas 3 → 1"
    assert message.facts["pinned"] == "r4"
    assert message.url == "https://serve.example.com/manifests/models/manifests/prod.yaml"


def test_other_drift_is_other_news(room: Newsroom) -> None:
    room.seen(drift=("replicas 3 → 1",))
    room.step()
    room.seen(drift=("replicas 3 → 1", "image changed"))
    room.step()
    assert len(room.channel.got) == 2


def test_a_service_that_is_down(room: Newsroom) -> None:
    room.seen("running")
    room.step()
    room.seen("failed", detail="exit code 1")
    room.step()
    room.start()
    room.step(60)
    room.seen("unknown")
    room.step()
    room.seen("running")
    room.step()
    assert [told.message.text for told in room.channel.got] == ["it is failed: exit code 1", ""]


def test_a_service_that_never_ran_or_is_being_changed_is_no_drift(room: Newsroom) -> None:
    room.seen("absent")
    room.step()
    room.seen("running")
    room.step()
    job = room.add()
    room.queue.take()
    room.seen("absent")
    room.step()
    assert room.channel.got == []
    # The run ended, and it is still gone.
    room.queue.end(job.id, "done", 0, {})
    room.step()
    assert [told.message.event for told in room.channel.got] == ["done", "drift"]


def test_what_somebody_asked_for_is_told_each_time(room: Newsroom) -> None:
    for who, told in (("", 1), ("ada", 3)):
        for _ in range(2):
            room.ran(
                "failed", "no such package", action="rebuild", reason=Reason("packages", "packages numpy", who=who)
            )
            room.step()
        assert len(room.channel.titles) == told
