"""Deployment manifests of Azure IoT Edge: what a device runs ("Deploy modules and establish routes", schema 1.1)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pipeline.digest import cache_key
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import reveal
from pipeline.targets.model import Release
from pipeline.targets.remote import Account

Json = dict[str, Any]
REVISION, SERVICE, IMAGE = "PIPELINE_REVISION", "PIPELINE_SERVICE", "PIPELINE_IMAGE"
"""Variables of the module, by which it is known again."""
_DESIRED = "properties.desired"
_PIECE = 512
"""Characters of a text that twins have always taken; longer `createOptions` go on in createOptions01 and so on."""
_RESTART = {"always": "always", "on-failure": "on-failure", "on-unhealthy": "on-unhealthy", "no": "never"}


def module_name(service: str, spec: Mapping[str, Any]) -> str:
    if own := spec.get("module"):
        return str(own)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", service).strip("-")
    return name if len(name) <= 64 else f"{name[:55]}-{cache_key(service)[:8]}"


def manifest(release: Release, account: Account | None, *, secrets: bool, before: Json | None = None) -> Json:
    """The whole manifest. Without `secrets` it has references such as ${NAME} in their place.

    `before` is what the device has now ({"agent": desired, "hub": desired}): its other modules and routes stay.
    """
    agent, hub = ((before or {}).get(name) or {} for name in ("agent", "hub"))
    runtime = {**_runtime(), **agent.get("runtime", {})}
    settings = dict(runtime.get("settings") or {})
    credentials = {**(settings.get("registryCredentials") or {}), **_credentials(account, secrets)}
    runtime["settings"] = {**settings, **({"registryCredentials": credentials} if credentials else {})}
    name = module_name(release.service, release.settings)
    wanted_agent = {
        "schemaVersion": "1.1",
        **_kept(agent),
        "runtime": runtime,
        "systemModules": agent.get("systemModules") or _system(release.settings.get("runtime", "1.5")),
        "modules": {**(agent.get("modules") or {}), name: module(release, secrets=secrets)},
    }
    wanted_hub = {
        "schemaVersion": "1.1",
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
        **_kept(hub),
        "routes": {**(hub.get("routes") or {}), **(release.settings.get("routes") or {})},
    }
    return content(wanted_agent, wanted_hub)


def content(agent: Json, hub: Json) -> Json:
    return {"modulesContent": {"$edgeAgent": {_DESIRED: agent}, "$edgeHub": {_DESIRED: hub}}}


def module(release: Release, *, secrets: bool) -> Json:
    """The service's module."""
    settings = release.settings
    env: dict[str, Any] = dict(settings.get("env") or {})
    if workers := settings.get("workers"):
        env["WORKER_COUNT"] = str(workers)
    values = {name: f"${{{name}}}" if _hidden(value, secrets) else reveal(value) for name, value in env.items()}
    values |= {REVISION: release.revision, SERVICE: release.service, IMAGE: release.image}
    found: Json = {
        "version": "1.0",
        "type": "docker",
        "status": "running",
        "restartPolicy": _RESTART[settings.get("restart", "always")],
        "env": {name: {"value": value} for name, value in values.items()},
        "settings": {"image": release.reference, **_pieces(_create_options(release))},
    }
    return {**found, **({"startupOrder": settings["startup_order"]} if "startup_order" in settings else {})}


def _hidden(value: Any, secrets: bool) -> bool:
    return isinstance(value, Secret) and not secrets


def _create_options(release: Release) -> Json:
    """As Docker's API has them ("Create a container"); what the target adds goes on top."""
    port = f"{release.container_port}/tcp"
    bindings = {port: [{"HostPort": str(release.port)}]}
    given = release.settings.get("create_options") or {}
    host = {"PortBindings": bindings, **(given.get("HostConfig") or {})}
    return {"ExposedPorts": {port: {}}, **given, "HostConfig": host}


def _pieces(options: Json) -> dict[str, str]:
    text = json.dumps(options, separators=(",", ":"))
    parts = [text[start : start + _PIECE] for start in range(0, len(text), _PIECE)]
    return {"createOptions" if not number else f"createOptions{number:02}": part for number, part in enumerate(parts)}


def _credentials(account: Account | None, secrets: bool) -> Json:
    if account is None:
        return {}
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", account.registry)
    suffix = re.sub(r"\W+", "_", account.registry).upper()
    username, password = account.username, account.password.reveal()
    if not secrets:
        username, password = (f"${{REGISTRY_{word}_{suffix}}}" for word in ("USERNAME", "PASSWORD"))
    return {name: {"username": username, "password": password, "address": account.registry}}


def _runtime() -> Json:
    return {"type": "docker", "settings": {"minDockerVersion": "v1.25"}}


def _system(version: str) -> Json:
    ports = {
        "PortBindings": {one: [{"HostPort": one.partition("/")[0]}] for one in ("5671/tcp", "8883/tcp", "443/tcp")}
    }
    return {
        "edgeAgent": {"type": "docker", "settings": {"image": f"mcr.microsoft.com/azureiotedge-agent:{version}"}},
        "edgeHub": {
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "settings": {
                "image": f"mcr.microsoft.com/azureiotedge-hub:{version}",
                **_pieces({"HostConfig": ports}),
            },
        },
    }


def _kept(desired: Json) -> Json:
    """What a twin has, without what the hub itself adds."""
    return {name: value for name, value in desired.items() if not name.startswith("$")}
