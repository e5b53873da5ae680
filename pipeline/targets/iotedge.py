"""The target kind `iotedge`: a service as a module of Azure IoT Edge, or as a deployment manifest in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.targets.model import Release
    from pipeline.targets.remote import RemoteTarget, Surroundings

REMOTE = True
DEADLINE = 900.0
"""Seconds until a device must run it: it pulls the image first."""

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "A module of an IoT Edge device, or a deployment manifest in a file.",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
        "file": {**_TEXT, "description": "Where the deployment manifest is written to, relative to this file."},
        "hub": {
            "type": "string",
            "pattern": r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[0-9]+)?$",
            "x-hint": "a host name, as in ours.azure-devices.net",
            "description": "The IoT hub's host name; signed in by IOTHUB_CONNECTION_STRING, else by Entra.",
        },
        "device": {**_TEXT, "maxLength": 128, "description": "The device, by its id in the hub."},
        "module": {
            "type": "string",
            "pattern": "^[A-Za-z0-9_-]+$",
            "maxLength": 64,
            "description": "The module's name; default: the manifest's and the target's name.",
        },
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "The port on the device."},
        "env": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Environment variables, over those of the image; who may read the device's twin reads them.",
        },
        "workers": {"type": "integer", "minimum": 1, "description": "Processes that score (WORKER_COUNT)."},
        "restart": {
            "enum": ["always", "on-failure", "on-unhealthy", "no"],
            "default": "always",
            "description": "Whether it is started again when it ends by itself.",
        },
        "startup_order": {"type": "integer", "minimum": 0, "description": "When it is started among the modules."},
        "create_options": {
            "type": "object",
            "description": "Options of the container beside its port, as Docker's API has them.",
        },
        "routes": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Routes of the edge hub, as FROM … INTO ….",
        },
        "runtime": {
            "type": "string",
            "default": "1.5",
            "pattern": "^[0-9]+(\\.[0-9]+){1,2}$",
            "x-hint": "a version, as in 1.5",
            "description": "IoT Edge's version, where the device has none yet.",
        },
        "force": {"type": "boolean", "default": False, "description": "Take over a module that others made."},
        "health": {
            "type": "object",
            "additionalProperties": False,
            "description": "How to tell that it is well.",
            "properties": {
                "deadline": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 900,
                    "description": "Seconds from the rollout until the device must run it.",
                },
            },
        },
    },
}


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    if ("file" in spec) == ("hub" in spec):
        yield (), "it is not said where the deployment manifest goes", "name a `file`, or a `hub` and a `device`"
    if ("hub" in spec) != ("device" in spec):
        place = "hub" if "hub" in spec else "device"
        yield (place,), "a hub and a device belong together", "name both"
    for name in spec.get("env") or ():
        if any(character in name for character in "+#$. "):
            yield ("env", name), f"IoT Edge takes no variable called {name}", "without + # $ . and blanks"


def accelerators(_spec: Mapping[str, Any]) -> frozenset[str]:
    """What a device has is its own matter: `create_options` gives it to the module."""
    return frozenset({"cuda", "vadm", "myriad"})


def target(service: str, spec: Mapping[str, Any], surroundings: Surroundings, transport: Any = None) -> RemoteTarget:
    """The target of one manifest entry; the hub is asked when it is needed. `transport` stands in for the network."""
    from pipeline.azure.edge_target import DeviceTarget, FileTarget

    if "file" in spec:
        return FileTarget(service, spec, surroundings)

    def connect() -> Any:
        from pipeline.azure.calls import Calls, arm_of
        from pipeline.azure.hub import Hub
        from pipeline.manifest.model import Secret

        calls = Calls(arm_of(surroundings.environ), surroundings)
        policy = surroundings.environ.get("IOTHUB_CONNECTION_STRING")
        return Hub(calls, spec["hub"], Secret(policy) if policy else None, surroundings, transport)

    return DeviceTarget(service, spec, connect, surroundings)


def render(release: Release, surroundings: Surroundings) -> str:
    """The deployment manifest; secrets are references such as ${NAME}. Nothing is asked of a hub."""
    from pipeline.azure.edge_target import rendered

    return rendered(release, surroundings)
