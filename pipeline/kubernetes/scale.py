"""The count of pods when an autoscaler takes it over: it stays as it is until then."""

from __future__ import annotations

from pipeline.kubernetes.api import MANAGER, Cluster, Object
from pipeline.kubernetes.fields import owns

COUNT = ("spec", "replicas")
_KEEPER = f"{MANAGER}-count"


def is_scaled(wanted: Object) -> bool:
    """Whether an object leaves the count of its pods to an autoscaler."""
    return wanted["kind"] == "Deployment" and "replicas" not in wanted["spec"]


def leave_count(cluster: Cluster, wanted: Object) -> None:
    """Has somebody else own the count that we have set: a field that nobody owns any more is taken away, and a
    Deployment without it has one pod (kubernetes.io/docs/reference/using-api/server-side-apply, "Transferring
    ownership").
    """
    name = wanted["metadata"]["name"]
    live = cluster.get("Deployment", name) or {"metadata": {}}
    entries = live["metadata"].get("managedFields") or ()
    ours = [entry for entry in entries if (entry.get("manager"), entry.get("operation")) == (MANAGER, "Apply")]
    if any(owns(entry.get("fieldsV1") or {}, COUNT) for entry in ours):
        count = {"spec": {"replicas": live["spec"].get("replicas", 1)}}
        head = {key: wanted[key] for key in ("apiVersion", "kind")}
        cluster.apply({**head, "metadata": {"name": name}, **count}, force=True, manager=_KEEPER)
