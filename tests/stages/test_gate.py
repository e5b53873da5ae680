"""The gate: what passes is remembered, what does not is replaced by what passed last."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import digest_of
from pipeline.errors import RolloutError
from pipeline.stages.explain import explain
from pipeline.stages.gate import Outcome, is_live, prove, release
from pipeline.stages.scoring import Unfit, score_release
from pipeline.stages.verified import VerifiedFiles
from pipeline.targets._memory import MemoryTarget
from pipeline.targets.model import Observation, Release, State
from pipeline.targets.remote import Answer, Endpoint, Send


def wanted(name: str) -> Release:
    return Release(
        "m/here", digest_of(name.encode()), (), {"config": {"Env": ["AZUREML_MODEL_DIR=/models/1"]}}, 8000, 5001
    )


GOOD, NEXT, BAD = wanted("good"), wanted("next"), wanted("bad")


class Clock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


class Target(MemoryTarget):
    """A target with a log, and with a detail to what is observed."""

    def __init__(self, states: dict[str, State], log: Sequence[str] = (), detail: str = "") -> None:
        super().__init__(lambda r: states.get(r.revision, "running"))
        self.log, self.detail = log, detail

    def observe(self) -> Observation:
        seen = super().observe()
        detail = self.detail if seen.state != "running" else ""
        return Observation(seen.state, seen.revision, seen.image, seen.address, detail)

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        assert not follow
        return iter(self.log[-(lines or 0) :])


@pytest.fixture
def verified(tmp_path: Path) -> VerifiedFiles:
    return VerifiedFiles(tmp_path / "verified")


def answering(status: int, body: bytes) -> Send:
    return lambda _url, _body, _headers, _timeout: Answer(status, body)


def roll(target: MemoryTarget, what: Release, verified: VerifiedFiles, **more: Any) -> Outcome:
    clock = Clock()
    return release(target, what, verified=verified, clock=clock, wait=clock.wait, **more)


def test_what_is_healthy_is_remembered(verified: VerifiedFiles) -> None:
    target = Target({})
    assert not is_live(target, GOOD, verified)
    outcome = roll(target, GOOD, verified)
    assert outcome.observation.state == "running"
    assert outcome.score is None
    assert verified.get("m/here") == GOOD
    assert is_live(target, GOOD, verified)
    assert not is_live(target, NEXT, verified)
    target.stop()
    assert not is_live(target, GOOD, verified)


def test_what_a_killed_run_has_started_is_proved_and_not_started_again(verified: VerifiedFiles) -> None:
    target = Target({})
    target.rollout(GOOD)
    roll(target, GOOD, verified)
    assert target.history == [("rollout", GOOD.revision)]
    assert is_live(target, GOOD, verified)


def test_what_a_killed_run_has_started_and_does_not_pass_is_put_back(verified: VerifiedFiles) -> None:
    target = Target({})
    roll(target, GOOD, verified)
    target.rollout(BAD)
    with pytest.raises(RolloutError, match="is live again"):
        roll(target, BAD, verified, score={"request": {}}, send=answering(500, b"boom"))
    assert [verb for verb, _ in target.history] == ["rollout", "rollout", "rollback"]
    assert target.observe().revision == GOOD.revision


def test_it_waits_until_healthy(verified: VerifiedFiles) -> None:
    clock = Clock()
    target = MemoryTarget(lambda _: "running" if clock.now > 5 else "starting")
    outcome = release(target, GOOD, verified=verified, deadline=10, clock=clock, wait=clock.wait)
    assert 5 < outcome.seconds < 6


def test_the_scoring_request_is_sent_and_its_answer_checked(verified: VerifiedFiles) -> None:
    sent: list[tuple[str, Any]] = []

    def post(url: str, body: bytes, _headers: object, _timeout: float) -> Answer:
        sent.append((url, json.loads(body)))
        return Answer(200, b"[1.5]")

    check = {"request": {"data": [[1]]}, "expect": {"type": "array"}}
    outcome = roll(Target({}), GOOD, verified, score=check, send=post)
    assert sent == [("http://127.0.0.1:8000/score", {"data": [[1]]})]
    assert outcome.score is not None
    assert outcome.score.answer == [1.5]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"a": 1}', "is not what `expect` says"),
        (200, b"oops", "was not answered with JSON: oops"),
        (500, b"boom", "was answered with 500: boom"),
    ],
)
def test_a_bad_score_puts_the_last_good_one_back(verified: VerifiedFiles, status: int, body: bytes, said: str) -> None:
    target = Target({})
    roll(target, GOOD, verified)
    check = {"request": {}, "expect": {"type": "array"}}
    with pytest.raises(RolloutError, match=said) as caught:
        roll(target, BAD, verified, score=check, send=answering(status, body))
    assert f"the last verified revision {GOOD.revision} is live again" in str(caught.value)
    assert target.history == [("rollout", GOOD.revision), ("rollout", BAD.revision), ("rollback", GOOD.revision)]
    assert target.observe().revision == GOOD.revision
    assert verified.get("m/here") == GOOD


def test_no_answer_to_the_scoring_request_is_a_failure() -> None:
    def post(_url: str, _body: bytes, _headers: object, _timeout: float) -> Answer:
        raise ConnectionRefusedError(111, "Connection refused")

    with pytest.raises(RolloutError, match=r"got no answer: .*refused"):
        score_release(Endpoint("http://127.0.0.1:1/score"), {"request": 1}, send=post)


def test_a_service_that_dies_fails_at_once_with_its_log_and_the_reason(verified: VerifiedFiles) -> None:
    log = [f"line {n}" for n in range(30)] + ["ModuleNotFoundError: No module named 'torch.nn'", "bye"]
    target = Target({BAD.revision: "failed"}, log, "it ended with exit code 3")
    with pytest.raises(RolloutError) as caught:
        roll(target, BAD, verified)
    text = str(caught.value)
    assert "exit code 3: the image lacks the Python module torch; there is no earlier verified revision" in text
    assert "pip layer" in caught.value.remedy
    assert text.endswith("\n    bye")
    assert "line 7" in text
    assert "line 6" not in text
    assert target.observe().state == "stopped"
    assert verified.get("m/here") is None
    assert caught.value.exit_code == 5


def test_proving_shows_the_log_and_puts_nothing_back() -> None:
    target = Target({BAD.revision: "failed"}, ["ValueError: odd weights"], "it ended with exit code 3")
    with pytest.raises(Unfit) as caught:
        prove(target, BAD)
    assert (
        caught.value.message == "the service did not become healthy: it ended with exit code 3: ValueError: odd weights"
    )
    assert caught.value.log == ("ValueError: odd weights",)
    assert target.history == [("rollout", BAD.revision)]


def test_the_deadline_ends_the_wait(verified: VerifiedFiles) -> None:
    target = Target({BAD.revision: "starting"}, detail="GET / was answered with 503")
    with pytest.raises(RolloutError, match=r"not healthy after 7 s: GET / was answered with 503"):
        roll(target, BAD, verified, deadline=7)


@pytest.mark.parametrize(("workers", "died", "waits"), [(None, 2, False), (None, 1, True), (4, 4, True), (4, 5, False)])
def test_workers_that_die_again_and_again_end_the_wait(
    verified: VerifiedFiles, workers: int | None, died: int, waits: bool
) -> None:
    log = [f"[ERROR] Worker (pid:{number}) exited with code 7" for number in range(died)]
    log += ["[ERROR] Worker (pid:99) was sent SIGTERM!"]
    bad = replace(BAD, settings={"workers": workers} if workers else {})
    target = Target({bad.revision: "starting"}, log)
    with pytest.raises(RolloutError) as caught:
        roll(target, bad, verified, deadline=7)
    found = f"its workers ended {died} times: its worker ends again and again, with exit code 7"
    assert (found in caught.value.message) is not waits


def test_a_release_that_fails_now_is_not_put_back_over_itself(verified: VerifiedFiles) -> None:
    states: dict[str, State] = {}
    target = Target(states)
    roll(target, GOOD, verified)
    states[GOOD.revision] = "failed"
    with pytest.raises(RolloutError, match="no earlier verified revision"):
        roll(target, GOOD, verified)
    assert target.history[-1] == ("stop", "")


def test_when_the_last_good_one_fails_too_it_says_so(verified: VerifiedFiles) -> None:
    states: dict[str, State] = {BAD.revision: "failed"}
    target = Target(states)
    roll(target, GOOD, verified)
    states[GOOD.revision] = "failed"
    with pytest.raises(RolloutError, match="could not be put back either"):
        roll(target, BAD, verified)
    assert target.observe().state == "stopped"


class Refusing(MemoryTarget):
    """Refuses one release before touching anything, as for a port that is taken."""

    def rollout(self, release: Release) -> Observation:
        if release == BAD:
            raise RolloutError("port 8000 is taken", remedy="stop that")
        return super().rollout(release)


def test_a_rollout_that_touched_nothing_leaves_the_live_one_alone(verified: VerifiedFiles) -> None:
    target = Refusing()
    roll(target, GOOD, verified)
    with pytest.raises(RolloutError, match=r"port 8000 is taken; .* was not touched and is still live") as caught:
        roll(target, BAD, verified)
    assert caught.value.remedy == "stop that"
    assert target.history == [("rollout", GOOD.revision)]


class Overtaken(MemoryTarget):
    """Another run rolls its own release out in between."""

    def rollout(self, release: Release) -> Observation:
        super().rollout(release)
        return super().rollout(NEXT)


def test_another_runs_release_is_not_undone(verified: VerifiedFiles) -> None:
    verified.put(BAD)
    target = Overtaken()
    with pytest.raises(RolloutError, match="another run replaced"):
        roll(target, GOOD, verified)
    assert target.observe().revision == NEXT.revision


@pytest.mark.parametrize("left", ["", "{", "[]", "{}"])
def test_a_file_that_a_crash_left_broken_verifies_nothing(verified: VerifiedFiles, tmp_path: Path, left: str) -> None:
    verified.put(GOOD)
    (file,) = (tmp_path / "verified").glob("*.json")
    file.write_text(left)
    assert verified.get("m/here") is None
    verified.put(NEXT)
    assert verified.get("m/here") == NEXT


def test_verified_releases_are_kept_by_service(verified: VerifiedFiles) -> None:
    verified.put(GOOD)
    verified.put(NEXT)
    assert verified.get("m/here") == NEXT
    assert verified.get("m/there") is None


ENV = {"AZUREML_MODEL_DIR": "/models/diabetes/1"}


@pytest.mark.parametrize(
    ("lines", "fact"),
    [
        # As azureml-inference-server-http 1.5.1 writes it.
        (
            [
                "...UserScriptError: User script at /a/score.py does not have a run() function defined.",
                "Worker exiting",
            ],
            "the entry script /a/score.py has no run() function",
        ),
        (
            ["...: User script at /a/s.py does not have an init() function defined."],
            "the entry script /a/s.py has no init() function",
        ),
        (["ModuleNotFoundError: No module named 'sklearn.base'"], "the image lacks the Python module sklearn"),
        (
            ["FileNotFoundError: [Errno 2] No such file or directory: '/models/diabetes/1/m.pkl'"],
            "the model file /models/diabetes/1/m.pkl is not in the image",
        ),
        (["FileNotFoundError: [Errno 2] No such file or directory: '/a/score.py'"], "/a/score.py is not in the image"),
        (["FileNotFoundError: [Errno 2] No such file or directory: '/x'"], "/x is not in the image"),
        (
            ["ImportError: libgomp.so.1: cannot open shared object file: No such file"],
            "the image lacks the shared library libgomp.so.1",
        ),
        (["OSError: [Errno 98] Address already in use"], "its port is already in use"),
        # As gunicorn 25 writes it.
        (
            ["E [2] gunicorn.error - Worker (pid:540) exited with code 7.", "Booting worker with pid: 543"],
            "its worker ends again and again, with exit code 7",
        ),
        (["Worker (pid:486) was sent SIGSEGV!"], "its worker is ended again and again by SIGSEGV"),
        (["ValueError: odd", "Worker (pid:3) exited with code 3."], "ValueError: odd"),
        (
            ["ZeroDivisionError: division by zero", "azureml_inference_server_http.x.UserScriptException: Caught"],
            "ZeroDivisionError: division by zero",
        ),
    ],
)
def test_the_log_tells_the_reason(lines: list[str], fact: str) -> None:
    cause = explain(lines, ENV)
    assert cause is not None
    assert cause.fact == fact
    assert cause.remedy


def test_a_log_that_tells_nothing_is_not_guessed_at() -> None:
    assert explain(["Starting gunicorn", "Worker ready"], ENV) is None
