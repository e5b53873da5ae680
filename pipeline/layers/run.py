"""Layer kind `run`: commands executed in a container made from the layers below, their changes taken as one layer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError
from pipeline.facts import Facts
from pipeline.kinds import Files, Held
from pipeline.manifest.build import seconds, size
from pipeline.manifest.model import Secret
from pipeline.recipe import Execute, Json, Recipe

LOCKED = False

HOUR = 3600.0
"""Seconds that commands may take, unless the manifest says otherwise."""

_COMMAND: dict[str, Any] = {"type": "string", "minLength": 1}
_FOLDER: dict[str, Any] = {"type": "string", "pattern": "^/.", "x-hint": "an absolute path"}

LIMITS: dict[str, Any] = {
    "network": {
        "enum": ["default", "host", "none"],
        "description": "The network of the commands; default: what `build` says.",
    },
    "timeout": {
        "type": ["number", "string"],
        "minimum": 0,
        "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$",
        "default": "1h",
        "x-hint": "seconds, or a text such as 90s, 30m or 2h",
        "description": "The longest that it may take, until it is killed; 0 for no limit.",
    },
    "memory": {
        "type": ["integer", "string"],
        "minimum": 1,
        "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B?$",
        "x-hint": "bytes, or a text such as 600MB or 2GiB",
        "description": "The most memory that it may use.",
    },
    "cpus": {"type": "number", "exclusiveMinimum": 0, "description": "The most processors that it may use."},
}
"""Settings that every executed kind has."""

SCHEMA: dict[str, Any] = {
    "title": "Commands",
    "description": "Executes commands in a container made from the layers below; needs Docker or Podman.",
    "type": "object",
    "required": ["commands"],
    "additionalProperties": False,
    "properties": {
        "commands": {
            "oneOf": [_COMMAND, {"type": "array", "items": _COMMAND, "minItems": 1}],
            "description": "A script, or commands that run one after another in one shell, up to the first that fails.",
            "examples": [["make -C /opt/tool install"]],
        },
        "shell": {**_FOLDER, "default": "/bin/sh", "description": "What runs the commands."},
        "env": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$", "x-noun": "environment variable"},
            "additionalProperties": {"type": ["string", "integer"]},
            "description": "Environment variables, for the commands only.",
        },
        "secrets": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$", "x-noun": "secret"},
            "additionalProperties": {"type": "string", "writeOnly": True},
            "description": "Secrets as ${env:NAME} or ${file:PATH}: each a file /run/secrets/NAME, never in the image.",
        },
        "cache": {
            "type": "array",
            "items": _FOLDER,
            "uniqueItems": True,
            "description": "Folders that are kept between runs, outside the image.",
            "examples": [["/root/.cache/pip"]],
        },
        "user": {"type": ["string", "integer"], "minimum": 0, "description": "Who runs the commands; default: root."},
        "workdir": {**_FOLDER, "default": "/", "description": "The folder that the commands start in."},
        **LIMITS,
    },
}


def request(spec: Mapping[str, Any], files: Files) -> Json:  # noqa: ARG001
    """All that determines what the commands do; of secrets only their names. UsageError for one in another place."""
    for name, value in (spec.get("env") or {}).items():
        if isinstance(value, Secret):
            raise UsageError(f"the variable {name} holds a secret", remedy="give it under `secrets`, as a file")
    return {
        "commands": _commands(spec),
        "shell": spec.get("shell", "/bin/sh"),
        "env": {name: str(value) for name, value in sorted((spec.get("env") or {}).items())},
        "secrets": sorted(spec.get("secrets") or {}),
        "user": str(spec.get("user", "")),
        "workdir": spec.get("workdir", ""),
    }


def _commands(spec: Mapping[str, Any]) -> list[str]:
    given = spec["commands"]
    return [given] if isinstance(given, str) else list(given)


def needs(spec: Mapping[str, Any], parent: Facts) -> Mapping[str, str]:  # noqa: ARG001
    return {}


def resolve(spec: Mapping[str, Any], request: Json, parent: Facts, indexes: Any, held: Held) -> Json:  # noqa: ARG001
    return request


def facts(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Facts:  # noqa: ARG001
    return parent


def recipes(spec: Mapping[str, Any], locked: Json, parent: Facts) -> Sequence[Recipe]:  # noqa: ARG001
    commands: list[str] = locked["commands"]
    count = f"{len(commands)} command{'s' if len(commands) != 1 else ''}"
    return (
        Execute(
            argv=shell_argv(locked["shell"], script(commands)),
            inputs={"commands": commands, "secrets": locked["secrets"]},
            env=locked["env"],
            user=locked["user"],
            workdir=locked["workdir"],
            secrets=dict(spec.get("secrets") or {}),
            caches=tuple(sorted(spec.get("cache") or ())),
            network=spec.get("network", ""),
            **limits(spec),
            summary="a script" if isinstance(spec["commands"], str) else count,
        ),
    )


def limits(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The limits of a spec as Execute has them."""
    return {
        "timeout": seconds(spec["timeout"]) if "timeout" in spec else HOUR,
        "memory": size(spec["memory"]) if "memory" in spec else 0,
        "cpus": float(spec.get("cpus", 0)),
    }


def shell_argv(shell: str, text: str) -> tuple[str, ...]:
    """The command line that runs a script up to its first failure; of a pipe each part counts, where the shell can."""
    options = ("-e", "-o", "pipefail", "-c") if shell.endswith("bash") else ("-e", "-c")
    return (shell, *options, text)


def script(commands: Sequence[str]) -> str:
    """One script of all commands. Each of several is printed before it runs, so that the output tells which failed."""
    if len(commands) == 1:
        return commands[0]
    return "\n".join(f"printf '%s\\n' {shlex.quote(f'+ {command}')}\n{command}" for command in commands)
