"""When waiting for pods can still help: for a quota that old ones use, and after an API server was away."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from kubernetes_releases import release

from pipeline.kubernetes import names
from pipeline.kubernetes.health import condition
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.kubernetes.objects import deployment
from pipeline.kubernetes.quota import amount

EXCEEDED = 'pods "shop-prod-1" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
LACKS = 'pods "shop-prod-1" is forbidden: failed quota: q: must specify memory'


def state(message: str, **others: Any) -> str:
    """How a Deployment is whose pods are refused in these words, with `others` as the metadata of a pod beside."""
    cluster, wanted = MemoryCluster(), release("two", replicas=2)
    cluster.behaves = lambda _: {"phase": "Pending"}
    made = cluster.apply(deployment(wanted))
    made["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": message}]
    if others:
        labels = {**names.labels("shop-prod", {}), names.REVISION: wanted.revision, **others.pop("labels", {})}
        metadata = {"name": "other", "labels": labels, **others}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})
    how = condition(cluster, made)
    assert message.partition("forbidden: ")[2] in how.detail
    return how.state


@pytest.mark.parametrize("beside", [{"labels": {names.REVISION: "older"}}, {"deletionTimestamp": "2026-01-01"}])
def test_pods_that_are_about_to_go_give_their_share_back(beside: dict[str, Any]) -> None:
    assert state(EXCEEDED, **beside) == "starting"
    assert state(LACKS, **beside) == "failed"


def test_a_quota_that_nothing_will_free_is_told_at_once() -> None:
    assert state(EXCEEDED) == "failed"


@pytest.mark.parametrize(("used", "found"), [("3", "failed"), ("2", "starting"), ("", "starting")])
def test_old_pods_that_wait_for_new_ones_free_nothing(used: str, found: str) -> None:
    """Three old pods, and a quota of three: what it says by now decides; where it may not be read, a deadline does."""
    cluster, made = MemoryCluster(), deployment(release("two", replicas=3))
    made["metadata"]["generation"] = 2
    refused = {"type": "ReplicaFailure", "status": "True", "message": EXCEEDED}
    made["status"] = {"observedGeneration": 2, "replicas": 3, "availableReplicas": 3, "conditions": [refused]}
    for number in range(3):
        labels = {**names.labels("shop-prod", {}), names.REVISION: "older", names.TRACK: names.STABLE}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"old-{number}", "labels": labels}})
    if used:
        status = {"hard": {"pods": "3"}, "used": {"pods": used}}
        cluster.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "status": status})
    assert condition(cluster, made).state == found
    made["metadata"]["generation"] = 3
    assert condition(cluster, made).state == "starting", "it is about what was wanted before"


@pytest.mark.parametrize(
    ("text", "value"), [("500m", "0.5"), ("2", "2"), ("1.5Gi", "1610612736"), ("1e3", "1000"), ("2k", "2000")]
)
def test_quantities(text: str, value: str) -> None:
    assert amount(text) == Decimal(value)


def test_who_waits_does_so_by_a_deadline_of_their_own() -> None:
    cluster = MemoryCluster()
    cluster.behaves = lambda _: {"phase": "Pending"}
    made = cluster.apply(deployment(release()))
    late = {"type": "Progressing", "status": "False", "message": "ReplicaSet has timed out progressing."}
    made["status"]["conditions"] = [late]
    assert condition(cluster, made).state == "failed"
    assert condition(cluster, made, patient=True).state == "starting"


def test_pods_of_what_a_person_had_in_its_place_tell_nothing_of_a_release() -> None:
    """A person's change of a pod's image leaves the release's labels: its ReplicaSet tells its pods from ours."""
    cluster, made = MemoryCluster(), deployment(release(replicas=2))
    made["metadata"] |= {"generation": 3, "annotations": {"deployment.kubernetes.io/revision": "3"}}
    made["status"] = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1}
    missing = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
    for number, state in (("2", missing), ("3", {"waiting": {"reason": "ContainerCreating"}})):
        labels = {**made["spec"]["template"]["metadata"]["labels"], "pod-template-hash": f"h{number}"}
        marks = {"deployment.kubernetes.io/revision": number}
        head = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
        cluster.apply({**head, "metadata": {"name": f"shop-prod-h{number}", "labels": labels, "annotations": marks}})
        status = {"containerStatuses": [{"name": "service", "ready": False, "state": state}]}
        head = {"apiVersion": "v1", "kind": "Pod"}
        cluster.apply({**head, "metadata": {"name": f"shop-prod-h{number}-1", "labels": labels}, "status": status})
    assert condition(cluster, made).state == "starting"
    made["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    assert condition(cluster, made).state == "failed"
    made["metadata"]["generation"] = 4
    assert condition(cluster, made).state == "starting", "nobody has looked at what is wanted now"


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((3, 1, 3), "1 of 3 pods are of this release"),
        ((4, 3, 3), "1 pod of the release before is about to end"),
        ((3, 3, 2), "2 of 3 pods are ready"),
    ],
)
def test_how_far_a_rollout_is(counts: tuple[int, int, int], said: str) -> None:
    made = deployment(release(replicas=3))
    made["metadata"]["generation"] = 1
    of = dict(zip(("replicas", "updatedReplicas", "availableReplicas"), counts, strict=True))
    made["status"] = {"observedGeneration": 1, **of}
    assert condition(MemoryCluster(), made).detail == said
