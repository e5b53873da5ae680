"""What Azure Container Instances is sent of a release: a container group (REST reference, 2023-05-01)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.azure.online_bodies import IMAGE, REVISION, SERVICE
from pipeline.digest import cache_key
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import reveal
from pipeline.targets.model import Release
from pipeline.targets.remote import Account

CONTAINER = "service"
_NAME = 63
RESTART = {"always": "Always", "on-failure": "OnFailure", "no": "Never"}
CPU, MEMORY_GB = 0.1, 0.5
"""What the SDK's AciWebservice asks for."""


def group_name(service: str, spec: Mapping[str, Any]) -> str:
    """The container group's name: the target's own, else the service's, as Azure allows it (1 to 63 characters)."""
    if own := spec.get("name"):
        return str(own)
    name = re.sub(r"[^a-z0-9]+", "-", service.lower()).strip("-") or "service"
    return name if len(name) <= _NAME else f"{name[: _NAME - 9].rstrip('-')}-{cache_key(service)[:8]}"


def group(release: Release, service: str, location: str, account: Account | None, subnet: str) -> dict[str, Any]:
    """`account` is who pulls the image, None for nobody; `subnet` the ARM id of the one that it gets an address in."""
    settings, port = release.settings, release.container_port
    properties: dict[str, Any] = {
        "osType": "Linux",
        "restartPolicy": RESTART[settings.get("restart", "always")],
        "containers": [{"name": CONTAINER, "properties": _container(release)}],
        "ipAddress": {
            "type": "Private" if subnet else "Public",
            "ports": [{"protocol": "TCP", "port": port}],
            **({"dnsNameLabel": settings["dns_name_label"]} if "dns_name_label" in settings else {}),
        },
    }
    if credentials := _credentials(release, account):
        properties["imageRegistryCredentials"] = [credentials]
    if subnet:
        properties["subnetIds"] = [{"id": subnet}]
    if "vault_base_url" in settings:
        properties["encryptionProperties"] = {
            "vaultBaseUrl": settings["vault_base_url"],
            "keyName": settings["key_name"],
            "keyVersion": settings["key_version"],
        }
    tags = {**(settings.get("tags") or {}), SERVICE: service, REVISION: release.revision, IMAGE: release.image}
    value = {"location": location, "tags": tags, "properties": properties}
    if identity := settings.get("identity"):
        value["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {identity: {}}}
    return value


def _container(release: Release) -> dict[str, Any]:
    settings, port = release.settings, release.container_port
    health = settings.get("health") or {}
    probe = {
        "httpGet": {"path": health.get("path", "/"), "port": port, "scheme": "http"},
        "periodSeconds": 10,
        "timeoutSeconds": int(health.get("timeout", 5)),
    }
    requests: dict[str, Any] = {"cpu": settings.get("cpu", CPU), "memoryInGB": settings.get("memory_gb", MEMORY_GB)}
    if gpu := settings.get("gpu"):
        requests["gpu"] = {"count": gpu.get("count", 1), "sku": gpu["sku"]}
    return {
        "image": release.reference,
        "ports": [{"protocol": "TCP", "port": port}],
        "environmentVariables": _environment(settings),
        "resources": {"requests": requests},
        "readinessProbe": probe,
        # A start may load a model for minutes: only what has been well for long is ended.
        "livenessProbe": {**probe, "initialDelaySeconds": int(health.get("deadline", 600)), "failureThreshold": 6},
    }


def _environment(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """Secrets are `secureValue`s, which nobody can read again."""
    env: dict[str, Any] = dict(settings.get("env") or {})
    if workers := settings.get("workers"):
        env["WORKER_COUNT"] = str(workers)
    return [
        {"name": name, "secureValue" if isinstance(value, Secret) else "value": reveal(value)}
        for name, value in env.items()
    ]


def _credentials(release: Release, account: Account | None) -> dict[str, str]:
    registry = release.reference.partition("/")[0]
    if identity := release.settings.get("identity"):
        return {"server": registry, "identity": identity}
    if account is None:
        return {}
    return {"server": account.registry, "username": account.username, "password": account.password.reveal()}


def comparable(group: Mapping[str, Any]) -> dict[str, Any]:
    """A group without what cannot be read back or is Azure's own: variables and containers by their names."""
    properties = group.get("properties") or {}
    containers = {one["name"]: _flat(one.get("properties") or {}) for one in properties.get("containers") or ()}
    address = properties.get("ipAddress") or {}
    subnets = [str(one.get("id", "")) for one in properties.get("subnetIds") or ()]
    return {
        "tags": {key: value for key, value in (group.get("tags") or {}).items() if key in (SERVICE, REVISION, IMAGE)},
        "restartPolicy": properties.get("restartPolicy"),
        **containers.get(CONTAINER, {}),
        "dnsNameLabel": address.get("dnsNameLabel"),
        "subnet": subnets[0] if subnets else None,
    }


def _flat(container: Mapping[str, Any]) -> dict[str, Any]:
    requests = (container.get("resources") or {}).get("requests") or {}
    ports = [one.get("port") for one in container.get("ports") or ()]
    # A secret's value is never given back: that there is one is all that can be compared.
    env = {one["name"]: one.get("value", "***") for one in container.get("environmentVariables") or ()}
    cpu, memory = (float(requests.get(name, 0)) for name in ("cpu", "memoryInGB"))
    return {
        "image": container.get("image"),
        "ports": ports,
        "environmentVariables": env,
        "cpu": cpu,
        "memoryInGB": memory,
        "gpu": (requests.get("gpu") or {}).get("count"),
    }


def must_be_made_anew(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether Azure cannot change the live group into the wanted one ("Update containers", limitations)."""
    fixed = ("restartPolicy", "cpu", "memoryInGB", "gpu", "subnet", "dnsNameLabel", "ports")
    before, after = comparable(live), comparable(wanted)
    return any(before.get(name) != after.get(name) for name in fixed)
