"""Field by field, what is live otherwise than an object would be; who made it so; and what hands have added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.kubernetes.api import MANAGER, Object
from pipeline.targets.remote import Difference

Path = tuple[str | int, ...]

_OURS_ALONE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_KEYS = ("name", "containerPort", "port", "mountPath", "type")
"""By which items of lists are known (the list-map-keys of the API's types)."""
_HANDS = ("kubectl", "k9s", "lens", "openlens", "headlamp", "dashboard", "node-fetch", "mozilla", MANAGER)
_LEFT_ALONE = "kubectl.kubernetes.io/restartedAt"
"""`kubectl rollout restart`: to take it away would restart all pods once more."""
_LONGEST = 60


def is_hand(manager: str) -> bool:
    """Whether a field manager stands for a person at work, whose changes do not last; not for a controller."""
    return manager.lower().startswith(_HANDS)


def differences(live: Object | None, would: Object) -> list[Difference]:
    """`would` is what a dry run of applying gives; both as the API tells them."""
    what = f"{would['kind']} {would['metadata']['name']}"
    if live is None:
        return [Difference(what, None, None)]
    masked = would["kind"] == "Secret"
    found = []
    for path, before, after in _walk(_bare(live), _bare(would), ()):
        hide = masked and path[:1] == ("data",)
        texts = (_text(before, hide), _text(after, hide))
        found.append(Difference(f"{what} {shown(path)}", *texts, _owner(live, path)))
    added = [
        Difference(f"{what} {shown(path)}", _text(_at(live, path), masked), None, manager)
        for path, manager in added_by_hand(would)
    ]
    return found + added


def _bare(value: Object) -> Object:
    metadata = {key: one for key, one in (value.get("metadata") or {}).items() if key not in _OURS_ALONE}
    return {**{key: one for key, one in value.items() if key != "status"}, "metadata": metadata}


def _walk(live: Any, would: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Where two values differ: (path, live, would), as deep as both go."""
    if live == would:
        return
    if isinstance(live, Mapping) and isinstance(would, Mapping):
        for key in {**live, **would}:
            yield from _walk(live.get(key), would.get(key), (*path, key))
    elif _keyed(live) and _keyed(would):
        befores, afters = _by_key(live), _by_key(would)
        for key in {**befores, **afters}:
            yield from _walk(befores.get(key), afters.get(key), (*path, key))
    else:
        yield path, live, would


def _keyed(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) and _key(one) for one in value)


def _key(item: Mapping[str, Any]) -> str:
    return next((f"[{item[key]}]" for key in _KEYS if key in item), "")


def _by_key(values: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {_key(one): one for one in values}


def _text(value: Any, hide: bool) -> str | None:
    if value is None:
        return None
    text = "***" if hide else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def shown(path: Path) -> str:
    """`spec.template.spec.containers[service].image`."""
    return ".".join(str(part) for part in path).replace(".[", "[")


# -- owners -------------------------------------------------------------------------------------------------------


def _owner(live: Object, path: Path) -> str:
    """Who set a field, beside us; empty when nobody says so."""
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") != MANAGER and _owns(entry.get("fieldsV1") or {}, path):
            return str(entry["manager"])
    return ""


def _owns(fields: Mapping[str, Any], path: Path) -> bool:
    for part in path:
        names = [name for name in fields if _means(name, part)]
        if not names:
            return False
        fields = fields[names[0]]
        if not fields:
            return True
    return True


def _means(field: str, part: str | int) -> bool:
    """Whether an element of a path in FieldsV1 (`f:name`, or `k:{"name":"x"}` of a list) is this part of a path."""
    if field.startswith("f:"):
        return field[2:] == part
    if field.startswith("k:"):
        return _key(json.loads(field[2:])) == part
    return False


def added_by_hand(live: Object) -> list[tuple[Path, str]]:
    """Fields below `spec` that people set and we have not: (path, manager); of an item that they added, the whole."""
    entries = live["metadata"].get("managedFields") or ()
    ours = [entry.get("fieldsV1") or {} for entry in entries if entry.get("manager") == MANAGER]
    found: dict[Path, str] = {}
    for entry in entries:
        manager = str(entry.get("manager", ""))
        if manager == MANAGER or not is_hand(manager) or entry.get("subresource") == "status":
            continue
        for path in _leaves({"f:spec": (entry.get("fieldsV1") or {}).get("f:spec") or {}}, ()):
            if not any(_owns(fields, path) for fields in ours) and _LEFT_ALONE not in path:
                found.setdefault(path, manager)
    return [(path, manager) for path, manager in found.items() if _at(live, path) is not None]


def _leaves(fields: Mapping[str, Any], path: Path) -> Iterator[Path]:
    if "." in fields:
        # The item itself: the rest of it comes with it.
        yield path
        return
    for name, below in fields.items():
        part = name[2:] if name.startswith("f:") else _key(json.loads(name[2:])) if name.startswith("k:") else ""
        if part and below:
            yield from _leaves(below, (*path, part))
        elif part:
            yield (*path, part)


def _at(value: Any, path: Path) -> Any:
    for part in path:
        if isinstance(value, list):
            value = next((one for one in value if isinstance(one, Mapping) and _key(one) == part), None)
        else:
            value = value.get(part) if isinstance(value, Mapping) else None
    return value


def without(live: Object, paths: Sequence[Path]) -> Object:
    """The object without these fields, to be put in its place."""
    result: Object = json.loads(json.dumps(live))
    for *above, last in paths:
        parent = _at(result, tuple(above))
        if isinstance(parent, list):
            parent[:] = [one for one in parent if _key(one) != last]
        elif isinstance(parent, dict):
            parent.pop(last, None)
    result["metadata"].pop("managedFields", None)
    return result
