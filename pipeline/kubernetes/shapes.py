"""Parts of which the schema of a kubernetes target is made."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "maxLength": 253}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
QUANTITY = {
    "type": ["integer", "number", "string"],
    "exclusiveMinimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?([EPTGMkmun]|[EPTGMK]i|[eE][0-9]+)?$",
    "x-hint": "a Kubernetes quantity, as in 500m, 2 or 1.5Gi",
}
KEY = {
    "pattern": r"^([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
    "x-hint": "letters, digits, '-', '_' and '.', perhaps after a domain and '/', as in example.com/team",
    "x-noun": "label",
}
SECONDS = {"type": "number", "exclusiveMinimum": 0}
DURATION = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$",
    "x-hint": "seconds, or a text such as 500ms, 2s or 1m",
}


def object_(description: str, properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    value = {"type": "object", "description": description, "additionalProperties": False, "properties": properties}
    return {**value, **({"required": list(required)} if required else {}), **more}


def texts(description: str, keys: Schema | None = None) -> Schema:
    value: Schema = {"type": "object", "description": description, "additionalProperties": {"type": "string"}}
    return {**value, "propertyNames": keys} if keys else value


def switch(description: str, default: bool) -> Schema:
    return {"type": "boolean", "default": default, "description": description}
