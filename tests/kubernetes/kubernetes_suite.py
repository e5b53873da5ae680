"""What every implementation of `pipeline.kubernetes.api.Cluster` has to do: the one in memory, and a real one."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
from kubernetes_releases import release

from pipeline.errors import OutOfReach
from pipeline.kubernetes.api import Cluster, Conflict, Gone, Object
from pipeline.kubernetes.compare import added_by_hand, differences, without
from pipeline.kubernetes.objects import deployment, service
from pipeline.kubernetes.rights import needed


class Hands(Protocol):
    """How somebody else changes an object: with this manager's name, by a merge patch."""

    def __call__(self, manager: str, kind: str, name: str, change: dict[str, Any]) -> object: ...


def settings(**data: str) -> dict[str, Any]:
    metadata = {"name": "settings", "labels": {"app": "shop"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def replaced(cluster: Cluster, kind: str, name: str) -> Object:
    """The object without what was added by hand; controllers change it at the same time."""
    for _ in range(20):
        live = cluster.get(kind, name)
        assert live is not None
        try:
            return cluster.replace(without(live, [path for path, _ in added_by_hand(live)]))
        except OutOfReach:
            continue
    raise AssertionError("somebody else is always first")


class ClusterSuite:
    """A subclass gives the fixtures `cluster` and `hands`."""

    def test_what_is_not_there(self, cluster: Cluster) -> None:
        assert cluster.get("ConfigMap", "settings") is None
        cluster.delete("ConfigMap", "settings")
        with pytest.raises(Gone):
            cluster.merge("ConfigMap", "settings", {"data": {"a": "1"}})

    def test_applying_makes_changes_and_takes_back(self, cluster: Cluster) -> None:
        cluster.apply(settings(a="1", b="2"))
        cluster.apply(settings(a="3"))
        found = cluster.get("ConfigMap", "settings")
        assert found is not None
        assert found["data"] == {"a": "3"}
        cluster.delete("ConfigMap", "settings")
        assert cluster.get("ConfigMap", "settings") is None

    def test_a_dry_run_changes_nothing(self, cluster: Cluster) -> None:
        assert cluster.apply(settings(a="1"), dry_run=True)["data"] == {"a": "1"}
        assert cluster.get("ConfigMap", "settings") is None
        cluster.apply(settings(a="1"))
        assert cluster.apply(settings(a="2"), dry_run=True)["data"] == {"a": "2"}
        assert cluster.apply(settings(a="1"))["data"] == {"a": "1"}

    def test_applying_again_changes_nothing(self, cluster: Cluster) -> None:
        before = cluster.apply(deployment(release()))
        after = cluster.apply(deployment(release()))
        assert before["metadata"]["generation"] == after["metadata"]["generation"] == 1

    def test_a_field_of_others_is_a_conflict_that_names_them(self, cluster: Cluster, hands: Hands) -> None:
        cluster.apply(settings(a="1", b="2"))
        hands("somebody", "ConfigMap", "settings", {"data": {"a": "9"}})
        with pytest.raises(Conflict, match=r"data\.a \(of somebody\)") as caught:
            cluster.apply(settings(a="1", b="2"))
        assert [one.manager for one in caught.value.owned] == ["somebody"]
        assert cluster.apply(settings(a="1", b="2"), force=True)["data"] == {"a": "1", "b": "2"}
        cluster.apply(settings(a="1", b="2"))

    def test_what_others_added_stays(self, cluster: Cluster, hands: Hands) -> None:
        cluster.apply(settings(a="1"))
        hands("somebody", "ConfigMap", "settings", {"data": {"c": "3"}})
        assert cluster.apply(settings(a="2"))["data"] == {"a": "2", "c": "3"}

    def test_the_version_and_rights_of_an_administrator(self, cluster: Cluster) -> None:
        assert cluster.version() >= (1, 20)
        assert cluster.lacking(needed({"ingress": {}, "autoscale": {}}, scores=True)) == []
        assert cluster.address.startswith("https://")

    def test_selectors(self, cluster: Cluster) -> None:
        cluster.apply(settings(a="1"))
        (found,) = cluster.find("ConfigMap", labels="app=shop")
        assert found["metadata"]["name"] == "settings"
        assert "kind" not in found, "only the list says it"
        assert cluster.find("ConfigMap", labels="app=other") == []

    def test_an_object_that_changed_meanwhile_is_not_replaced(self, cluster: Cluster) -> None:
        old = cluster.apply(settings(a="1"))
        cluster.apply(settings(a="2"))
        with pytest.raises(Exception, match="modified"):
            cluster.replace({**old, "apiVersion": "v1", "kind": "ConfigMap"})

    def test_a_deployment_changed_by_hand(self, cluster: Cluster, hands: Hands) -> None:
        wanted = deployment(release(replicas=2, env={"LEVEL": "info"}))
        cluster.apply(wanted)
        name = wanted["metadata"]["name"]
        live = cluster.get("Deployment", name)
        assert live is not None
        assert differences(live, cluster.apply(wanted, dry_run=True, force=True)) == []
        hands("kubectl-scale", "Deployment", name, {"spec": {"replicas": 5, "minReadySeconds": 7}})
        live = cluster.get("Deployment", name)
        assert live is not None
        found = differences(live, cluster.apply(wanted, dry_run=True, force=True))
        assert [str(one) for one in found] == [
            f"Deployment {name} spec.replicas: 5 → 2 (set by kubectl-scale)",
            f"Deployment {name} spec.minReadySeconds: 7 → none (set by kubectl-scale)",
        ]
        cluster.apply(wanted, force=True)
        mended = replaced(cluster, "Deployment", name)
        assert mended["spec"]["replicas"] == 2
        assert "minReadySeconds" not in mended["spec"]
        assert differences(mended, cluster.apply(wanted, dry_run=True, force=True)) == []

    def test_a_service_selects_another_track(self, cluster: Cluster) -> None:
        cluster.apply(service(release()))
        both = cluster.apply(service(release(), "stable", "canary"))
        assert "pipeline-images/track" not in both["spec"]["selector"]
        one = cluster.apply(service(release(), "canary"))
        assert one["spec"]["selector"]["pipeline-images/track"] == "canary"
