"""When waiting for pods can still help: for a quota that old ones use, and after an API server was away."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_releases import release

from pipeline.kubernetes import names
from pipeline.kubernetes.health import condition
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.kubernetes.objects import deployment

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


def test_who_waits_does_so_by_a_deadline_of_their_own() -> None:
    cluster = MemoryCluster()
    cluster.behaves = lambda _: {"phase": "Pending"}
    made = cluster.apply(deployment(release()))
    late = {"type": "Progressing", "status": "False", "message": "ReplicaSet has timed out progressing."}
    made["status"]["conditions"] = [late]
    assert condition(cluster, made).state == "failed"
    assert condition(cluster, made, patient=True).state == "starting"
