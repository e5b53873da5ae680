"""The target kind `aks`: a service on Azure Kubernetes Service, said as Azure ML's users say it.

It is the kind `kubernetes` with other words: `settings` translates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.kubernetes import settings as kubernetes
from pipeline.kubernetes.flaws import flaws as flaws_of_kubernetes

if TYPE_CHECKING:
    from pipeline.kubernetes.target import KubernetesTarget
    from pipeline.targets.model import Release
    from pipeline.targets.remote import Surroundings

REMOTE = True
MOUNTS = True
WHERE = ("subscription", "resource_group", "cluster", "admin", "compute_target", "namespace", "name")
DEADLINE = 300.0
"""Seconds until all pods of a release must be ready: nodes may have to pull the image first."""

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_AMOUNT: Mapping[str, Any] = {"type": "number", "exclusiveMinimum": 0}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 1}
_PLACE = ("subscription", "resource_group", "cluster", "admin", "compute_target")
_LIVENESS = {
    "period_seconds": "periodSeconds",
    "initial_delay_seconds": "initialDelaySeconds",
    "timeout_seconds": "timeoutSeconds",
    "success_threshold": "successThreshold",
    "failure_threshold": "failureThreshold",
}
_OWN = (
    *_PLACE,
    "liveness",
    "cpu",
    "cpu_limit",
    "memory_gb",
    "memory_gb_limit",
    "gpu_cores",
    "num_replicas",
    "scoring_timeout_ms",
)
_REPLACED = ("context", "kubeconfig", "aks", "resources", "replicas", "gpus", "autoscale", "image")
CPU, MEMORY_GB, LEAST, MOST, UTILIZATION = 0.1, 0.5, 1, 10, 70
"""What the SDK's AksWebservice has where nothing is said."""

_PROPERTIES: Mapping[str, Any] = {
    "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
    "compute_target": {
        **_TEXT,
        "description": "The cluster by the name that 'pipeline azureml computetarget attach' gave it.",
    },
    "cluster": {**_TEXT, "description": "The cluster's name in Azure, in place of `compute_target`."},
    "resource_group": {**_TEXT, "description": "Its resource group; default: AZURE_RESOURCE_GROUP."},
    "subscription": {**_TEXT, "description": "Its subscription's id; default: AZURE_SUBSCRIPTION_ID."},
    "admin": {"type": "boolean", "default": False, "description": "Take the cluster's local administrator."},
    "cpu": {**_AMOUNT, "default": CPU, "description": "Processors that each pod asks for."},
    "cpu_limit": {**_AMOUNT, "description": "Processors that it may use at most."},
    "memory_gb": {**_AMOUNT, "default": MEMORY_GB, "description": "Memory that each pod asks for, in GB."},
    "memory_gb_limit": {**_AMOUNT, "description": "Memory that it may use at most, in GB; default: what it asks for."},
    "gpu_cores": {"type": "integer", "minimum": 0, "description": "GPUs for each pod."},
    "num_replicas": {**_COUNT, "default": 1, "description": "How many pods serve."},
    "autoscale": {
        "type": "object",
        "additionalProperties": False,
        "description": "As many pods as the load asks for, in place of `num_replicas`; {} for the defaults.",
        "properties": {
            "min_replicas": {**_COUNT, "default": LEAST, "description": "At least."},
            "max_replicas": {**_COUNT, "default": MOST, "description": "At most."},
            "target_utilization": {
                **_COUNT,
                "maximum": 100,
                "default": UTILIZATION,
                "description": "Percent of the processors asked for.",
            },
        },
    },
    "liveness": {
        "type": "object",
        "additionalProperties": False,
        "description": "When a pod that has been well is started again.",
        "properties": {
            "period_seconds": {**_COUNT, "default": 10, "description": "How often it is asked."},
            "initial_delay_seconds": {**_COUNT, "description": "How long after it was well first."},
            "timeout_seconds": {**_COUNT, "default": 5, "description": "How long an answer may take."},
            "success_threshold": {"const": 1, "description": "Kubernetes allows no other."},
            "failure_threshold": {**_COUNT, "default": 6, "description": "Failures in a row that end it."},
        },
    },
    "scoring_timeout_ms": {**_COUNT, "description": "The longest that scoring may take (SCORING_TIMEOUT_MS)."},
}
_TAKEN_OVER = {name: value for name, value in kubernetes.SCHEMA["properties"].items() if name not in _REPLACED}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "A service on Azure Kubernetes Service.",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {**_PROPERTIES, **_TAKEN_OVER},
}


def settings(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the kind `kubernetes` that mean the same, but for the cluster's place: releases have these."""
    found = {name: value for name, value in spec.items() if name not in (*_OWN, "autoscale")}
    resources: dict[str, Any] = {"cpu": str(spec.get("cpu", CPU)), "memory": _memory(spec.get("memory_gb", MEMORY_GB))}
    limits = {"cpu": str(spec["cpu_limit"])} if "cpu_limit" in spec else {}
    if "memory_gb_limit" in spec:
        limits["memory"] = _memory(spec["memory_gb_limit"])
    found["resources"] = {**resources, **({"limits": limits} if limits else {})}
    if spec.get("gpu_cores"):
        found["gpus"] = spec["gpu_cores"]
    if "autoscale" in spec:
        scale = spec["autoscale"]
        most, share = scale.get("max_replicas", MOST), scale.get("target_utilization", UTILIZATION)
        found["autoscale"] = {"min": scale.get("min_replicas", LEAST), "max": most, "cpu": share}
    else:
        found["replicas"] = spec.get("num_replicas", 1)
    if liveness := spec.get("liveness"):
        found["liveness"] = {_LIVENESS[name]: value for name, value in liveness.items()}
    if "scoring_timeout_ms" in spec:
        found["env"] = {"SCORING_TIMEOUT_MS": str(spec["scoring_timeout_ms"]), **(spec.get("env") or {})}
    return found


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    if ("cluster" in spec) == ("compute_target" in spec):
        place = ("cluster",) if "cluster" in spec else ()
        yield place, "the cluster is named once: by `cluster` or by `compute_target`", "name exactly one"
    if "autoscale" in spec and "num_replicas" in spec:
        yield ("num_replicas",), "autoscaling decides how many pods there are", "leave out one of the two"
    scale = spec.get("autoscale") or {}
    if scale.get("min_replicas", LEAST) > (most := scale.get("max_replicas", MOST)):
        yield ("autoscale",), f"`min_replicas` is more than `max_replicas` ({most})", "the most pods"
    for name, default in (("cpu", CPU), ("memory_gb", MEMORY_GB)):
        if spec.get(f"{name}_limit", spec.get(name, default)) < spec.get(name, default):
            yield (f"{name}_limit",), f"it is less than `{name}`", f"at least {spec.get(name, default)}"
    taken = {name: value for name, value in spec.items() if name in _TAKEN_OVER}
    yield from flaws_of_kubernetes(taken)


def accelerators(spec: Mapping[str, Any]) -> frozenset[str]:
    """What the target has of what base images may need."""
    return frozenset({"cuda"}) if spec.get("gpu_cores") else frozenset()


def target(service: str, spec: Mapping[str, Any], surroundings: Surroundings) -> KubernetesTarget:
    """The target of one manifest entry; its cluster is asked for when it is needed."""
    from pipeline.kubernetes.find import cluster_of
    from pipeline.kubernetes.target import KubernetesTarget

    translated = settings(spec)
    return KubernetesTarget(
        service, translated, lambda: cluster_of({**translated, **place(spec, surroundings)}, surroundings), surroundings
    )


def place(spec: Mapping[str, Any], surroundings: Surroundings) -> dict[str, Any]:
    """Where the cluster is, as the kind `kubernetes` says it. UsageError for what is not known."""
    from pipeline.azure.calls import setting
    from pipeline.kubernetes.attached import attached

    named = attached(spec["compute_target"], surroundings.folder) if "compute_target" in spec else {}
    if context := named.get("context"):
        return {"context": context}
    environ = surroundings.environ
    known = {
        "subscription": named.get("subscription_id") or spec.get("subscription"),
        "resource_group": named.get("resource_group") or spec.get("resource_group"),
    }
    return {
        "aks": {
            "subscription": setting(known, "subscription", environ, "AZURE_SUBSCRIPTION_ID"),
            "resource_group": setting(known, "resource_group", environ, "AZURE_RESOURCE_GROUP"),
            "cluster": named.get("cluster_name") or spec["cluster"],
            "admin": spec.get("admin", False),
        }
    }


def render(release: Release, surroundings: Surroundings) -> str:
    """The objects of a release as YAML, without its secrets; no cluster is asked."""
    from pipeline.targets.kubernetes import render as rendered

    return rendered(release, surroundings)


def _memory(gigabytes: float) -> str:
    return f"{round(gigabytes * 1024)}Mi"
