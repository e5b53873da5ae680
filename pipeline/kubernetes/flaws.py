"""What a schema cannot tell of the settings of a kubernetes target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flaws(spec: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
    """What the schema cannot tell: (place, what is wrong, what would be right)."""
    if "aks" in spec and ("context" in spec or "kubeconfig" in spec):
        yield ("aks",), "an AKS cluster brings its own credentials", "leave out `context` and `kubeconfig`"
    for name in {*(spec.get("env") or {})} & {*(spec.get("secrets") or {})}:
        yield ("secrets", name), f"{name} is set by `env` as well", "leave one of them out"
    for folder, volume in (spec.get("volumes") or {}).items():
        if len({*volume} & {"image", "claim", "secret", "config_map"}) != 1:
            yield ("volumes", folder), "a volume is one of image, claim, secret and config_map", "name exactly one"
    if (scale := spec.get("autoscale")) and scale.get("min", 1) > scale["max"]:
        yield ("autoscale", "max"), f"it is less than `min` ({scale.get('min', 1)})", "the most pods"
    if "autoscale" in spec and "replicas" in spec:
        yield ("replicas",), "autoscaling decides how many pods there are", "leave out `replicas`, or `autoscale`"
    if "autoscale" in spec and "cpu" not in (spec.get("resources") or {}):
        fact = "autoscaling goes by the share of the processors asked for, and none are"
        yield ("autoscale",), fact, "set resources.cpu"
    steps = ((spec.get("strategy") or {}).get("canary") or {}).get("steps") or [100]
    if steps[-1] != 100 or sorted({*steps}) != list(steps):
        yield ("strategy", "canary", "steps"), "the steps do not grow to 100", "as in [10, 50, 100]"
    service = spec.get("service") or {}
    if "node_port" in service and service.get("type", "ClusterIP") == "ClusterIP":
        yield ("service", "node_port"), "a ClusterIP service has no port on nodes", "set type: NodePort"
