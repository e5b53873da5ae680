"""The target kind `kubernetes`: a service in a cluster, AKS or any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.kubernetes.flaws import flaws
from pipeline.kubernetes.settings import SCHEMA

if TYPE_CHECKING:
    from pipeline.kubernetes.target import KubernetesTarget
    from pipeline.targets.model import Release
    from pipeline.targets.remote import Surroundings

REMOTE = True
MOUNTS = True
WHERE = ("context", "kubeconfig", "aks", "namespace", "name")
DEADLINE = 300.0
"""Seconds until all pods of a release must be ready: nodes may have to pull the image first."""


def target(service: str, spec: Mapping[str, Any], surroundings: Surroundings) -> KubernetesTarget:
    """The target of one manifest entry; its cluster is asked for when it is needed."""
    from pipeline.kubernetes.find import cluster_of
    from pipeline.kubernetes.target import KubernetesTarget

    return KubernetesTarget(service, spec, lambda: cluster_of(spec, surroundings), surroundings)


def render(release: Release, surroundings: Surroundings) -> str:
    """The objects of a release as YAML, without its secrets; no cluster is asked."""
    from pipeline.kubernetes.text import rendered

    account = surroundings.account(release.reference)
    return rendered(release, release.settings.get("namespace", ""), account)


__all__ = ["DEADLINE", "MOUNTS", "REMOTE", "SCHEMA", "WHERE", "flaws", "render", "target"]
