"""Field by field, what is live otherwise than an object would be; who made it so; and what hands have added."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.kubernetes.api import MANAGER, Object
from pipeline.kubernetes.fields import Path, at, is_keyed, key_of, owns, paths_of, remove, shown
from pipeline.kubernetes.names import REVISION
from pipeline.kubernetes.scale import COUNT
from pipeline.targets.remote import Difference

_OURS_ALONE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_HANDS = ("kubectl", "k9s", "lens", "openlens", "headlamp", "dashboard", "node-fetch", "mozilla", MANAGER)
_LEFT_ALONE = "kubectl.kubernetes.io/restartedAt"
"""`kubectl rollout restart`: to take it away would restart all pods once more."""
_ROLLOUTS = "deployment.kubernetes.io/revision"
_LONGEST = 60


def is_hand(manager: str) -> bool:
    """Whether a field manager stands for a person at work, whose changes do not last; not for a controller."""
    return manager.lower().startswith(_HANDS)


def differences(
    live: Object | None, would: Object, added: Sequence[tuple[Path, str]] | None = None
) -> list[Difference]:
    """`would` is what a dry run of applying gives; both as the API tells them. `added` is what people added to it, and
    who, as far as it is to be taken back; default: all of it.
    """
    what = f"{would['kind']} {would['metadata']['name']}"
    if live is None:
        return [Difference(what, None, None, restarts=would["kind"] == "Deployment")]
    masked = would["kind"] == "Secret"
    found = []
    for path, before, after in _walk(_bare(live), _bare(would), ()):
        if path[-1] == REVISION:
            # It only says that something else differs.
            continue
        hide = masked and path[:1] == ("data",)
        texts = (_text(before, hide), _text(after, hide))
        found.append(Difference(f"{what} {shown(path)}", *texts, _owner(live, path), _restarts(path)))
    taken = [
        Difference(f"{what} {shown(path)}", _text(at(live, path), masked), None, manager, _restarts(path))
        for path, manager in (added_by_hand(would) if added is None else added)
    ]
    return found + taken


def _restarts(path: Path) -> bool:
    """Whether pods are made anew for a field: for those of their own, of a Deployment."""
    return path[:2] == ("spec", "template")


def _bare(value: Object) -> Object:
    metadata = {key: one for key, one in (value.get("metadata") or {}).items() if key not in _OURS_ALONE}
    # A controller's count, which may move between the two looks.
    if _ROLLOUTS in (metadata.get("annotations") or {}):
        metadata["annotations"] = {key: one for key, one in metadata["annotations"].items() if key != _ROLLOUTS}
    return {**{key: one for key, one in value.items() if key != "status"}, "metadata": metadata}


def _walk(live: Any, would: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Where two values differ: (path, live, would), as deep as both go."""
    if live == would:
        return
    if isinstance(live, Mapping) and isinstance(would, Mapping):
        for key in {**live, **would}:
            yield from _walk(live.get(key), would.get(key), (*path, key))
    elif is_keyed(live) and is_keyed(would):
        befores, afters = ({key_of(one): one for one in value} for value in (live, would))
        for key in {**befores, **afters}:
            yield from _walk(befores.get(key), afters.get(key), (*path, key))
    else:
        yield path, live, would


def _text(value: Any, hide: bool) -> str | None:
    if value is None:
        return None
    text = "***" if hide else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


# -- owners -------------------------------------------------------------------------------------------------------


def _owner(live: Object, path: Path) -> str:
    """Who set a field, beside us; empty when nobody says so."""
    for entry in live["metadata"].get("managedFields") or ():
        if entry.get("manager") != MANAGER and owns(entry.get("fieldsV1") or {}, path):
            return str(entry["manager"])
    return ""


def added_by_hand(live: Object) -> list[tuple[Path, str]]:
    """Fields below `spec` that people set and we have not: (path, manager); of an item that they added, the whole."""
    entries = live["metadata"].get("managedFields") or ()
    ours = [entry.get("fieldsV1") or {} for entry in entries if entry.get("manager") == MANAGER]
    found: dict[Path, str] = {}
    for entry in entries:
        manager = str(entry.get("manager", ""))
        if manager == MANAGER or not is_hand(manager) or entry.get("subresource") == "status":
            continue
        for path in paths_of({"f:spec": (entry.get("fieldsV1") or {}).get("f:spec") or {}}, ()):
            within = any(path[: len(other)] == other for other in found)
            if not within and not _is_left_alone(live, path) and not any(owns(fields, path) for fields in ours):
                found[path] = manager
    return [(path, manager) for path, manager in found.items() if at(live, path) is not None]


def _is_left_alone(live: Object, path: Path) -> bool:
    """Of a mapping that has it (all annotations, where there were none), only what else is there was added."""
    value = at(live, path)
    # Without a count there would be one pod; where we have not set it, an autoscaler does.
    return _LEFT_ALONE in path or path == COUNT or (isinstance(value, Mapping) and _LEFT_ALONE in value)


def without(live: Object, paths: Sequence[Path]) -> Object:
    """The object without these fields, to be put in its place."""
    result: Object = json.loads(json.dumps(live))
    for path in paths:
        remove(result, path)
    result["metadata"].pop("managedFields", None)
    return result
