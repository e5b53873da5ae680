"""The count of pods when an autoscaler takes it over, or gives it back: it stays as it is until then."""

from __future__ import annotations

from pipeline.kubernetes import names
from pipeline.kubernetes.api import MANAGER, Cluster, Object, Owned
from pipeline.kubernetes.fields import owns, shown

COUNT = ("spec", "replicas")
_SCALER = "kube-controller-manager"
"""As whom autoscalers set the count of pods."""
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


def scalers(cluster: Cluster, deployment: str) -> list[Object]:
    """The autoscalers of a Deployment, whoever made them."""
    found = cluster.find("HorizontalPodAutoscaler")
    wanted = ("Deployment", deployment)
    targets = [(one, (one.get("spec") or {}).get("scaleTargetRef") or {}) for one in found]
    return [one for one, target in targets if (target.get("kind"), target.get("name")) == wanted]


def is_left_over(cluster: Cluster, wanted: Object, owned: Owned) -> bool:
    """Whether a field in conflict is a count that an autoscaler has set which is gone, or ours, which goes with the
    release that had it.
    """
    if is_scaled(wanted) or (owned.field, owned.manager) != (shown(COUNT), _SCALER):
        return False
    found = scalers(cluster, wanted["metadata"]["name"])
    return all((one["metadata"].get("labels") or {}).get(names.MANAGED) == names.BY for one in found)
