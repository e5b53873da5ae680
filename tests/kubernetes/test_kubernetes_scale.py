"""Counts of pods that an autoscaler has: taken over, given back, and beside a canary."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_releases import Time, release, target_in

from pipeline.kubernetes.api import Conflict
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.stages import gate
from pipeline.targets.model import Release
from pipeline.targets.remote import Answer

NAME, SCALER = "shop-prod", "kube-controller-manager"
SCALED: dict[str, Any] = {"autoscale": {"min": 2, "max": 12}, "resources": {"cpu": "1"}}
CANARY = {"strategy": {"canary": {"steps": [25, 50, 100], "pause": 10}}}


def roll(cluster: MemoryCluster, time: Time, wanted: Release, score: Any = None) -> None:
    target = target_in(cluster, time)
    gate.release(target, wanted, verified=target.verified(), deadline=60, score=score, clock=time, wait=time.wait)


def count(cluster: MemoryCluster, name: str = NAME) -> int:
    found = cluster.get("Deployment", name)
    return int(found["spec"]["replicas"]) if found else 0


def scale(cluster: MemoryCluster, replicas: int) -> None:
    """As the autoscaler's controller does."""
    cluster.edit(SCALER, "Deployment", NAME, {"spec": {"replicas": replicas}})


def test_the_count_of_an_autoscaler_that_goes_is_ours_again(cluster: MemoryCluster, time: Time) -> None:
    roll(cluster, time, release("one", **SCALED))
    scale(cluster, 7)
    roll(cluster, time, release("two", replicas=3))
    assert count(cluster) == 3
    assert cluster.find("HorizontalPodAutoscaler") == []
    # Gone before the count was: the same.
    scale(cluster, 5)
    roll(cluster, time, release("three", replicas=2))
    assert count(cluster) == 2


def test_the_count_of_an_autoscaler_of_others_stays_theirs(cluster: MemoryCluster, time: Time) -> None:
    roll(cluster, time, release("one", replicas=2))
    theirs = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}, "maxReplicas": 9}
    head = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "theirs"}}
    cluster.apply({**head, "spec": theirs}, manager="somebody")
    scale(cluster, 6)
    with pytest.raises(Conflict, match=r"spec\.replicas \(of kube-controller-manager\)"):
        roll(cluster, time, release("two", replicas=2))
    assert count(cluster) == 6


def test_a_canary_gets_its_share_beside_pods_that_scale(cluster: MemoryCluster, time: Time) -> None:
    """Of 4 pods that stay, 25 % is 1 of 5 and 50 % is 4 of 8; the autoscaler's own moves are kept up with."""
    roll(cluster, time, release("one", **SCALED))
    scale(cluster, 4)
    seen: list[tuple[int, int]] = []

    def answer(_service: str, _body: bytes) -> Answer:
        pods = count(cluster), count(cluster, f"{NAME}-canary")
        seen.append(pods)
        # More load while it is watched; and with half of it elsewhere, fewer pods.
        if seen.count((4, 1)) == 5:
            scale(cluster, 6)
        if pods == (6, 6):
            scale(cluster, 3)
        return Answer(200, b"[1]")

    cluster.answers = answer
    roll(cluster, time, release("two", **SCALED, **CANARY), {"request": [1]})
    assert seen[0] == (4, 1)
    assert list(dict.fromkeys(seen)) == [(4, 1), (6, 1), (6, 6), (3, 6)]
    assert count(cluster, f"{NAME}-canary") == 0
    # All traffic came back at once, to as many pods as had it.
    assert count(cluster) == 6
