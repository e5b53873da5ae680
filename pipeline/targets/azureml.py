"""The target kind `azureml`: a service as a managed online endpoint of Azure ML."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.azure.online_target import OnlineTarget
    from pipeline.targets.remote import Surroundings

REMOTE = True
DEADLINE = 1800.0
"""Seconds until a deployment must be well: Azure ML makes machines for it first."""

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}
_DURATION: Mapping[str, Any] = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$",
    "x-hint": "seconds, or a text such as 500ms, 2s or 1m",
}
_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 1}


def _object(description: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    value = {"type": "object", "description": description, "additionalProperties": False}
    return {**value, "properties": dict(properties), **more}


_PROBE = _object(
    "How the service is probed there; what is left out is Azure ML's default.",
    {
        "initial_delay": {**_DURATION, "description": "How long after its start."},
        "period": {**_DURATION, "description": "How often."},
        "timeout": {**_DURATION, "description": "How long an answer may take."},
        "success_threshold": {**_COUNT, "description": "Answers in a row that make it well."},
        "failure_threshold": {**_COUNT, "description": "Failures in a row that make it unwell."},
    },
)
_STRATEGY = _object(
    "How a new deployment takes the traffic over; default: all at once, after it has scored.",
    {
        "steps": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 100},
            "minItems": 1,
            "default": [100],
            "description": "Percent of the traffic, growing, 100 last.",
        },
        "mirror": {
            "type": "integer",
            "minimum": 1,
            "maximum": 50,
            "description": "Before the first step it gets copies of so many percent of the requests.",
        },
        "pause": {**_DURATION, "default": 60, "description": "How long each step is watched."},
        "errors": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.01,
            "description": "The share of scoring requests that may fail.",
        },
        "latency": {**_DURATION, "description": "95 % of them must be answered within this."},
    },
)

SCHEMA: Mapping[str, Any] = _object(
    "A managed online endpoint of Azure ML.",
    {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
        "workspace": {**_TEXT, "description": "The workspace: its name, or its ARM id; default: AZUREML_WORKSPACE."},
        "resource_group": {**_TEXT, "description": "Its resource group; default: AZURE_RESOURCE_GROUP."},
        "subscription": {**_TEXT, "description": "Its subscription's id; default: AZURE_SUBSCRIPTION_ID."},
        "location": {**_TEXT, "description": "The region; default: the workspace's."},
        "endpoint": {
            "type": "string",
            "pattern": "^[a-z][a-z0-9-]{1,30}[a-z0-9]$",
            "x-hint": "3 to 32 lower-case letters, digits and '-', a letter first",
            "description": "The endpoint's name; default: the manifest's and the target's name.",
        },
        "environment": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$",
            "description": "The environment's name; default: the endpoint's.",
        },
        "instance_type": {**_TEXT, "description": "The machine, as in Standard_DS3_v2."},
        "instance_count": {**_COUNT, "default": 1, "description": "How many of them."},
        "auth_mode": {
            "enum": ["key", "aml_token", "aad_token"],
            "default": "key",
            "description": "What clients show: a key, or a token.",
        },
        "identity": {
            "type": "string",
            "pattern": "^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft.ManagedIdentity/"
            "userAssignedIdentities/[^/]+$",
            "x-hint": "the ARM id of a user-assigned managed identity",
            "description": "Who pulls the image: a managed identity, by its ARM id; default: the endpoint's own.",
        },
        "public_network_access": {
            "type": "boolean",
            "default": True,
            "description": "Whether the endpoint can be called from the internet.",
        },
        "egress_public_network_access": {
            "type": "boolean",
            "default": True,
            "description": "Whether the service may call the internet.",
        },
        "port": {
            "type": "integer",
            "minimum": 1,
            "maximum": 65535,
            "description": "The port that the image serves on, where it has no `serve`.",
        },
        "env": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Environment variables, over those of the image; who may read the workspace can read them.",
        },
        "workers": {**_COUNT, "description": "Processes that score on each machine (WORKER_COUNT)."},
        "request": _object(
            "What requests may take.",
            {
                "timeout": {**_DURATION, "description": "How long one may take; Azure ML allows 3 minutes."},
                "concurrency": {**_COUNT, "description": "How many at once on one machine."},
                "queue_wait": {**_DURATION, "description": "How long one may wait for its turn."},
            },
        ),
        "liveness": _PROBE,
        "readiness": _PROBE,
        "app_insights": {
            "type": "boolean",
            "default": False,
            "description": "Whether it logs to Application Insights.",
        },
        "strategy": _STRATEGY,
        "keep_previous": {
            "type": "boolean",
            "default": False,
            "description": "Keep the deployment before, without traffic: it costs, and is put back within a minute.",
        },
        "tags": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Tags of the endpoint and its deployments.",
        },
        "force": {"type": "boolean", "default": False, "description": "Take over an endpoint that others made."},
        "health": _object(
            "How to tell that it is well.",
            {
                "path": {
                    "type": "string",
                    "pattern": "^/[!-~]*$",
                    "default": "/",
                    "description": "GET on it is answered with 200.",
                },
                "deadline": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 1800,
                    "description": "Seconds from the rollout until the deployment must be well.",
                },
            },
        ),
    },
    required=["image", "instance_type"],
)


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    steps = (spec.get("strategy") or {}).get("steps") or [100]
    if steps[-1] != 100 or sorted({*steps}) != list(steps):
        yield ("strategy", "steps"), "the steps do not grow to 100", "as in [10, 50, 100]"
    workspace = str(spec.get("workspace", ""))
    for name in ("subscription", "resource_group"):
        if workspace.startswith("/") and name in spec:
            yield (name,), "the workspace's ARM id says it already", "leave it out"


def accelerators(spec: Mapping[str, Any]) -> frozenset[str]:
    """NVIDIA's GPUs are in the families NC, ND and NV; NVv4 has AMD's."""
    found = re.match(r"(?i)standard_n[cdv]", str(spec.get("instance_type", "")))
    amd = re.search(r"(?i)_nv\w*as_v4$", str(spec.get("instance_type", "")))
    return frozenset({"cuda"}) if found and not amd else frozenset()


def target(service: str, spec: Mapping[str, Any], surroundings: Surroundings, transport: Any = None) -> OnlineTarget:
    """The target of one manifest entry; Azure is asked when it is needed. `transport` stands in for the network."""
    from pipeline.azure.calls import Calls, arm_of
    from pipeline.azure.online import Online
    from pipeline.azure.online_bodies import endpoint_name
    from pipeline.azure.online_target import OnlineTarget
    from pipeline.azure.workspaces import workspace_of

    def connect() -> Online:
        calls = Calls(arm_of(surroundings.environ, transport), surroundings)
        return Online(calls, workspace_of(spec, surroundings.environ), endpoint_name(service, spec))

    deadline = float((spec.get("health") or {}).get("deadline", DEADLINE))
    return OnlineTarget(service, spec, connect, surroundings, deadline)
