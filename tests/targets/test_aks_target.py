"""The target `aks`: its words for what the kind `kubernetes` does, and the clusters that a workspace has attached."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))

from kubernetes_releases import release

from pipeline.azureml import Workspace
from pipeline.azureml.compute import AksCompute
from pipeline.errors import UsageError
from pipeline.kubernetes.objects import objects
from pipeline.targets import aks
from pipeline.targets.remote import Surroundings

ID = "11111111-2222-3333-4444-555555555555"


def around(folder: Path, **environ: str) -> Surroundings:
    return Surroundings(folder, folder, environ, lambda _: None, print, lambda: 0.0, lambda _: None)


def made(kind: str, **spec: Any) -> dict[str, Any]:
    settings = aks.settings({"image": "web", "cluster": "c", **spec})
    return next(one for one in objects(release(**settings)) if one["kind"] == kind)


def container(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = made("Deployment", **spec)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_row_53_the_sdks_defaults_hold() -> None:
    assert container()["resources"] == {"requests": {"cpu": "0.1", "memory": "512Mi"}, "limits": {"memory": "512Mi"}}
    assert made("Deployment")["spec"]["replicas"] == 1
    scale = made("HorizontalPodAutoscaler", autoscale={})["spec"]
    assert (scale["minReplicas"], scale["maxReplicas"], scale["targetCPUUtilizationPercentage"]) == (1, 10, 70)


def test_row_53_what_is_said_is_said_to_the_cluster() -> None:
    found = container(cpu=1, cpu_limit=2, memory_gb=1.5, memory_gb_limit=3, gpu_cores=1, scoring_timeout_ms=9000)
    assert found["resources"] == {
        "requests": {"cpu": "1", "memory": "1536Mi"},
        "limits": {"cpu": "2", "memory": "3072Mi", "nvidia.com/gpu": "1"},
    }
    assert found["env"] == [{"name": "SCORING_TIMEOUT_MS", "value": "9000"}]
    assert made("Deployment", num_replicas=3)["spec"]["replicas"] == 3
    probe = container(liveness={"initial_delay_seconds": 310, "failure_threshold": 3})["livenessProbe"]
    assert (probe["initialDelaySeconds"], probe["failureThreshold"], probe["periodSeconds"]) == (310, 3, 10)


def test_a_cluster_by_its_name(tmp_path: Path) -> None:
    spec = {"image": "web", "cluster": "c", "subscription": ID, "resource_group": "ml"}
    wanted = {"aks": {"subscription": ID, "resource_group": "ml", "cluster": "c", "admin": False}}
    assert aks.place(spec, around(tmp_path)) == wanted
    environ = {"AZURE_SUBSCRIPTION_ID": ID, "AZURE_RESOURCE_GROUP": "ml"}
    assert aks.place({"image": "web", "cluster": "c"}, around(tmp_path, **environ)) == wanted
    with pytest.raises(UsageError, match="AZURE_SUBSCRIPTION_ID"):
        aks.place({"image": "web", "cluster": "c"}, around(tmp_path))


def test_a_cluster_that_was_attached(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        workspace = Workspace.create("ws")
    where = AksCompute.attach_configuration(resource_group="rg", cluster_name="aks1")
    AksCompute.attach(workspace, "ours", where)
    AksCompute.attach(workspace, "other", AksCompute.attach_configuration(context="kind"))
    environ = {"AZURE_SUBSCRIPTION_ID": ID}
    folders = (tmp_path, tmp_path / "manifests", tmp_path / ".pipeline/azureml/ws/services/s")
    for folder in folders:
        found = aks.place({"image": "web", "compute_target": "ours"}, around(folder, **environ))
        assert found == {"aks": {"subscription": ID, "resource_group": "rg", "cluster": "aks1", "admin": False}}
    assert aks.place({"image": "web", "compute_target": "other"}, around(tmp_path)) == {"context": "kind"}
    with pytest.raises(UsageError, match="no workspace here has a compute target none") as caught:
        aks.place({"image": "web", "compute_target": "none"}, around(tmp_path))
    assert "other, ours" in caught.value.remedy


def test_one_name_of_two_clusters_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / ".pipeline/azureml" / name
        folder.mkdir(parents=True)
        (folder / "compute.json").write_text(json.dumps({"ours": {"context": name}}))
    with pytest.raises(UsageError, match="several workspaces"):
        aks.place({"image": "web", "compute_target": "ours"}, around(tmp_path))


def test_flaws_and_accelerators() -> None:
    def flaws(**spec: Any) -> list[tuple[str | int, ...]]:
        return [place for place, _, _ in aks.flaws({"image": "web", **spec})]

    assert flaws(cluster="c") == []
    assert flaws() == [()]
    assert flaws(cluster="c", compute_target="d") == [("cluster",)]
    assert flaws(cluster="c", autoscale={"min_replicas": 20}, num_replicas=1) == [("num_replicas",), ("autoscale",)]
    assert flaws(cluster="c", cpu=2, cpu_limit=1) == [("cpu_limit",)]
    assert aks.accelerators({"gpu_cores": 1}) == {"cuda"}
    assert not aks.accelerators({"gpu_cores": 0})
