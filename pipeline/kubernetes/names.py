"""What the objects of a service are called, and the labels and annotations by which they are known again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pipeline.digest import cache_key

INSTANCE, MANAGED = "app.kubernetes.io/instance", "app.kubernetes.io/managed-by"
"""kubernetes.io/docs/concepts/overview/working-with-objects/common-labels."""
BY = "pipeline-images"
TRACK, REVISION = "pipeline-images/track", "pipeline-images/revision"
"""Labels of pods: stable or canary; and the revision of all that they are made of. As an annotation of Deployments, the
latter is the release's.
"""
SERVICE, IMAGE = "pipeline-images/service", "pipeline-images/image"
"""Annotations of Deployments."""
REPLICAS = "pipeline-images/replicas"
"""Annotation of a Deployment that was stopped: how many pods it had."""
STABLE, CANARY = "stable", "canary"
CONTAINER = "service"
_LONGEST = 50


def name_of(service: str, spec: Mapping[str, Any]) -> str:
    """The objects' name: the target's own, else the service's as a DNS label (RFC 1035, section 2.3.1)."""
    if own := spec.get("name"):
        return str(own)
    name = re.sub(r"[^a-z0-9-]+", "-", service.lower()).strip("-")
    name = name if name[:1].isalpha() else f"s-{name}"
    if len(name) > _LONGEST:
        name = f"{name[: _LONGEST - 9].rstrip('-')}-{cache_key(service)[:8]}"
    return name


def labels(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """Of every object of a service."""
    return {**(spec.get("labels") or {}), "app.kubernetes.io/name": name, INSTANCE: name, MANAGED: BY}


def selector(name: str, **more: str) -> str:
    """The pods of a service, as the API takes it."""
    wanted = {INSTANCE: name, MANAGED: BY, **more}
    return ",".join(f"{key}={value}" for key, value in wanted.items())
