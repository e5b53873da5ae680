"""Targets elsewhere, above any kind: what they get to roll out, how they are scored, when they are rolled back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pipeline.digest import digest_of
from pipeline.errors import OutOfReach, RolloutError, UsageError
from pipeline.manifest.model import Secret
from pipeline.stages.gate import Outcome, is_live, release
from pipeline.stages.verified import VerifiedFiles
from pipeline.targets.model import Observation, Release, State
from pipeline.targets.remote import Answer, Difference, Endpoint, RemoteTarget, Strategy


def wanted(name: str) -> Release:
    return Release("m-far", digest_of(name.encode()), (), {}, 80, 5001, reference=f"registry.example.com/{name}@x")


GOOD, BAD = wanted("good"), wanted("bad")
SCORE = {"request": [1], "expect": {"type": "array"}}


class Far(RemoteTarget):
    """A service elsewhere whose releases do as they are told; time passes while one waits."""

    def __init__(self, states: Mapping[str, State] | None = None, strategy: Strategy | None = None) -> None:
        self.states, self._strategy = dict(states or {}), strategy
        self.live: Release | None = None
        self.history: list[tuple[str, str | int]] = []
        self.sent: list[tuple[str, Mapping[str, str]]] = []
        self.answers: Mapping[int, tuple[int, float]] = {}
        self.refusal: Exception | None = None
        self.changed: Sequence[Difference] = ()
        self.now, self.percent = 0.0, 0

    def observe(self) -> Observation:
        if self.live is None:
            return Observation("absent")
        state = self.states.get(self.live.revision, "running")
        return Observation(state, self.live.revision, self.live.image, "https://far.example.com", "says the cloud")

    def rollout(self, release: Release) -> Observation:
        if self.refusal:
            raise self.refusal
        self.history.append(("rollout", release.revision))
        self.live = release
        return self.observe()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:  # noqa: ARG002
        return iter(())

    def stop(self) -> Observation:
        self.history.append(("stop", ""))
        return self.observe()

    def endpoint(self, seen: Observation) -> Endpoint:
        return Endpoint(f"{seen.address}/v1/score", {"Authorization": Secret("Bearer key")}, self._send)

    def _send(self, url: str, _body: bytes, headers: Mapping[str, str], _timeout: float) -> Answer:
        self.sent.append((url, headers))
        status, seconds = self.answers.get(self.percent, (200, 0.01))
        self.now += seconds
        return Answer(status, b"[1]")

    def differences(self, release: Release) -> Sequence[Difference]:  # noqa: ARG002
        return self.changed

    def strategy(self, release: Release) -> Strategy | None:  # noqa: ARG002
        return self._strategy

    def shift(self, release: Release, percent: int) -> None:  # noqa: ARG002
        self.history.append(("shift", percent))
        self.percent = percent

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def verified(tmp_path: Path) -> VerifiedFiles:
    return VerifiedFiles(tmp_path / "verified")


def roll(target: Far, what: Release, verified: VerifiedFiles, deadline: float = 60) -> Outcome:
    return release(
        target,
        what,
        verified=verified,
        deadline=deadline,
        score=SCORE,
        clock=lambda: target.now,
        wait=target.wait,
    )


def test_the_scoring_request_goes_where_the_target_says_with_its_key(verified: VerifiedFiles) -> None:
    target = Far()
    roll(target, GOOD, verified)
    ((url, headers),) = target.sent
    assert url == "https://far.example.com/v1/score"
    assert headers == {"Content-Type": "application/json", "Authorization": "Bearer key"}
    assert type(headers["Authorization"]) is str


@pytest.mark.parametrize("error", [OutOfReach("the API does not answer"), UsageError("no such context")])
def test_a_rollout_that_cannot_begin_is_no_unfit_release(verified: VerifiedFiles, error: Exception) -> None:
    target = Far()
    roll(target, GOOD, verified)
    target.refusal = error
    with pytest.raises(type(error), match=str(error)):
        roll(target, BAD, verified)
    assert target.history == [("rollout", GOOD.revision)]


def test_one_whose_state_nobody_can_tell_is_waited_for_and_not_rolled_back(verified: VerifiedFiles) -> None:
    target = Far({BAD.revision: "unknown"})
    roll(target, GOOD, verified)
    with pytest.raises(OutOfReach, match="says the cloud"):
        roll(target, BAD, verified, deadline=30)
    assert target.now >= 30
    assert target.history[-1] == ("rollout", BAD.revision)


def test_one_that_fails_gives_way_to_what_passed_last(verified: VerifiedFiles) -> None:
    target = Far({BAD.revision: "failed"})
    roll(target, GOOD, verified)
    with pytest.raises(RolloutError, match=f"says the cloud; the last verified revision {GOOD.revision} is live again"):
        roll(target, BAD, verified)


def test_what_others_changed_is_rolled_out_again(verified: VerifiedFiles) -> None:
    target = Far()
    roll(target, GOOD, verified)
    assert is_live(target, GOOD, verified)
    target.changed = [Difference("replicas", "5", "3", "kubectl")]
    assert not is_live(target, GOOD, verified)


def test_traffic_goes_over_in_steps(verified: VerifiedFiles) -> None:
    target = Far(strategy=Strategy((10, 50, 100), pause=5))
    roll(target, GOOD, verified)
    assert [step for verb, step in target.history if verb == "shift"] == [10, 50, 100]
    assert target.now >= 10
    assert verified.get("m-far") == GOOD


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((500, 0.01), "with 50 % of the traffic .* scoring requests failed, and 1.0% may.* answered with 500"),
        ((200, 0.8), "with 50 % of the traffic 95 % of answers took up to 800 ms, and 250 ms are allowed"),
    ],
)
def test_a_step_with_errors_or_waits_is_put_back(verified: VerifiedFiles, answer: tuple[int, float], said: str) -> None:
    target = Far(strategy=Strategy((10, 50, 100), pause=5, latency=0.25))
    roll(target, GOOD, verified)
    target.answers = {50: answer}
    with pytest.raises(RolloutError, match=said):
        roll(target, BAD, verified)
    assert ("shift", 100) not in target.history[4:]
    assert target.live == GOOD
    assert verified.get("m-far") == GOOD


def test_a_release_keeps_its_reference(verified: VerifiedFiles) -> None:
    verified.put(GOOD)
    assert verified.get("m-far") == GOOD
    assert GOOD.revision != Release("m-far", GOOD.image, (), {}, 80, 5001).revision


def test_history_pins_and_what_was_left_behind(verified: VerifiedFiles) -> None:
    one, two, three = wanted("1"), wanted("2"), wanted("3")
    for each in (one, two, three, two):
        verified.put(each)
    assert verified.history("m-far") == [two, three, one]
    verified.demote("m-far", two.revision)
    assert verified.history("m-far") == [three, one, two]
    assert verified.pinned("m-far") == ""
    verified.pin("m-far", one.revision)
    assert verified.pinned("m-far") == one.revision
    verified.pin("m-far", "")
    assert verified.pinned("m-far") == ""
