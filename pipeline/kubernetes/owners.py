"""Whose the objects are that are live under the names of a service: those of others are left alone."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import UsageError
from pipeline.kubernetes import names
from pipeline.kubernetes.api import MANAGER, Cluster, Object


def is_ours(live: Object, instance: str) -> bool:
    """Whether an object was made for the service of this name: its labels say so, or what we have set there."""
    metadata = live["metadata"]
    labels = metadata.get("labels") or {}
    if labels.get(names.INSTANCE, instance) != instance:
        return False
    return labels.get(names.MANAGED) == names.BY or any(
        entry.get("manager") == MANAGER for entry in metadata.get("managedFields") or ()
    )


def check_owners(cluster: Cluster, service: str, instance: str, wanted: Sequence[tuple[str, str]]) -> None:
    """Raises UsageError for all of these (kind, name) that others have made."""
    found = []
    for kind, name in wanted:
        live = cluster.get(kind, name)
        if live and (whose := others(kind, live, service, instance)):
            found.append(f"the {kind} {name} in namespace {cluster.namespace} {whose}")
    if found:
        it = "it" if len(found) == 1 else "them"
        remedy = f"give the target another `name`, or set `force: true` to take {it} over"
        raise UsageError("; ".join(found), remedy=remedy)


def others(kind: str, live: Object, service: str, instance: str) -> str:
    """Whose an object is that is called as those of this service, in words; empty for ours."""
    metadata = live["metadata"]
    if kind == "Deployment":
        # What selects its pods cannot be changed: of others, it cannot be taken over by halves.
        owner = (metadata.get("annotations") or {}).get(names.SERVICE)
        if owner in (service, None) and is_ours(live, instance) and (owner or _has_labels(live)):
            return ""
        return f"belongs to the service {owner}" if owner else "was not made by pipeline"
    if is_ours(live, instance):
        return ""
    labels = metadata.get("labels") or {}
    if labels.get(names.MANAGED) == names.BY and names.INSTANCE in labels:
        return f"belongs to the service {labels[names.INSTANCE]}"
    return "was not made by pipeline"


def _has_labels(live: Object) -> bool:
    """Whether pods are selected as ours are: an annotation may be gone by somebody's hand."""
    selected = ((live.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return names.TRACK in selected
