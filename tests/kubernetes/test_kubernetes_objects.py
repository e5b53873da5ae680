"""The objects of a release: valid for old and new Kubernetes, and as the settings ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from kubernetes_releases import ACCOUNT, release

from pipeline.errors import UsageError
from pipeline.kubernetes.flaws import flaws
from pipeline.kubernetes.objects import canary_service, deployment, objects, service
from pipeline.kubernetes.text import rendered
from pipeline.manifest.model import Secret
from pipeline.targets.model import Mount, Release

VERSIONS = ("1.25", "1.28", "1.31", "1.34", "1.37")

EVERYTHING: dict[str, Any] = {
    "namespace": "ml",
    "resources": {"cpu": "500m", "memory": "1Gi", "storage": "2Gi", "limits": {"cpu": 2}},
    "gpus": 1,
    "env": {"LEVEL": "info", "TOKEN": Secret("hunter2")},
    "secrets": {"KEY": {"secret": "own", "key": "k"}},
    "workers": 2,
    "node_selector": {"pool": "gpu"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "service_account": "scorer",
    "user": 1234,
    "writable": ["/tmp", "/var/cache"],
    "volumes": {"/data": {"claim": "data"}, "/certs": {"secret": "certs"}, "/etc/app": {"config_map": "app"}},
    "labels": {"team": "ml"},
    "annotations": {"prometheus.io/scrape": "true"},
    "service": {"type": "LoadBalancer", "annotations": {"cloud.example.com/internal": "true"}},
    "ingress": {"host": "score.example.com", "path": "/v1", "class": "nginx", "tls": "score-tls"},
    "autoscale": {"min": 2, "max": 10, "cpu": 70},
    "health": {"path": "/healthz", "deadline": 120, "timeout": 2.5},
    "patches": [
        {"kind": "Deployment", "merge": {"spec": {"template": {"spec": {
            "priorityClassName": "high",
            "containers": [{"name": "service", "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}}}],
        }}}}},
        {"kind": "Service", "merge": {"spec": {"externalTrafficPolicy": "Local"}}},
    ],
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("settings", [{}, EVERYTHING, {"replicas": 3, "gpus": 2, "security": {"root": True}}])
def test_the_objects_pass_each_versions_own_schema(settings: Mapping[str, Any], version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    one = release(**settings)
    made = [*objects(one, ACCOUNT), canary_service(one), deployment(one, "canary", 1), service(one, "stable", "canary")]
    for each in made:
        kubernetes_validate.validate(each, version, strict=True)


def test_an_image_volume_passes_where_there_are_any() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    one = deployment(release(volumes={"/models": {"image": "registry.example.com/ml/weights:1"}}))
    kubernetes_validate.validate(one, "1.33", strict=True)
    volume = one["spec"]["template"]["spec"]["volumes"][-1]
    assert volume["image"]["reference"] == "registry.example.com/ml/weights:1"


def test_a_mounted_model_is_an_image_volume_in_every_version_that_has_them() -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    place, reference = "/var/azureml-app/azureml-models/m/1", f"registry.example.com/ml/web@{release().image}"
    wanted = replace(release(), mounts=(Mount(place, reference=reference), Mount("/other", reference=reference)))
    for version in ("1.33", "1.34", "1.37"):
        for one in objects(wanted, ACCOUNT):
            kubernetes_validate.validate(one, version, strict=True)
    pod = deployment(wanted)["spec"]["template"]["spec"]
    volumes = {one["name"]: one for one in pod["volumes"]}
    mounts = {one["mountPath"]: one for one in pod["containers"][0]["volumeMounts"]}
    assert mounts[place]["readOnly"] is True
    assert volumes[mounts[place]["name"]]["image"] == {"reference": reference, "pullPolicy": "IfNotPresent"}
    assert wanted.revision != release().revision
    assert Release.from_json(wanted.to_json()) == wanted
    # Where the settings have a volume of the user's, it is that.
    own = replace(
        wanted, settings={**wanted.settings, "volumes": {place: {"claim": "models"}, "/other": {"secret": "s"}}}
    )
    assert not [one for one in deployment(own)["spec"]["template"]["spec"]["volumes"] if "image" in one]


def test_what_is_rendered_is_what_is_applied_without_its_secrets() -> None:
    one = release(**EVERYTHING)
    text = rendered(one, "ml", ACCOUNT)
    documents = [each for each in yaml.safe_load_all(text) if each]
    applied = [each for each in objects(one, ACCOUNT) if each["kind"] != "Secret"]
    for each in applied:
        each["metadata"]["namespace"] = "ml"
    assert documents == applied
    assert "hunter2" not in text
    assert "Secret shop-prod-registry" in text


def test_pods_are_safe_by_default() -> None:
    pod = deployment(release())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == release().reference


def test_patches_merge_lists_of_named_things_by_name() -> None:
    pod = deployment_of(EVERYTHING)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == ["sleep", "5"]
    assert container["image"] == release().reference
    assert pod["priorityClassName"] == "high"


def deployment_of(settings: Mapping[str, Any]) -> Any:
    return next(one for one in objects(release(**settings)) if one["kind"] == "Deployment")


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"kind": "Ingress", "merge": {}}, "changes a Ingress, and there is none"),
        ({"kind": "Service", "merge": {"metadata": {"name": "other"}}}, "gives the Service another name"),
    ],
)
def test_a_patch_of_nothing_or_of_a_name(patch: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        objects(release(patches=[patch]))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"aks": {}, "context": "x"}, "brings its own credentials"),
        ({"env": {"A": "1"}, "secrets": {"A": {"secret": "s", "key": "k"}}}, "A is set by `env` as well"),
        ({"volumes": {"/x": {"claim": "a", "secret": "b"}}}, "one of image, claim, secret"),
        ({"autoscale": {"min": 5, "max": 2}, "resources": {"cpu": 1}}, "less than `min`"),
        ({"autoscale": {"max": 2}}, "none are"),
        ({"autoscale": {"max": 2}, "replicas": 2, "resources": {"cpu": 1}}, "decides how many pods"),
        ({"strategy": {"canary": {"steps": [50, 10, 100]}}}, "do not grow to 100"),
        ({"service": {"node_port": 30000}}, "no port on nodes"),
    ],
)
def test_what_a_schema_cannot_tell(spec: Mapping[str, Any], said: str) -> None:
    assert any(said in message for _, message, _ in flaws({"image": "web", **spec}))


@pytest.mark.parametrize(
    ("service", "name"),
    [("shop-prod", "shop-prod"), ("1.Shop_x-prod", "s-1-shop-x-prod"), ("a" * 80, f"{'a' * 41}-")],
)
def test_names_are_labels(service: str, name: str) -> None:
    from pipeline.kubernetes.names import name_of

    found = name_of(service, {})
    assert found.startswith(name)
    assert len(found) <= 50
