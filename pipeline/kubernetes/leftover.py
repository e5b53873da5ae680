"""What a service has left in a namespace at another name, and how to remove that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.kubernetes import names
from pipeline.kubernetes.api import Cluster

_KINDS = "deployment,service,ingress,hpa,secret"


def place(cluster: Cluster, name: str) -> str:
    """In words that tell it from every other place."""
    return f"{name} in namespace {cluster.namespace} of {cluster.address}"


def elsewhere(cluster: Cluster, service: str, name: str) -> list[str]:
    """The names that Deployments of the same service have beside this one."""
    found = cluster.find("Deployment", labels=f"{names.MANAGED}={names.BY}")
    of = [one["metadata"] for one in found if "deletionTimestamp" not in one["metadata"]]
    ours = [one for one in of if (one.get("annotations") or {}).get(names.SERVICE) == service]
    every = {(one.get("labels") or {}).get(names.INSTANCE, one["name"]) for one in ours}
    return sorted(every - {name})


def removal(name: str, namespace: str, spec: Mapping[str, Any]) -> str:
    """In words, with the command; `spec` is the target's."""
    given = [f" --{word} {spec[word]}" for word in ("kubeconfig", "context") if word in spec]
    where = "".join((f"-n {namespace}", *given))
    return f"remove it with 'kubectl delete {_KINDS} {where} -l {names.selector(name)}'"
