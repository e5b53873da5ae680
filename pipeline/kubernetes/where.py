"""Where clients call a service."""

from __future__ import annotations

from typing import Any

from pipeline.kubernetes.api import Cluster, Object


def address(cluster: Cluster, name: str) -> str:
    """A URL from outside where there is one (ingress, load balancer), else host:port within the cluster."""
    if (ingress := cluster.get("Ingress", name)) and (url := _of_ingress(ingress)):
        return url
    service = cluster.get("Service", name)
    return _of_service(service, name, cluster.namespace) if service else ""


def _of_ingress(ingress: Object) -> str:
    spec = ingress["spec"]
    rule: dict[str, Any] = next(iter(spec.get("rules") or ()), {})
    host = rule.get("host") or _balanced(ingress)
    if not host:
        return ""
    path = (rule.get("http") or {}).get("paths", [{}])[0].get("path", "/").rstrip("/")
    return f"{'https' if spec.get('tls') else 'http'}://{host}{path}"


def _balanced(value: Object) -> str:
    """The address that a load balancer was given."""
    found = ((value.get("status") or {}).get("loadBalancer") or {}).get("ingress") or [{}]
    return str(found[0].get("hostname") or found[0].get("ip") or "")


def _of_service(service: Object, name: str, namespace: str) -> str:
    port = int(service["spec"]["ports"][0]["port"])
    if host := _balanced(service):
        return f"http://{host}" + (f":{port}" if port != 80 else "")
    return f"{name}.{namespace}:{port}"
