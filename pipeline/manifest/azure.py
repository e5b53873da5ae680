"""What a manifest may say of Azure: how one signs in to a registry there, and how images are built by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_

Schema = dict[str, Any]

_GUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_GUID_HINT = "as in 00000000-0000-0000-0000-000000000000"
_WORKSPACE = "/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.MachineLearningServices/workspaces/NAME"
SHORTEST, LONGEST = 300, 28800
"""Seconds that a remote build may be given (Azure's REST reference, "DockerBuildRequest": timeout)."""


def sign_in() -> Schema:
    """The schema of a registry's `azure`."""
    login = {
        "enum": ["auto", "cli", "managed"],
        "default": "auto",
        "description": "Who signs in: whoever azure-identity finds (auto), who is logged in with `az login` (cli), or "
        "the machine's managed identity.",
    }
    return {
        "type": "object",
        "description": "Signs in to an Azure registry with an identity of Microsoft Entra.",
        "additionalProperties": False,
        "properties": {
            "login": login,
            "tenant": _text("The directory, by its ID or its domain."),
            "client_id": {
                **_text("The service principal, or the managed identity that is meant."),
                "x-secret-ok": True,
            },
            "client_secret": {
                **_text("The service principal's secret, as ${env:NAME} or ${file:PATH}."),
                "writeOnly": True,
            },
            "workspace": {
                **_text("The machine-learning workspace whose registry is meant, by its ARM id."),
                "examples": [_WORKSPACE],
            },
            "subscription": {
                **_text("The subscription that the registry is in; looked for when left out."),
                "pattern": _GUID,
                "x-hint": _GUID_HINT,
            },
            "resource_group": _text("The resource group that the registry is in; looked for when left out."),
        },
    }


def remote_build() -> Schema:
    """The schema of `build.remote`."""
    return {
        "type": "object",
        "description": "Builds by Azure Container Registry, for `engine: acr`.",
        "additionalProperties": False,
        "properties": {
            "repository": {
                **_text(
                    "Where the built images are, below the registry's address; default: bases/ and the manifest's name."
                ),
                "pattern": "^[a-z0-9]+([._/-][a-z0-9]+)*$",
                "x-hint": "lower-case letters and digits, with '-', '_', '.' or '/' between them",
            },
            "timeout": {
                "type": ["number", "string"],
                "pattern": r"^[0-9]+(\.[0-9]+)?(s|m|h)?$",
                "default": 3600,
                "x-hint": "5m to 8h",
                "description": "How long a build may take: seconds, or 30m, 2h; from 5 minutes to 8 hours.",
            },
            "pool": _text("The agent pool that builds; default: the shared one."),
        },
    }


def check(data: Mapping[str, Any], seconds: Any) -> Iterator[Finding]:
    """What a schema cannot say of these settings; `seconds` reads a duration."""
    registries = data.get("registries")
    for name, entry in registries.items() if isinstance(registries, dict) else ():
        if isinstance(entry, dict):
            yield from _registry(("registries", name), entry)
    build = data.get("build")
    if isinstance(build, dict):
        yield from _build(build, registries if isinstance(registries, dict) else {}, seconds)


def _registry(path: Path_, entry: Mapping[str, Any]) -> Iterator[Finding]:
    azure = entry.get("azure") if isinstance(entry.get("azure"), dict) else {}
    assert isinstance(azure, dict)
    if "address" not in entry and "workspace" not in azure:
        remedy = "add address: registry.example.com/ml"
        yield Finding(path, "missing key 'address'", remedy, at_key=True)
    if "address" in entry and "workspace" in azure:
        message = "the registry has an address, and a workspace that names another one"
        yield Finding((*path, "azure", "workspace"), message, "leave one of them out")
    if "azure" in entry and ("username" in entry or "password" in entry):
        message = "the registry has a username or a password, and signs in by `azure` as well"
        yield Finding((*path, "azure"), message, "leave one of them out")
    if "client_secret" in azure:
        for key in ("tenant", "client_id"):
            if not azure.get(key):
                message = f"missing key '{key}', which a service principal has beside its secret"
                yield Finding((*path, "azure"), message, f"add {key}: ...", at_key=True)
        if azure.get("login", "auto") != "auto":
            message = f"login: {azure['login']} takes no secret"
            yield Finding((*path, "azure", "login"), message, "leave 'login' out, or 'client_secret'")


def _build(build: Mapping[str, Any], registries: Mapping[str, Any], seconds: Any) -> Iterator[Finding]:
    name, remote = build.get("registry"), build.get("remote")
    if build.get("engine") == "acr" and name is None:
        remedy = f"add registry: {next(iter(registries), 'prod')}"
        yield Finding(("build",), "engine: acr needs to know the registry that builds", remedy, at_key=True)
    elif isinstance(name, str) and name not in registries:
        from pipeline.manifest.words import suggestion

        remedy = suggestion(name, registries, "there are") or "add it under 'registries'"
        yield Finding(("build", "registry"), f"unknown registry '{name}'", remedy)
    if isinstance(remote, dict) and "timeout" in remote:
        try:
            fits = SHORTEST <= seconds(remote["timeout"]) <= LONGEST
        except (AttributeError, TypeError, ValueError):
            return
        if not fits:
            message = f"a build of {remote['timeout']} is not possible"
            yield Finding(("build", "remote", "timeout"), message, "from 5m to 8h")


def _text(description: str) -> Schema:
    return {"type": "string", "minLength": 1, "description": description}
