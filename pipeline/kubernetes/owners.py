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
    """Raises UsageError for the first of these (kind, name) that others have made."""
    for kind, name in wanted:
        live = cluster.get(kind, name)
        if live and (whose := _others(live, service, instance)):
            raise UsageError(
                f"the {kind} {name} in namespace {cluster.namespace} {whose}",
                remedy="give the target another `name`, or set `force: true` to take it over",
            )


def _others(live: Object, service: str, instance: str) -> str:
    """Whose it is, in words; empty for ours."""
    metadata = live["metadata"]
    if live["kind"] == "Deployment":
        # What selects its pods cannot be changed: of others, it cannot be taken over by halves.
        owner = (metadata.get("annotations") or {}).get(names.SERVICE)
        if owner == service and is_ours(live, instance):
            return ""
        return f"belongs to the service {owner}" if owner else "was not made by pipeline"
    if is_ours(live, instance):
        return ""
    labels = metadata.get("labels") or {}
    if labels.get(names.MANAGED) == names.BY and names.INSTANCE in labels:
        return f"belongs to the service {labels[names.INSTANCE]}"
    return "was not made by pipeline"
