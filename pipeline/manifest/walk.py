"""Walks data and its JSON Schema together: what the schema says of each value, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pipeline.manifest.model import Path_

Schema = Mapping[str, Any]
Visit = Callable[[Any, Path_, Sequence[Schema]], Any]
"""visit(value, path, schemas) -> the value to go on with; `schemas` are all that may describe it."""


def transform(value: Any, schema: Schema, visit: Visit) -> Any:
    """The data as `visit` leaves it, the outer values first. Values that the schema says nothing of are passed by."""
    return _transform(value, [schema], (), visit)


def _transform(value: Any, schemas: Sequence[Schema], path: Path_, visit: Visit) -> Any:
    flat = [part for schema in schemas for part in _parts(schema)]
    value = visit(value, path, flat)
    if isinstance(value, dict):
        for key, item in value.items():
            if below := [s for part in fitting(flat, value) for s in _of_key(part, key)]:
                value[key] = _transform(item, below, (*path, key), visit)
    elif isinstance(value, list):
        items = [part["items"] for part in fitting(flat, value) if isinstance(part.get("items"), Mapping)]
        if items:
            for index, item in enumerate(value):
                value[index] = _transform(item, items, (*path, index), visit)
    return value


def types_of(schema: Schema) -> tuple[str, ...]:
    """The types that a schema names; none when it leaves them open."""
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else tuple(types)


def fitting(schemas: Sequence[Schema], value: Any) -> list[Schema]:
    """The schemas whose type a value has."""
    return [schema for schema in schemas if not types_of(schema) or has_type(value, types_of(schema))]


def has_type(value: Any, types: Sequence[str]) -> bool:
    """Whether a value has one of these JSON Schema types; unlike JSON Schema's, 1.0 is no integer."""
    if value is None:
        return "null" in types
    if isinstance(value, bool):
        return "boolean" in types
    names: dict[type, tuple[str, ...]] = {
        int: ("integer", "number"),
        float: ("number",),
        list: ("array",),
        dict: ("object",),
    }
    return any(name in types for name in names.get(type(value), ("string",)))


def _parts(schema: Schema) -> Iterator[Schema]:
    """A schema and all its branches."""
    yield schema
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(keyword, ()):
            if isinstance(branch, Mapping):
                yield from _parts(branch)


def _of_key(schema: Schema, key: str) -> Iterator[Schema]:
    """What a mapping's schema says of the value of a key."""
    known = schema.get("properties", {})
    if key in known:
        yield known[key]
        return
    matched = [s for pattern, s in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
    if matched:
        yield from matched
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield schema["additionalProperties"]
