"""Whether waiting helps against a quota that is used up: pods that are about to go give their share back."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from pipeline.errors import UsageError
from pipeline.kubernetes import names
from pipeline.kubernetes.api import Cluster, Object

EXCEEDED = "exceeded quota"
_TOLD = re.compile(rf"{EXCEEDED}: ([^,\s]+), requested: (\S+), used: ")
"""As the admission plug-in ResourceQuota says it."""
_DECIMAL, _BINARY = ("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), "KMGTPE"
_UNITS = {unit: Decimal(1000) ** power for power, unit in enumerate(_DECIMAL, -3)}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate(_BINARY, 1)}
_OF_POD = names.INSTANCE, names.TRACK, names.REVISION


def waiting_helps(cluster: Cluster, deployment: Object, message: str) -> bool:
    """Whether pods of a Deployment that a quota refuses, in these words, may come by themselves yet."""
    of = deployment["spec"]["template"]["metadata"]["labels"]
    pods = cluster.find("Pod", labels=names.selector(str(of.get(names.INSTANCE))))
    if any("deletionTimestamp" in pod["metadata"] for pod in pods):
        return True
    labels = [pod["metadata"].get("labels") or {} for pod in pods]
    old = [one for one in labels if one.get(names.REVISION) != of.get(names.REVISION)]
    new = [one for one in labels if all(one.get(key) == of.get(key) for key in _OF_POD)]
    # Old pods go when new ones are ready, and not while there are none.
    if old and new:
        return True
    left = _is_used_up(cluster, message)
    return not left if left is not None else bool(old)


def _is_used_up(cluster: Cluster, message: str) -> bool | None:
    """What the quota itself says by now: the refusal may be older than that. None where it cannot be read."""
    if not (told := _TOLD.search(message)):
        return None
    try:
        status = (cluster.get("ResourceQuota", told[1]) or {}).get("status") or {}
        hard, used = status["hard"], status["used"]
        asked = dict(pair.split("=", 1) for pair in told[2].split(","))
        return any(amount(used[key]) + amount(value) > amount(hard[key]) for key, value in asked.items())
    except (UsageError, KeyError, ValueError, InvalidOperation):
        return None


def amount(text: str) -> Decimal:
    """A quantity, as in 500m, 2, 1.5Gi or 1e3 (Kubernetes API, "Quantity"). ValueError for anything else."""
    found = re.fullmatch(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)", text.strip())
    if not found or found[2] not in _UNITS:
        raise ValueError(text)
    return Decimal(found[1]) * _UNITS[found[2]]
