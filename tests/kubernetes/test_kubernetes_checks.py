"""What a cluster is asked before anything is built: rights, its namespace, image volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from kubernetes_releases import Time, release, target_in

from pipeline.errors import UsageError
from pipeline.kubernetes.api import Forbidden, Gone, Right, refusal
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.kubernetes.rights import not_granted
from pipeline.stages import gate
from pipeline.targets.model import Mount

PLACE = "/var/azureml-app/azureml-models/m/1"
MOUNTED = replace(release(), mounts=(Mount(PLACE, reference="registry.example.com/ml/web@sha256:1"),))


def test_a_namespace_that_is_not_there(cluster: MemoryCluster, time: Time) -> None:
    target_in(cluster, time).check(scores=True)
    cluster.exists = False
    with pytest.raises(Gone, match=r"there is no namespace 'default'.*kubectl create namespace default"):
        target_in(cluster, time).check()
    assert cluster.history == []


def test_a_namespace_that_is_being_deleted() -> None:
    told = 'secrets "x" is forbidden: unable to create new content in namespace ml because it is being terminated'
    found = refusal(403, {"message": told}, "Secret x", "ml")
    assert isinstance(found, Gone)
    assert str(found).startswith("the namespace 'ml' is being deleted (wait until it is gone")


def test_every_missing_right_is_named_at_once(cluster: MemoryCluster, time: Time) -> None:
    refused = {("patch", "Deployment"), ("create", "Deployment"), ("list", "Pod"), ("create", "services/proxy")}
    cluster.refuses = lambda verb, kind: "no" if (verb, kind) in refused else ""
    said = r"rights are missing in the namespace default: create, patch deployments\.apps; list pods"
    with pytest.raises(Forbidden, match=f"{said}; create services/proxy .*--resource=deployments.apps'"):
        target_in(cluster, time).check(scores=True)
    with pytest.raises(Forbidden, match=f"{said} "):
        target_in(cluster, time).check()


def test_who_has_no_right_at_all_may_mean_another_namespace(cluster: MemoryCluster, time: Time) -> None:
    cluster.refuses = lambda _verb, kind: "" if kind.startswith("self") else "no"
    with pytest.raises(Forbidden, match=r"rights are missing.*see that the namespace is there, and grant them"):
        target_in(cluster, time).check()


def test_rights_of_what_is_not_asked_for_may_be_missing(cluster: MemoryCluster, time: Time) -> None:
    cluster.refuses = lambda verb, kind: "no" if (verb, kind) == ("patch", "Ingress") else ""
    target_in(cluster, time).check()
    with pytest.raises(Forbidden, match=r"patch ingresses\.networking\.k8s\.io"):
        target_in(cluster, time, ingress={}).check()


GET, PROXY = Right("get", "deployments", "apps"), Right("create", "services/proxy")


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, []),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"]}, [PROXY]),
        ({"verbs": ["create"], "apiGroups": [""], "resources": ["*/proxy"]}, [GET]),
        ({"verbs": ["*"], "apiGroups": ["apps", ""], "resources": ["deployments", "services"]}, [PROXY]),
        ({"verbs": ["get"], "apiGroups": [""], "resources": ["deployments"]}, [GET, PROXY]),
        ({"verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["x"]}, [PROXY]),
    ],
)
def test_what_rules_grant(rule: Any, left: Sequence[Right]) -> None:
    assert not_granted([GET, PROXY], [rule]) == left


def test_a_model_is_mounted_where_the_cluster_has_image_volumes(cluster: MemoryCluster, time: Time) -> None:
    target = target_in(cluster, time)
    target.check(mounts=[PLACE])
    gate.release(target, MOUNTED, verified=target.verified(), deadline=60, clock=time, wait=time.wait)
    assert [one["metadata"]["name"] for one in cluster.find("Deployment")] == ["shop-prod"]
    assert target.differences(MOUNTED) == []


@pytest.mark.parametrize(
    ("version", "on", "said"),
    [
        ((1, 20), True, r"the cluster is Kubernetes 1\.20, and image volumes came with 1\.31"),
        ((1, 33), False, "its feature gate ImageVolume is off"),
    ],
)
def test_a_cluster_without_image_volumes_is_told_of_before_anything_changes(
    cluster: MemoryCluster, time: Time, version: tuple[int, int], on: bool, said: str
) -> None:
    cluster.kubernetes, cluster.image_volumes = version, on
    target = target_in(cluster, time)
    target.check()
    with pytest.raises(UsageError, match=f"to mount {PLACE} from: {said}.*leave `mount: true` out"):
        target.check(mounts=[PLACE])
    with pytest.raises(UsageError, match=said):
        target.rollout(MOUNTED)
    by_hand: Any = {"volumes": {"/models": {"image": "registry.example.com/w:1"}}}
    with pytest.raises(UsageError, match=f"to mount /models from: {said}"):
        target_in(cluster, time, **by_hand).check()
    target_in(cluster, time, volumes={"/models": {"claim": "models"}}).check()
    assert cluster.history == []
