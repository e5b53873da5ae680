"""The pods of a release: container, environment, probes, volumes, and what they may."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pipeline.errors import UsageError
from pipeline.kubernetes import names
from pipeline.kubernetes.api import Object
from pipeline.manifest.model import Secret
from pipeline.targets.model import Release

_BESIDE_PODS = {"replicas", "autoscale", "strategy", "force", "service", "ingress", "port"}
_START_PERIOD, _READY_PERIOD, _LIVE_PERIOD = 2, 5, 10


def template(release: Release, track: str, pull_secret: str, env_secret: str) -> Object:
    """A pod template (PodTemplateSpec). UsageError for an image that would have to run as root."""
    spec, name = release.settings, names.name_of(release.service, release.settings)
    labels = {**names.labels(name, spec), names.TRACK: track, names.REVISION: revision_of_pods(release)}
    metadata: Object = {"labels": labels}
    if spec.get("annotations"):
        metadata["annotations"] = dict(spec["annotations"])
    return {"metadata": metadata, "spec": _pod(release, pull_secret, env_secret)}


def revision_of_pods(release: Release) -> str:
    """Identifies all that pods are made of: what is beside them (how many there are, who calls them) leaves them be."""
    settings = {name: value for name, value in release.settings.items() if name not in _BESIDE_PODS}
    return replace(release, port=0, settings=settings).revision


def _pod(release: Release, pull_secret: str, env_secret: str) -> Object:
    spec = release.settings
    account = spec.get("service_account")
    mounts, volumes = _volumes(release)
    pod: Object = {
        # What serves a model has no business with the API server, unless it has an account for that.
        "automountServiceAccountToken": bool(account),
        "securityContext": _pod_security(release),
        "containers": [_container(release, env_secret, mounts)],
        "volumes": volumes,
    }
    pod |= {"serviceAccountName": account} if account else {}
    pod |= {"imagePullSecrets": [{"name": pull_secret}]} if pull_secret else {}
    pod |= {"nodeSelector": dict(spec["node_selector"])} if spec.get("node_selector") else {}
    pod |= {"tolerations": [dict(one) for one in spec["tolerations"]]} if spec.get("tolerations") else {}
    return pod


def _container(release: Release, env_secret: str, mounts: list[Object]) -> Object:
    spec = release.settings
    security = spec.get("security") or {}
    container: Object = {
        "name": names.CONTAINER,
        "image": release.reference,
        "imagePullPolicy": "IfNotPresent",
        # The pod's status tells the end of the log, then, wherever the log itself cannot be had.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "ports": [{"name": "http", "containerPort": release.container_port, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": bool(security.get("privilege_escalation", False)),
            "readOnlyRootFilesystem": not security.get("writable_root", False),
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
        **_probes(release),
    }
    container |= {"env": env} if (env := _env(spec, env_secret)) else {}
    container |= {"resources": resources} if (resources := _resources(spec)) else {}
    return container


def _env(spec: Mapping[str, Any], env_secret: str) -> list[Object]:
    found: dict[str, Object] = {}
    if "workers" in spec:
        found["WORKER_COUNT"] = {"value": str(spec["workers"])}
    for name, value in (spec.get("env") or {}).items():
        kept = {"secretKeyRef": {"name": env_secret, "key": name}}
        found[name] = {"valueFrom": kept} if isinstance(value, Secret) else {"value": value}
    for name, one in (spec.get("secrets") or {}).items():
        found[name] = {"valueFrom": {"secretKeyRef": {"name": one["secret"], "key": one["key"]}}}
    return [{"name": name, **value} for name, value in sorted(found.items())]


def _resources(spec: Mapping[str, Any]) -> Object:
    given = spec.get("resources") or {}
    kinds = {"cpu": "cpu", "memory": "memory", "storage": "ephemeral-storage"}
    asked = {kinds[key]: str(given[key]) for key in kinds if key in given}
    limits = {kinds[key]: str(value) for key, value in (given.get("limits") or {}).items()}
    if "memory" in asked:
        # A pod that takes more memory than was reserved for it is killed whenever its node runs short.
        limits.setdefault("memory", asked["memory"])
    if gpus := spec.get("gpus"):
        limits[spec.get("gpu_resource", "nvidia.com/gpu")] = str(gpus)
    found: Object = {"requests": asked} if asked else {}
    return found | ({"limits": limits} if limits else {})


def _probes(release: Release) -> Object:
    health = release.settings.get("health") or {}
    get = {"path": health.get("path", "/"), "port": release.container_port, "scheme": "HTTP"}
    timeout = max(1, round(health.get("timeout", 5)))
    tries = math.ceil(health.get("deadline", 300) / _START_PERIOD)

    def probe(period: int, failures: int) -> Object:
        return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": timeout}

    return {
        "startupProbe": probe(_START_PERIOD, tries),
        "readinessProbe": probe(_READY_PERIOD, 3),
        # Of the kind `aks`: as its users set it.
        "livenessProbe": {**probe(_LIVE_PERIOD, 6), **(release.settings.get("liveness") or {})},
    }


def _pod_security(release: Release) -> Object:
    """As the Pod Security Standards' level "restricted" wants it, unless the settings say otherwise."""
    spec = release.settings
    root = bool((spec.get("security") or {}).get("root", False))
    if not root:
        _check_user(release)
    found: Object = {"runAsNonRoot": not root, "seccompProfile": {"type": "RuntimeDefault"}}
    return found | ({"runAsUser": spec["user"]} if "user" in spec else {})


def _check_user(release: Release) -> None:
    """The kubelet refuses a user that is root, or one whose number it cannot tell."""
    spec = release.settings
    user = str(spec["user"]) if "user" in spec else str((release.config.get("config") or {}).get("User") or "0")
    number = user.partition(":")[0]
    remedy = "set `user` to a number, of the image or of the target, or `security: {root: true}`"
    if number == "0" or number == "root":
        raise UsageError(f"the image of {release.service} runs as root, which its pods may not", remedy=remedy)
    if not number.isdecimal():
        raise UsageError(
            f"the image of {release.service} runs as '{number}': a cluster cannot tell that this is not root",
            remedy=remedy,
        )


def image_volumes(release: Release) -> dict[str, str]:
    """The images that pods mount, by folder: models that the service's image does not hold, and what settings name."""
    given = release.settings.get("volumes") or {}
    mounted = {mount.place: mount.reference for mount in release.mounts if mount.place not in given}
    return mounted | {folder: volume["image"] for folder, volume in given.items() if "image" in volume}


def _volumes(release: Release) -> tuple[list[Object], list[Object]]:
    """Mounts, and the volumes that they are of."""
    spec = release.settings
    given: dict[str, Any] = dict(spec.get("volumes") or {})
    models = {mount.place: {"image": mount.reference} for mount in release.mounts if mount.place not in given}
    mounts: list[Object] = []
    volumes: list[Object] = []

    def add(name: str, folder: str, source: Object, **more: Any) -> None:
        mounts.append({"name": name, "mountPath": folder, **more})
        volumes.append({"name": name, **source})

    writable = [one for one in spec.get("writable", ["/tmp"]) if one not in given]
    for number, folder in enumerate(writable):
        add(f"writable-{number}", folder, {"emptyDir": {}})
    for number, (folder, volume) in enumerate(given.items()):
        add(f"volume-{number}", folder, _source(volume), readOnly=not volume.get("writable", False))
    for number, (folder, volume) in enumerate(models.items()):
        add(f"model-{number}", folder, _source(volume), readOnly=True)
    return mounts, volumes


def _source(volume: Mapping[str, Any]) -> Object:
    if "image" in volume:
        return {"image": {"reference": volume["image"], "pullPolicy": "IfNotPresent"}}
    if "claim" in volume:
        return {"persistentVolumeClaim": {"claimName": volume["claim"], "readOnly": not volume.get("writable", False)}}
    if "secret" in volume:
        return {"secret": {"secretName": volume["secret"]}}
    return {"configMap": {"name": volume["config_map"]}}
