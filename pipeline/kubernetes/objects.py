"""The objects of a release: a Deployment, a Service, and what the settings ask for beside."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from pipeline.kubernetes import names
from pipeline.kubernetes.api import Object
from pipeline.kubernetes.patches import patched
from pipeline.kubernetes.pods import revision_of_pods, template
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import reveal
from pipeline.targets.model import Release
from pipeline.targets.remote import Account


def objects(release: Release, account: Account | None = None) -> list[Object]:
    """All objects of a release, in the order in which they are applied; `account` is for the pull secret."""
    spec = release.settings
    found = [*secrets(release, account), service(release), deployment(release, pull=account is not None)]
    found += [ingress(release)] if "ingress" in spec else []
    found += [autoscaler(release)] if "autoscale" in spec else []
    return patched(found, spec.get("patches") or ())


def taken(service: str, spec: Mapping[str, Any], *, pull: bool) -> list[tuple[str, str]]:
    """(kind, name) of what a service has beside the Secrets of its revisions: known before there is an image."""
    name = names.name_of(service, spec)
    found = [("Deployment", name), ("Service", name), ("Secret", f"{name}-releases")]
    found += [("Secret", f"{name}-registry")] if pull else []
    found += [("Ingress", name)] if "ingress" in spec else []
    found += [("HorizontalPodAutoscaler", name)] if "autoscale" in spec else []
    if spec.get("strategy"):
        found += [(kind, f"{name}-{names.CANARY}") for kind in ("Deployment", "Service")]
    return found


def named(release: Release, suffix: str = "") -> str:
    return names.name_of(release.service, release.settings) + suffix


def _object(kind: str, version: str, name: str, release: Release, **rest: Any) -> Object:
    labels = names.labels(named(release), release.settings)
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": labels}, **rest}


# -- secrets ------------------------------------------------------------------------------------------------------


def secrets(release: Release, account: Account | None) -> list[Object]:
    """A pull secret for the registry, and the secrets among the environment variables."""
    found = []
    if account:
        found.append(_pull_secret(release, account))
    if values := secret_env(release):
        data = {name: _base64(reveal(value)) for name, value in values.items()}
        found.append(_object("Secret", "v1", env_secret_name(release), release, type="Opaque", data=data))
    return found


def secret_env(release: Release) -> dict[str, str]:
    return {name: value for name, value in (release.settings.get("env") or {}).items() if isinstance(value, Secret)}


def env_secret_name(release: Release) -> str:
    """Of each revision of pods its own: those of the one before that start again keep what they had."""
    return named(release, f"-env-{revision_of_pods(release)}")


def pull_secret_name(release: Release) -> str:
    return named(release, "-registry")


def _pull_secret(release: Release, account: Account) -> Object:
    """kubernetes.io/docs/tasks/configure-pod-container/pull-image-private-registry."""
    pair = f"{account.username}:{account.password.reveal()}"
    entry = {"username": account.username, "password": account.password.reveal(), "auth": _base64(pair)}
    server = "https://index.docker.io/v1/" if account.registry == "docker.io" else account.registry
    data = {".dockerconfigjson": _base64(json.dumps({"auths": {server: entry}}))}
    kind = "kubernetes.io/dockerconfigjson"
    return _object("Secret", "v1", pull_secret_name(release), release, type=kind, data=data)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# -- the service and its pods -------------------------------------------------------------------------------------


def deployment(
    release: Release, track: str = names.STABLE, replicas: int | None = None, *, pull: bool = False
) -> Object:
    """The pods of a release. `replicas` is for the canary; None: what the settings say, or nobody where they scale."""
    spec = release.settings
    name = named(release, "" if track == names.STABLE else f"-{track}")
    marks = {
        names.SERVICE: release.service,
        names.REVISION: release.revision,
        names.IMAGE: release.image,
    }
    deadline = int((spec.get("health") or {}).get("deadline", 300))
    wanted = {
        "selector": {"matchLabels": {names.INSTANCE: named(release), names.TRACK: track}},
        "progressDeadlineSeconds": max(deadline, 1),
        # Old pods go only when new ones are ready.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
        "template": template(release, track, pull_secret_name(release) if pull else "", env_secret_name(release)),
    }
    if replicas is not None or "autoscale" not in spec:
        wanted["replicas"] = spec.get("replicas", 1) if replicas is None else replicas
    made = _object("Deployment", "apps/v1", name, release, spec=wanted)
    made["metadata"]["annotations"] = marks
    return made


def service(release: Release, *tracks: str) -> Object:
    """The service's address, of the pods of these tracks; default: of the stable ones."""
    spec = release.settings.get("service") or {}
    chosen = {} if len(tracks) > 1 else {names.TRACK: tracks[0] if tracks else names.STABLE}
    made = _service(release, named(release), spec.get("type", "ClusterIP"), chosen)
    if "node_port" in spec:
        made["spec"]["ports"][0]["nodePort"] = spec["node_port"]
    if spec.get("annotations"):
        made["metadata"]["annotations"] = dict(spec["annotations"])
    return made


def canary_service(release: Release) -> Object:
    """An address of the new pods alone, for scoring before they have any traffic."""
    return _service(release, named(release, f"-{names.CANARY}"), "ClusterIP", {names.TRACK: names.CANARY})


def _service(release: Release, name: str, kind: str, track: Mapping[str, str]) -> Object:
    port = {"name": "http", "port": release.port, "protocol": "TCP", "targetPort": release.container_port}
    wanted = {"type": kind, "selector": {names.INSTANCE: named(release), **track}, "ports": [port]}
    return _object("Service", "v1", name, release, spec=wanted)


def ingress(release: Release) -> Object:
    spec: Mapping[str, Any] = release.settings["ingress"]
    backend = {"service": {"name": named(release), "port": {"number": release.port}}}
    rule: Object = {"http": {"paths": [{"path": spec.get("path", "/"), "pathType": "Prefix", "backend": backend}]}}
    wanted: Object = {"rules": [{"host": spec["host"], **rule} if "host" in spec else rule]}
    if "class" in spec:
        wanted["ingressClassName"] = spec["class"]
    if "tls" in spec:
        wanted["tls"] = [{"secretName": spec["tls"], **({"hosts": [spec["host"]]} if "host" in spec else {})}]
    made = _object("Ingress", "networking.k8s.io/v1", named(release), release, spec=wanted)
    if spec.get("annotations"):
        made["metadata"]["annotations"] = dict(spec["annotations"])
    return made


def autoscaler(release: Release) -> Object:
    """autoscaling/v1 knows all that is asked for, in every version of Kubernetes."""
    scale = release.settings["autoscale"]
    wanted = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": named(release)},
        "minReplicas": scale.get("min", 1),
        "maxReplicas": scale["max"],
        "targetCPUUtilizationPercentage": scale.get("cpu", 80),
    }
    return _object("HorizontalPodAutoscaler", "autoscaling/v1", named(release), release, spec=wanted)
