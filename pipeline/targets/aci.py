"""The target kind `aci`: a service as a container group of Azure Container Instances."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.azure.instances_target import InstancesTarget, Probe
    from pipeline.targets.remote import Surroundings

REMOTE = True
DEADLINE = 600.0
"""Seconds until a container group must answer: Azure pulls the whole image first."""

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_AMOUNT: Mapping[str, Any] = {"type": "number", "exclusiveMinimum": 0}
_IDENTITY = (
    "^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.ManagedIdentity/userAssignedIdentities/[^/]+$"
)
_LABEL = "^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$"


def _object(description: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    value = {"type": "object", "description": description, "additionalProperties": False}
    return {**value, "properties": dict(properties), **more}


SCHEMA: Mapping[str, Any] = _object(
    "A container group of Azure Container Instances.",
    {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
        "subscription": {**_TEXT, "description": "The subscription's id; default: AZURE_SUBSCRIPTION_ID."},
        "resource_group": {**_TEXT, "description": "The resource group; default: AZURE_RESOURCE_GROUP."},
        "location": {**_TEXT, "description": "The region; default: the resource group's."},
        "name": {
            "type": "string",
            "pattern": _LABEL,
            "x-hint": "1 to 63 lower-case letters, digits and '-', a letter first",
            "description": "The container group's name; default: the manifest's and the target's name.",
        },
        "cpu": {**_AMOUNT, "default": 0.1, "description": "Processors."},
        "memory_gb": {**_AMOUNT, "default": 0.5, "description": "Memory in GB."},
        "gpu": _object(
            "GPUs, where the region has them.",
            {
                "count": {"enum": [1, 2, 4], "default": 1, "description": "How many."},
                "sku": {"enum": ["K80", "P100", "V100"], "description": "Which."},
            },
            required=["sku"],
        ),
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "The port that the image serves on, where it has no `serve`; clients call it there.",
        },
        "dns_name_label": {
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]{3,61}[a-z0-9])$",
            "x-hint": "5 to 63 lower-case letters, digits and '-', a letter first",
            "description": "A host name: LABEL.REGION.azurecontainer.io; without one there is an address only.",
        },
        "vnet_name": {**_TEXT, "description": "A virtual network of the resource group, with `subnet_name`."},
        "subnet_name": {**_TEXT, "description": "Its subnet, from which alone the service can be called."},
        "subnet": {
            "type": "string",
            "pattern": "^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.Network/"
            "virtualNetworks/[^/]+/subnets/[^/]+$",
            "x-hint": "the ARM id of a subnet",
            "description": "The same for one of another resource group, by its ARM id.",
        },
        "identity": {
            "type": "string",
            "pattern": _IDENTITY,
            "x-hint": "the ARM id of a user-assigned managed identity",
            "description": "Who pulls the image, and is the service's identity; default: the registry's credentials.",
        },
        "env": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Environment variables, over those of the image; secrets among them are secure values.",
        },
        "workers": {"type": "integer", "minimum": 1, "description": "Processes that score (WORKER_COUNT)."},
        "restart": {
            "enum": ["always", "on-failure", "no"],
            "default": "always",
            "description": "Whether it is started again when it ends by itself.",
        },
        "vault_base_url": {**_TEXT, "description": "A key vault, whose key encrypts what Azure keeps of the group."},
        "key_name": {**_TEXT, "description": "The key's name there."},
        "key_version": {**_TEXT, "description": "The key's version."},
        "tags": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Tags of the container group.",
        },
        "force": {"type": "boolean", "default": False, "description": "Take over a container group that others made."},
        "health": _object(
            "How to tell that it is well.",
            {
                "path": {
                    "type": "string",
                    "pattern": "^/[!-~]*$",
                    "default": "/",
                    "description": "GET on it is answered with 200 to 399.",
                },
                "deadline": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 600,
                    "description": "Seconds from the rollout until it must answer.",
                },
                "timeout": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 5,
                    "description": "Seconds to wait for the answer to one health request.",
                },
            },
        ),
    },
    required=["image"],
)

_TOGETHER = (("vnet_name", "subnet_name"), ("vault_base_url", "key_name", "key_version"))


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    for names in _TOGETHER:
        given = [name for name in names if name in spec]
        if given and len(given) < len(names):
            missing = ", ".join(name for name in names if name not in spec)
            yield (given[0],), f"it needs {missing} as well", f"give all of {', '.join(names)}, or none"
    subnets = [name for name in ("subnet", "subnet_name") if name in spec]
    if len(subnets) == 2:
        yield ("subnet",), "`subnet_name` names one already", "leave one of them out"
    if subnets and "dns_name_label" in spec:
        yield ("dns_name_label",), "a group in a subnet has no host name", "leave it out"


def accelerators(spec: Mapping[str, Any]) -> frozenset[str]:
    """What the target has of what base images may need."""
    return frozenset({"cuda"}) if spec.get("gpu") else frozenset()


def target(
    service: str,
    spec: Mapping[str, Any],
    surroundings: Surroundings,
    transport: Any = None,
    probe: Probe | None = None,
) -> InstancesTarget:
    """The target of one manifest entry; Azure is asked when it is needed. `transport` and `probe` stand in for it."""
    from pipeline.azure.calls import Calls, arm_of, setting
    from pipeline.azure.instances import Instances
    from pipeline.azure.instances_bodies import group_name
    from pipeline.azure.instances_target import InstancesTarget
    from pipeline.targets._ports import health

    def connect() -> Instances:
        environ = surroundings.environ
        subscription = setting(spec, "subscription", environ, "AZURE_SUBSCRIPTION_ID")
        group = setting(spec, "resource_group", environ, "AZURE_RESOURCE_GROUP")
        return Instances(
            Calls(arm_of(environ, transport), surroundings), subscription, group, group_name(service, spec)
        )

    return InstancesTarget(service, spec, connect, surroundings, probe or health)
