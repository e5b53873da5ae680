"""Where the imported service runs: deploymentconfig.json as a target of the manifest."""

from __future__ import annotations

from typing import Any

from pipeline.azureml.deployment import SECRETS, DeploymentConfig
from pipeline.azureml.importing_parts import Parts, literal
from pipeline.azureml.secret_text import is_reference, reference, variable_of
from pipeline.azureml.yaml_text import Comment
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import reveal

PORT = 8890
"""Of a service on this machine that names none: the port of Azure ML's documents."""

NAMES = {
    "cpu_cores": "cpu",
    "cpu_cores_limit": "cpu_limit",
    "enable_app_insights": "app_insights_enabled",
    "ssl_cert_pem_file": "ssl_certificate",
    "ssl_key_pem_file": "ssl_key",
    "ssl_cname": "cname",
    "cmk_vault_base_url": "vault_base_url",
    "cmk_key_name": "key_name",
    "cmk_key_version": "key_version",
    "replica_max_concurrent_requests": "max_concurrent_requests",
    "max_request_wait_time": "max_queue_wait_ms",
    "collect_model_data": "collect_model_data",
    "compute_target_name": "compute_target",
}
"""The settings of the targets `aci` and `aks` whose names are not the SDK's."""

GROUPS = {
    "autoscale_": ("autoscale", ("min_replicas", "max_replicas", "refresh_seconds", "target_utilization")),
    "": (
        "liveness",
        ("period_seconds", "initial_delay_seconds", "timeout_seconds", "success_threshold", "failure_threshold"),
    ),
}
"""The SDK's prefix → the setting that holds these."""


def target_of(deployment: DeploymentConfig, parts: Parts, image: dict[str, Any]) -> None:
    """Adds the target; for one that is not on this machine, the registry that the image is pushed to."""
    kind = deployment.COMPUTE_TYPE
    if kind == "local":
        parts.targets[parts.name] = {"local": _local(deployment, parts)}
        if image["platforms"] == ["linux/amd64"]:
            del image["platforms"]
    else:
        parts.targets[parts.name] = {kind: {"image": parts.name, **_settings(deployment, parts)}}
        parts.registries["images"] = {
            "address": Comment("${env:IMAGE_REGISTRY}", "where images are pushed, as in myregistry.azurecr.io")
        }
        parts.notes.append("set IMAGE_REGISTRY to the registry that images are pushed to")
        image["push"] = {"to": "images", "repository": parts.name}
    if parts.secret_env:
        settings = parts.targets[parts.name][kind]
        settings["env"] = dict(parts.secret_env)


def _local(deployment: DeploymentConfig, parts: Parts) -> dict[str, Any]:
    port = getattr(deployment, "port", None)
    value = port if port else Comment(PORT, "none was named: any that is free")
    return {"image": parts.name, "port": value}


def _settings(deployment: DeploymentConfig, parts: Parts) -> dict[str, Any]:
    """What is set, under the names of the targets `aci` and `aks`."""
    found: dict[str, Any] = {}
    for each in deployment.SETTINGS:
        name, value = each.attribute, getattr(deployment, each.attribute)
        if value is None:
            continue
        if name in SECRETS:
            found[name] = _secret(name, value, parts)
            continue
        value = literal(value) if isinstance(value, str) else value
        group = _group(name)
        if group:
            found.setdefault(group[0], {})[group[1]] = value
        else:
            found[NAMES.get(name, name)] = value
    if "autoscale_enabled" in found:
        enabled = found.pop("autoscale_enabled")
        if enabled:
            found.setdefault("autoscale", {})
        else:
            found.pop("autoscale", None)
    return found


def _group(name: str) -> tuple[str, str] | None:
    for prefix, (group, names) in GROUPS.items():
        if name.startswith(prefix) and name.removeprefix(prefix) in names:
            return group, name.removeprefix(prefix)
    return None


def _secret(name: str, value: str, parts: Parts) -> str:
    """The reference that stands for it."""
    variable = variable_of(value) or SECRETS[name]
    if not is_reference(value):
        parts.secrets[variable] = Secret(reveal(value))
    parts.notes.append(f"set {variable} to the service's {name.replace('_', ' ')}: it is not copied")
    return reference(value, variable)
