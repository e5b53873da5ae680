"""Paths of fields in objects, as server-side apply knows them: items of lists by their keys (FieldsV1)."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Path = tuple[str, ...]
"""Keys of mappings; of an item of a list its key in brackets, as in ("spec", "containers", "[service]", "image")."""

_KEYS = ("name", "containerPort", "port", "mountPath", "ip", "type")
"""By which items of lists are known, the first that is there (the list-map-keys of the API's types)."""


def key_of(item: Mapping[str, Any]) -> str:
    """An item's part of a path; empty for one that has no key."""
    return next((f"[{item[key]}]" for key in _KEYS if key in item), "")


def is_keyed(value: Any) -> bool:
    """Whether a list's items are fields each by itself."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) and key_of(one) for one in value)


def at(value: Any, path: Path) -> Any:
    """What stands there; None for nothing."""
    for part in path:
        if isinstance(value, list):
            value = next((one for one in value if isinstance(one, Mapping) and key_of(one) == part), None)
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def leaves(value: Any, path: Path = ()) -> Iterator[Path]:
    """The fields that a value sets: mappings and keyed lists one by one, all else as a whole."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif is_keyed(value):
        for item in value:
            yield from leaves(item, (*path, key_of(item)))
    else:
        yield path


def merged(value: Any, change: Any) -> Any:
    """`value` with all that `change` sets; a null removes."""
    if isinstance(change, Mapping):
        result = dict(value) if isinstance(value, Mapping) else {}
        for key, item in change.items():
            if item is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), item)
        return result
    if is_keyed(change) and is_keyed(value):
        items = {key_of(item): item for item in value}
        for item in change:
            items[key_of(item)] = merged(items.get(key_of(item)), item)
        return list(items.values())
    return copy.deepcopy(change)


def remove(value: Any, path: Path) -> None:
    """Takes a field away, and what is empty then."""
    *above, last = path
    parent = at(value, tuple(above))
    if isinstance(parent, list):
        parent[:] = [one for one in parent if key_of(one) != last]
    elif isinstance(parent, dict):
        parent.pop(last, None)
    if above and parent in ({}, []):
        remove(value, tuple(above))


def shown(path: Path) -> str:
    """`spec.template.spec.containers[service].image`."""
    return ".".join(path).replace(".[", "[")


# -- FieldsV1 -----------------------------------------------------------------------------------------------------


def fields_v1(paths: Iterable[Path]) -> dict[str, Any]:
    """As `metadata.managedFields` has it."""
    found: dict[str, Any] = {}
    for path in paths:
        below = found
        for part in path:
            name = f'k:{{"name":{json.dumps(part[1:-1])}}}' if part.startswith("[") else f"f:{part}"
            below = below.setdefault(name, {})
    return found


def part_of(name: str) -> str:
    """The part of a path that an element of FieldsV1 means (`f:name`, `k:{"name":"x"}`); empty for others."""
    if name.startswith("f:"):
        return name[2:]
    return key_of(json.loads(name[2:])) if name.startswith("k:") else ""


def owns(fields: Mapping[str, Any], path: Path) -> bool:
    """Whether FieldsV1 has a field, or all that is above or below it."""
    for part in path:
        below = next((fields[name] for name in fields if part_of(name) == part), None)
        if below is None:
            return False
        if not below:
            return True
        fields = below
    return True


def paths_of(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """The fields of FieldsV1, an item of a list before what it has."""
    if "." in fields:
        yield path
    for name, below in fields.items():
        if part := part_of(name):
            if below:
                yield from paths_of(below, (*path, part))
            else:
                yield (*path, part)
