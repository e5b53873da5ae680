"""Changes to objects for what has no setting: JSON merge patches (RFC 7386), lists of named things merged by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.errors import UsageError
from pipeline.kubernetes.api import Object


def patched(objects: Sequence[Object], patches: Iterable[Mapping[str, Any]]) -> list[Object]:
    """Each object with all patches for its kind. UsageError for a patch of what is not there, or of a name."""
    found = list(objects)
    for patch in patches:
        kinds = {one["kind"] for one in found}
        if patch["kind"] not in kinds:
            there = ", ".join(sorted(kinds))
            raise UsageError(f"`patches` changes a {patch['kind']}, and there is none", remedy=f"there are: {there}")
        found = [merged(one, patch["merge"]) if one["kind"] == patch["kind"] else one for one in found]
    for before, after in zip(objects, found, strict=True):
        if _identity(before) != _identity(after):
            remedy = "the target's `name` and `namespace` do that"
            raise UsageError(f"`patches` gives the {before['kind']} another name", remedy=remedy)
    return found


def merged(value: Any, change: Any) -> Any:
    """`value` with the change: a null removes, and an item of a list of named things goes into that of its name."""
    if isinstance(value, list) and isinstance(change, list) and _are_named(value) and _are_named(change):
        return _by_name(value, change)
    if not isinstance(change, Mapping):
        return change
    result = dict(value) if isinstance(value, Mapping) else {}
    for key, one in change.items():
        if one is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), one)
    return result


def _are_named(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(one, Mapping) and "name" in one for one in values)


def _by_name(values: Sequence[Any], changes: Sequence[Any]) -> list[Any]:
    result = {one["name"]: one for one in values}
    for one in changes:
        result[one["name"]] = merged(result.get(one["name"]), one)
    return list(result.values())


def _identity(value: Object) -> tuple[Any, ...]:
    metadata = value.get("metadata") or {}
    return value.get("apiVersion"), value.get("kind"), metadata.get("name"), metadata.get("namespace")
