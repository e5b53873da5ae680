"""What Azure ML is sent of a release: environment, endpoint, deployment (REST reference, 2023-04-01).

Routes are those of the inference server: health on `/`, scoring on `/score`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.digest import cache_key
from pipeline.manifest.build import seconds
from pipeline.manifest.secrets import reveal
from pipeline.targets.model import Release

SERVICE, REVISION, IMAGE = "pipeline-service", "pipeline-revision", "pipeline-image"
"""Tags of an endpoint (the first) and of its deployments."""
AUTH = {"key": "Key", "aml_token": "AMLToken", "aad_token": "AADToken"}
_NAME = 32


def endpoint_name(service: str, spec: Mapping[str, Any]) -> str:
    """The endpoint's name: the target's own, else the service's, as Azure ML allows it (3 to 32 characters)."""
    if own := spec.get("endpoint"):
        return str(own)
    name = re.sub(r"[^a-z0-9-]+", "-", service.lower()).strip("-")
    name = name if name[:1].isalpha() else f"s-{name}"
    name = name if len(name) <= _NAME else f"{name[: _NAME - 9].rstrip('-')}-{cache_key(service)[:8]}"
    return name if len(name) >= 3 else f"{name}-service"


def deployment_name(release: Release) -> str:
    """One name for one revision: what is put twice is the same."""
    return f"r{release.revision}"


def environment(release: Release, service: str) -> tuple[str, str, dict[str, Any]]:
    """(name, version, body): the image by its digest. Versions never change: one for each image and its routes."""
    settings = release.settings
    port = release.container_port
    health = {"path": (settings.get("health") or {}).get("path", "/"), "port": port}
    routes = {"livenessRoute": health, "readinessRoute": health, "scoringRoute": {"path": "/score", "port": port}}
    properties = {"image": release.reference, "osType": "Linux", "inferenceConfig": routes}
    version = cache_key([release.reference, routes])[:12]
    name = settings.get("environment") or re.sub(r"[^A-Za-z0-9_-]+", "-", service)
    return name, version, {"properties": {**properties, "tags": {SERVICE: service, IMAGE: release.image}}}


def endpoint(release: Release, service: str, location: str) -> dict[str, Any]:
    """The endpoint without its traffic."""
    settings = release.settings
    owned = settings.get("identity")
    identity = {"type": "UserAssigned", "userAssignedIdentities": {owned: {}}} if owned else {"type": "SystemAssigned"}
    public = "Enabled" if settings.get("public_network_access", True) else "Disabled"
    properties = {"authMode": AUTH[settings.get("auth_mode", "key")], "publicNetworkAccess": public}
    tags = {**(settings.get("tags") or {}), SERVICE: service}
    return {"location": location, "identity": identity, "tags": tags, "properties": properties}


def deployment(release: Release, service: str, location: str, environment_id: str) -> dict[str, Any]:
    settings = release.settings
    env = {name: reveal(value) for name, value in (settings.get("env") or {}).items()}
    if workers := settings.get("workers"):
        env["WORKER_COUNT"] = str(workers)
    properties: dict[str, Any] = {
        "endpointComputeType": "Managed",
        "environmentId": environment_id,
        "environmentVariables": env,
        "instanceType": settings["instance_type"],
        "appInsightsEnabled": settings.get("app_insights", False),
        "egressPublicNetworkAccess": "Enabled" if settings.get("egress_public_network_access", True) else "Disabled",
        "scaleSettings": {"scaleType": "Default"},
    }
    if request := settings.get("request"):
        properties["requestSettings"] = _requests(request)
    for name in ("liveness", "readiness"):
        if probe := settings.get(name):
            properties[f"{name}Probe"] = _probe(probe)
    tags = {**(settings.get("tags") or {}), SERVICE: service, REVISION: release.revision, IMAGE: release.image}
    sku = {"name": "Default", "capacity": settings.get("instance_count", 1)}
    return {"location": location, "tags": tags, "sku": sku, "properties": properties}


def shares(traffic: Mapping[str, int], name: str, percent: int) -> dict[str, int]:
    """The traffic when `name` has `percent` of it: the others keep their shares of the rest."""
    others = {one: part for one, part in traffic.items() if one != name and part > 0}
    total, rest = sum(others.values()), 100 - percent
    if not total:
        return {name: 100}
    found = {one: rest * part // total for one, part in others.items()}
    first = max(found, key=lambda one: found[one])
    found[first] += rest - sum(found.values())
    return {**{one: part for one, part in found.items() if part}, **({name: percent} if percent else {})}


def _requests(request: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, key in (("timeout", "requestTimeout"), ("queue_wait", "maxQueueWait")):
        if name in request:
            found[key] = _duration(request[name])
    if "concurrency" in request:
        found["maxConcurrentRequestsPerInstance"] = request["concurrency"]
    return found


def _probe(probe: Mapping[str, Any]) -> dict[str, Any]:
    times = (("initial_delay", "initialDelay"), ("period", "period"), ("timeout", "timeout"))
    found: dict[str, Any] = {key: _duration(probe[name]) for name, key in times if name in probe}
    counts = (("success_threshold", "successThreshold"), ("failure_threshold", "failureThreshold"))
    return {**found, **{key: probe[name] for name, key in counts if name in probe}}


def _duration(value: str | float) -> str:
    """ISO 8601, section 4.4.3.2."""
    return f"PT{seconds(value):g}S"
