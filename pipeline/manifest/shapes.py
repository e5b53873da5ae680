"""Shapes that several sections of the manifest's JSON Schema share."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

DURATION: Schema = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$",
    "x-hint": "seconds, or a text such as 500ms, 2s or 1m",
    "examples": ["2s"],
}


def mapping(description: str, properties: Schema, required: tuple[str, ...] = ()) -> Schema:
    """A mapping with these keys and no others."""
    value: Schema = {"type": "object", "description": description, "additionalProperties": False}
    value["properties"] = properties
    return {**value, "required": list(required)} if required else value
