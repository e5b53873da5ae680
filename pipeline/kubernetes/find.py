"""Which cluster a target's settings mean: by a kubeconfig, or one of AKS."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from pipeline.kubernetes.api import Cluster
from pipeline.targets.remote import Surroundings


def cluster_of(spec: Mapping[str, Any], surroundings: Surroundings) -> Cluster:
    """The cluster that a target's settings name. UsageError for one that nobody knows."""
    from pipeline.kubernetes.client import connect

    namespace, environ = spec.get("namespace", ""), surroundings.environ
    if aks := spec.get("aks"):
        from pipeline.azure.aks import arm_of, kubeconfig, token

        arm = arm_of(aks["subscription"], environ)
        names, admin = (aks["subscription"], aks["resource_group"], aks["cluster"]), aks.get("admin", False)
        config = partial(kubeconfig, arm, *names, admin=admin)
        return connect(environ, namespace=namespace, config=config, token=lambda: token(arm))
    file = spec.get("kubeconfig", "")
    if file.startswith("~/"):
        file = f"{environ.get('HOME', '~')}{file[1:]}"
    where = str(surroundings.folder / file) if file else ""
    return connect(environ, context=spec.get("context", ""), namespace=namespace, config=where)
