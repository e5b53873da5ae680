"""Where the imported service runs: deploymentconfig.json as a target of the manifest."""

from __future__ import annotations

from typing import Any

from pipeline.azureml.deployment import DeploymentConfig
from pipeline.azureml.importing_parts import Parts, literal
from pipeline.azureml.yaml_text import Comment

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

_KEYS = "nothing but Azure ML's own front end checks keys and tokens: put a gateway before it, or take a target azureml"
_TLS = "Azure ML's front end ended TLS: put a gateway before it, or take a target azureml"
_QUEUE = "Azure ML's front end queued requests: `workers` is how many a service answers at once"
_INSIGHTS = "set AML_APP_INSIGHTS_ENABLED and AML_APP_INSIGHTS_KEY in `env`, which the inference server reads"
LEFT_OUT = {
    **dict.fromkeys(("auth_enabled", "token_auth_enabled", "primary_key", "secondary_key"), _KEYS),
    **dict.fromkeys(("ssl_enabled", "ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname"), _TLS),
    **dict.fromkeys(("replica_max_concurrent_requests", "max_request_wait_time"), _QUEUE),
    "enable_app_insights": _INSIGHTS,
    "collect_model_data": "what is scored is kept nowhere: let the entry script keep it",
    "autoscale_refresh_seconds": "Kubernetes looks at the load every 15 s",
}
"""What Azure ML's front end did, and no container or pod does by itself: the SDK's attribute → what is to be done."""


def target_of(deployment: DeploymentConfig, parts: Parts, image: dict[str, Any]) -> None:
    """Adds the target; for one that is not on this machine, the registry that the image is pushed to."""
    kind = deployment.COMPUTE_TYPE
    if kind == "local":
        parts.targets[parts.name] = {"local": _local(deployment, parts)}
        if image["platforms"] == ["linux/amd64"]:
            del image["platforms"]
    else:
        parts.targets[parts.name] = {kind: {"image": parts.name, **_settings(deployment, parts), **_place(deployment)}}
        parts.notes.append("set AZURE_SUBSCRIPTION_ID and AZURE_RESOURCE_GROUP, or name both in the target")
        parts.registries["images"] = {
            "address": Comment("${env:IMAGE_REGISTRY}", "where images are pushed, as in myregistry.azurecr.io")
        }
        parts.notes.append("set IMAGE_REGISTRY to the registry that images are pushed to")
        image["push"] = {"to": "images", "repository": parts.name}
    if parts.secret_env:
        settings = parts.targets[parts.name][kind]
        settings["env"] = dict(parts.secret_env)


def _place(deployment: DeploymentConfig) -> dict[str, Any]:
    """The cluster, where no attached one is named."""
    if deployment.COMPUTE_TYPE != "aks" or deployment.compute_target_name:
        return {}
    return {"cluster": Comment("${env:AKS_CLUSTER}", "the cluster's name in Azure; or `compute_target`")}


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
        if name in LEFT_OUT:
            if value:
                parts.notes.append(f"{each.key} is left out: {LEFT_OUT[name]}")
            continue
        value = literal(value) if isinstance(value, str) else value
        group = _group(name)
        if group:
            found.setdefault(group[0], {})[group[1]] = value
        else:
            found[NAMES.get(name, name)] = value
    if "subnet_name" in found and found.pop("dns_name_label", None):
        parts.notes.append("dnsNameLabel is left out: a container group in a virtual network has no public name")
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
