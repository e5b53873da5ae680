"""The settings of a kubernetes target, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.kubernetes.settings_pods import pods
from pipeline.kubernetes.shapes import DURATION, KEY, NAME, PORT, SECONDS, Schema, object_, switch, texts


def _where() -> Schema:
    return {
        "context": {
            "type": "string",
            "minLength": 1,
            "description": "The kubeconfig's context; default: its current one.",
        },
        "kubeconfig": {
            "type": "string",
            "minLength": 1,
            "description": "The kubeconfig file; default: KUBECONFIG, ~/.kube/config, or the pod that this is.",
        },
        "aks": object_(
            "An AKS cluster, whose credentials are fetched from Azure; in place of `context`.",
            {
                "subscription": {"type": "string", "minLength": 1, "description": "The subscription's id."},
                "resource_group": {"type": "string", "minLength": 1, "description": "The cluster's resource group."},
                "cluster": {"type": "string", "minLength": 1, "description": "The cluster's name."},
                "admin": switch("Take the cluster's local administrator.", False),
            },
            ("subscription", "resource_group", "cluster"),
        ),
        "namespace": {
            **NAME,
            "maxLength": 63,
            "description": "The namespace; default: the context's, else `default`.",
        },
        "name": {
            "type": "string",
            "pattern": "^[a-z]([a-z0-9-]*[a-z0-9])?$",
            "maxLength": 50,
            "x-hint": "lower-case letters, digits and '-', a letter first",
            "description": "What the objects are called; default: the manifest's and the target's name.",
        },
    }


def _addresses() -> Schema:
    return {
        "port": {**PORT, "description": "The service's port; default: the one that the image serves on."},
        "service": object_(
            "How the service is reached.",
            {
                "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"], "default": "ClusterIP"},
                "node_port": {**PORT, "description": "The port on each node, for NodePort."},
                "annotations": texts("Annotations of the service, as clouds want them.", KEY),
            },
        ),
        "ingress": object_(
            "An address for clients outside the cluster.",
            {
                "host": {"type": "string", "minLength": 1, "description": "The host name."},
                "path": {"type": "string", "pattern": "^/", "default": "/", "description": "Everything below."},
                "class": {**NAME, "description": "The ingress class."},
                "tls": {**NAME, "description": "The Secret with the host's certificate."},
                "annotations": texts("Annotations of the ingress.", KEY),
            },
        ),
    }


def _autoscale() -> Schema:
    return {
        "autoscale": object_(
            "As many pods as the load asks for, in place of `replicas`.",
            {
                "min": {"type": "integer", "minimum": 1, "default": 1},
                "max": {"type": "integer", "minimum": 1},
                "cpu": {
                    "type": "integer",
                    "minimum": 1,
                    "default": 80,
                    "description": "Percent of the processors asked for.",
                },
            },
            ("max",),
        ),
    }


def _health() -> Schema:
    return {
        "health": object_(
            "How to tell that a pod is well.",
            {
                "path": {
                    "type": "string",
                    "pattern": "^/[!-~]*$",
                    "default": "/",
                    "description": "GET on it is answered with 200 to 399.",
                },
                "deadline": {
                    **SECONDS,
                    "default": 300,
                    "description": "Seconds from the rollout until all pods must be ready.",
                },
                "timeout": {**SECONDS, "default": 5, "description": "Seconds to wait for the answer to one probe."},
            },
        ),
    }


def _strategy() -> Schema:
    step = {"type": "integer", "minimum": 1, "maximum": 100}
    canary = {
        "steps": {
            "type": "array",
            "items": step,
            "minItems": 1,
            "default": [10, 50, 100],
            "description": "Percent of the traffic, growing, 100 last.",
        },
        "pause": {**DURATION, "default": 60, "description": "How long each step is watched."},
        "errors": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.01,
            "description": "The share of scoring requests that may fail.",
        },
        "latency": {**DURATION, "description": "95 % of them must be answered within this."},
    }
    return {
        "strategy": object_(
            "How a new release takes over; default: pod by pod.",
            {
                "canary": object_("By a share of the traffic that grows.", canary),
                "blue_green": switch("All at once, after the new release has scored beside the old one.", True),
            },
            minProperties=1,
            maxProperties=1,
        ),
    }


def _others() -> Schema:
    return {
        "force": switch("Take over fields that others own.", False),
        "patches": {
            "type": "array",
            "description": "Changes to the objects for what has no setting, applied last (JSON merge patch, RFC 7386).",
            "items": object_(
                "A change.",
                {
                    "kind": {"enum": ["Deployment", "Service", "Ingress", "HorizontalPodAutoscaler"]},
                    "merge": {
                        "type": "object",
                        "description": "The patch: named lists are merged by name, others replaced; null removes.",
                    },
                },
                ("kind", "merge"),
            ),
        },
    }


SCHEMA: Mapping[str, Any] = object_(
    "A service in a Kubernetes cluster.",
    {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
        **_where(),
        **pods(),
        **_addresses(),
        **_autoscale(),
        **_health(),
        **_strategy(),
        **_others(),
    },
    ("image",),
)
