"""New releases beside the stable one, above a cluster in memory: canaries, and blue/green."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_releases import Time, release, target_in

from pipeline.errors import Interrupted, RolloutError
from pipeline.kubernetes.api import Object
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.stages import gate
from pipeline.targets.model import Release
from pipeline.targets.remote import Answer

NAME = "shop-prod"


def names(cluster: MemoryCluster, kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in cluster.find(kind)]


def live(cluster: MemoryCluster, name: str = NAME, kind: str = "Deployment") -> Object:
    found = cluster.get(kind, name)
    assert found is not None
    return found


def roll(cluster: MemoryCluster, time: Time, wanted: Release, score: Any = None) -> gate.Outcome:
    target = target_in(cluster, time, **{name: one for name, one in wanted.settings.items() if name != "image"})
    return gate.release(
        target, wanted, verified=target.verified(), deadline=60, score=score, clock=time, wait=time.wait
    )


CANARY = {"canary": {"steps": [25, 50, 100], "pause": 10}}
SCORE = {"request": [1], "expect": {"type": "array"}}


def split(cluster: MemoryCluster) -> tuple[int, int]:
    return tuple(live(cluster, name)["spec"]["replicas"] for name in (NAME, f"{NAME}-canary"))  # type: ignore[return-value]


def test_a_canary_takes_over_step_by_step(cluster: MemoryCluster, time: Time) -> None:
    seen: list[Any] = []

    def answer(service: str, _body: bytes) -> Answer:
        tracks = live(cluster, NAME, "Service")["spec"]["selector"].get("pipeline-images/track", "both")
        seen.append((service, tracks, *(split(cluster) if service.endswith("canary") else ())))
        return Answer(200, b"[1]")

    cluster.answers = answer
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    roll(cluster, time, one, SCORE)
    assert seen == [("shop-prod", "stable")]
    seen.clear()
    roll(cluster, time, two, SCORE)
    # First alone, without traffic; then a quarter, then half.
    assert list(dict.fromkeys(seen)) == [
        ("shop-prod-canary", "stable", 4, 1),
        ("shop-prod-canary", "both", 3, 1),
        ("shop-prod-canary", "both", 2, 2),
    ]
    assert names(cluster, "Deployment") == names(cluster, "Service") == [NAME]
    assert live(cluster)["metadata"]["annotations"]["pipeline-images/revision"] == two.revision
    assert live(cluster)["spec"]["replicas"] == 4
    assert live(cluster, NAME, "Service")["spec"]["selector"]["pipeline-images/track"] == "stable"
    assert gate.is_live(target_in(cluster, time, strategy=CANARY), two, target_in(cluster, time).verified())


def test_a_canary_with_errors_is_put_back(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    cluster.answers = lambda _service, _body: Answer(200, b"[1]")
    roll(cluster, time, one, SCORE)
    generation = live(cluster)["metadata"]["generation"]

    def answer(service: str, _body: bytes) -> Answer:
        half = service.endswith("canary") and split(cluster)[1] == 2
        return Answer(500, b"no") if half else Answer(200, b"[1]")

    cluster.answers = answer
    with pytest.raises(RolloutError, match=r"with 50 % of the traffic .* failed.*is live again"):
        roll(cluster, time, two, SCORE)
    assert names(cluster, "Deployment") == names(cluster, "Service") == [NAME]
    assert live(cluster)["spec"]["replicas"] == 4
    assert live(cluster)["metadata"]["annotations"]["pipeline-images/revision"] == one.revision
    assert live(cluster)["metadata"]["generation"] <= generation + 3


@pytest.mark.parametrize("slow", [False, True])
def test_clients_need_not_wait_for_the_end_of_a_step_that_is_lost(
    cluster: MemoryCluster, time: Time, slow: bool
) -> None:
    strategy = {"canary": {"steps": [50, 100], "pause": "10m", "errors": 0.02, "latency": "100ms"}}
    one, two = (release(name, replicas=4, strategy=strategy) for name in ("one", "two"))
    cluster.answers = lambda _service, _body: Answer(200, b"[1]")
    roll(cluster, time, one, SCORE)
    begun = time.now

    def answer(service: str, _body: bytes) -> Answer:
        half = service.endswith("canary") and split(cluster)[1] == 2 and time.now > begun
        time.wait(0.3 if half and slow else 0)
        return Answer(500, b"no") if half and not slow else Answer(200, b"[1]")

    cluster.answers = answer
    with pytest.raises(RolloutError, match=r"with 50 % of the traffic .*is live again"):
        roll(cluster, time, two, SCORE)
    assert time.now - begun < 60


def test_blue_green_switches_at_once(cluster: MemoryCluster, time: Time) -> None:
    one, two = (release(name, replicas=3, strategy={"blue_green": True}) for name in ("one", "two"))
    roll(cluster, time, one, SCORE | {"expect": {}})
    full: list[tuple[int, int]] = []

    def answer(_service: str, _body: bytes) -> Answer:
        full.append(split(cluster))
        return Answer(200, b"[1]")

    cluster.answers = answer
    roll(cluster, time, two, SCORE)
    assert full == [(3, 3)]
    assert live(cluster)["metadata"]["annotations"]["pipeline-images/revision"] == two.revision


def test_a_canary_that_has_all_traffic_stays_until_stable_pods_are_ready(cluster: MemoryCluster, time: Time) -> None:
    """A run that was killed while the stable Deployment became the new release, when the next one goes on."""
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    roll(cluster, time, one)
    seen: list[Any] = []

    class Watched(Time):
        def wait(self, seconds: float) -> None:
            super().wait(seconds)
            selects = live(cluster, NAME, "Service")["spec"]["selector"]["pipeline-images/track"]
            seen.append((selects, f"{NAME}-canary" in names(cluster, "Deployment")))
            if self.now > 5:
                raise Interrupted("interrupted")

    def pending(made: Object) -> dict[str, Any]:
        marks = made["metadata"]["annotations"]
        return {"phase": "Pending"} if made["metadata"]["name"] == NAME and two.image in marks.values() else {}

    cluster.behaves = pending
    killed = target_in(cluster, Watched(), strategy=CANARY)
    killed.rollout(two)
    with pytest.raises(Interrupted):
        killed.shift(two, 100)
    with pytest.raises(Interrupted):
        target_in(cluster, Watched(), strategy=CANARY).rollout(two)
    assert {*seen} == {("canary", True)}
    cluster.behaves = lambda _: {}
    roll(cluster, time, two)
    assert names(cluster, "Deployment") == names(cluster, "Service") == [NAME]
    assert live(cluster)["spec"]["replicas"] == 4


def test_two_runs_at_once(cluster: MemoryCluster, time: Time) -> None:
    one, two, three = (release(name, replicas=4, strategy=CANARY) for name in ("one", "two", "three"))
    cluster.answers = lambda _service, _body: Answer(200, b"[1]")
    roll(cluster, time, one, SCORE)
    other = target_in(cluster, time, strategy=CANARY)
    target = target_in(cluster, time, strategy=CANARY)

    def wait(seconds: float) -> None:
        if time.now < 3 <= time.now + seconds:
            other.rollout(three)
        time.wait(seconds)

    said = f"with 25 % of the traffic another run replaced it; revision {three.revision} was not touched"
    with pytest.raises(RolloutError, match=said):
        gate.release(target, two, verified=target.verified(), deadline=60, score=SCORE, clock=time, wait=wait)
    assert other.observe().revision == three.revision


def test_what_fails_alone_is_told_by_its_own_address(cluster: MemoryCluster, time: Time) -> None:
    one, two = (release(name, strategy={"blue_green": True}) for name in ("one", "two"))
    roll(cluster, time, one)
    cluster.answers = lambda service, _body: Answer(500 if service.endswith("-canary") else 200, b"[1]")
    with pytest.raises(RolloutError, match=r"POST shop-prod-canary\.default:80/score was answered with 500"):
        roll(cluster, time, two, SCORE)


def test_a_canary_that_was_killed_goes_on_with_as_many_pods(cluster: MemoryCluster, time: Time) -> None:
    one, two = release("one", replicas=4, strategy=CANARY), release("two", replicas=4, strategy=CANARY)
    roll(cluster, time, one)
    killed = target_in(cluster, time, strategy=CANARY)
    killed.rollout(two)
    killed.shift(two, 50)
    assert split(cluster) == (2, 2)
    seen: list[tuple[int, int]] = []

    def answer(_service: str, _body: bytes) -> Answer:
        seen.append(split(cluster))
        return Answer(200, b"[1]")

    cluster.answers = answer
    roll(cluster, time, two, SCORE)
    assert list(dict.fromkeys(seen)) == [(2, 1), (3, 1), (2, 2)]
    assert live(cluster)["spec"]["replicas"] == 4
