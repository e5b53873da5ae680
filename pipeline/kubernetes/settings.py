"""The settings of a kubernetes target, as JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_NAME = {"type": "string", "pattern": "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "maxLength": 253}
_PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
_QUANTITY = {
    "type": ["integer", "number", "string"],
    "exclusiveMinimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?([EPTGMkmun]|[EPTGMK]i|[eE][0-9]+)?$",
    "x-hint": "a Kubernetes quantity, as in 500m, 2 or 1.5Gi",
}
_KEY = {
    "pattern": r"^([A-Za-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?$",
    "x-hint": "letters, digits, '-', '_' and '.', perhaps after a domain and '/', as in example.com/team",
    "x-noun": "label",
}
_SECONDS = {"type": "number", "exclusiveMinimum": 0}
_DURATION = {
    "type": ["number", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)?$",
    "x-hint": "seconds, or a text such as 500ms, 2s or 1m",
}


def _object(description: str, properties: Schema, required: tuple[str, ...] = (), **more: Any) -> Schema:
    value = {"type": "object", "description": description, "additionalProperties": False, "properties": properties}
    return {**value, **({"required": list(required)} if required else {}), **more}


def _texts(description: str, keys: Schema | None = None) -> Schema:
    value: Schema = {"type": "object", "description": description, "additionalProperties": {"type": "string"}}
    return {**value, "propertyNames": keys} if keys else value


def _switch(description: str, default: bool) -> Schema:
    return {"type": "boolean", "default": default, "description": description}


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
        "aks": _object(
            "An AKS cluster, whose credentials are fetched from Azure; in place of `context`.",
            {
                "subscription": {"type": "string", "minLength": 1, "description": "The subscription's id."},
                "resource_group": {"type": "string", "minLength": 1, "description": "The cluster's resource group."},
                "cluster": {"type": "string", "minLength": 1, "description": "The cluster's name."},
                "admin": _switch("Take the cluster's local administrator.", False),
            },
            ("subscription", "resource_group", "cluster"),
        ),
        "namespace": {
            **_NAME,
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


def _pods() -> Schema:
    return {
        "replicas": {"type": "integer", "minimum": 1, "default": 1, "description": "How many pods serve."},
        "resources": _object(
            "What each pod asks for, and may use at most.",
            {
                "cpu": {**_QUANTITY, "description": "Processors asked for, as in 500m."},
                "memory": {**_QUANTITY, "description": "Memory asked for, as in 1Gi."},
                "storage": {**_QUANTITY, "description": "Disk asked for (ephemeral-storage)."},
                "limits": _object(
                    "At most; memory is limited to what is asked for when nothing else is said.",
                    {"cpu": _QUANTITY, "memory": _QUANTITY, "storage": _QUANTITY},
                ),
            },
        ),
        "gpus": {"type": "integer", "minimum": 1, "description": "GPUs for each pod."},
        "gpu_resource": {
            "type": "string",
            "default": "nvidia.com/gpu",
            "pattern": "^[a-z0-9.-]+/[a-zA-Z0-9._-]+$",
            "description": "What GPUs are called in the cluster, as in amd.com/gpu.",
        },
        "env": _texts("Environment variables, over those of the image; secrets among them get a Secret."),
        "secrets": {
            "type": "object",
            "description": "Environment variables from Secrets that are there.",
            "additionalProperties": _object(
                "A key of a Secret.",
                {"secret": {**_NAME, "description": "Its name."}, "key": {"type": "string", "minLength": 1}},
                ("secret", "key"),
            ),
        },
        "workers": {"type": "integer", "minimum": 1, "description": "Processes that score in each pod (WORKER_COUNT)."},
        "node_selector": _texts("Labels that nodes must have.", _KEY),
        "tolerations": {
            "type": "array",
            "description": "Taints of nodes that do not matter, as Kubernetes writes them.",
            "items": _object(
                "A toleration.",
                {
                    "key": {"type": "string"},
                    "operator": {"enum": ["Exists", "Equal"]},
                    "value": {"type": "string"},
                    "effect": {"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
                    "tolerationSeconds": {"type": "integer"},
                },
            ),
        },
        "service_account": {**_NAME, "description": "The account that pods run as; its token is mounted only then."},
        "user": {"type": "integer", "minimum": 0, "description": "The user's number; default: the image's."},
        "security": _object(
            "What pods may.",
            {
                "root": _switch("Run as root.", False),
                "writable_root": _switch("Write anywhere in their file system.", False),
                "privilege_escalation": _switch("Gain more rights than they began with.", False),
            },
        ),
        "writable": {
            "type": "array",
            "items": {"type": "string", "pattern": "^/"},
            "default": ["/tmp"],
            "description": "Folders that pods may write to, empty at first.",
        },
        "volumes": _volumes(),
        "labels": _texts("Labels of all objects.", _KEY),
        "annotations": _texts("Annotations of the pods.", _KEY),
    }


def _volumes() -> Schema:
    one = _object(
        "What is mounted there: exactly one of these.",
        {
            "image": {
                "type": "string",
                "minLength": 1,
                "description": "The files of an image (Kubernetes 1.35, or 1.31 with ImageVolume).",
            },
            "claim": {**_NAME, "description": "A PersistentVolumeClaim."},
            "secret": {**_NAME, "description": "A Secret."},
            "config_map": {**_NAME, "description": "A ConfigMap."},
            "writable": _switch("For a claim: may be written to.", False),
        },
    )
    return {
        "type": "object",
        "description": "What is mounted, by folder; read-only.",
        "propertyNames": {"pattern": "^/", "x-hint": "an absolute path", "x-noun": "folder"},
        "additionalProperties": one,
    }


def _network() -> Schema:
    return {
        "port": {**_PORT, "description": "The service's port; default: the one that the image serves on."},
        "service": _object(
            "How the service is reached.",
            {
                "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"], "default": "ClusterIP"},
                "node_port": {**_PORT, "description": "The port on each node, for NodePort."},
                "annotations": _texts("Annotations of the service, as clouds want them.", _KEY),
            },
        ),
        "ingress": _object(
            "An address for clients outside the cluster.",
            {
                "host": {"type": "string", "minLength": 1, "description": "The host name."},
                "path": {"type": "string", "pattern": "^/", "default": "/", "description": "Everything below."},
                "class": {**_NAME, "description": "The ingress class."},
                "tls": {**_NAME, "description": "The Secret with the host's certificate."},
                "annotations": _texts("Annotations of the ingress.", _KEY),
            },
        ),
        "autoscale": _object(
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
        "health": _object(
            "How to tell that a pod is well.",
            {
                "path": {
                    "type": "string",
                    "pattern": "^/[!-~]*$",
                    "default": "/",
                    "description": "GET on it is answered with 200 to 399.",
                },
                "deadline": {
                    **_SECONDS,
                    "default": 300,
                    "description": "Seconds from the rollout until all pods must be ready.",
                },
                "timeout": {**_SECONDS, "default": 5, "description": "Seconds to wait for the answer to one probe."},
            },
        ),
    }


def _rollout() -> Schema:
    step = {"type": "integer", "minimum": 1, "maximum": 100}
    canary = {
        "steps": {
            "type": "array",
            "items": step,
            "minItems": 1,
            "default": [10, 50, 100],
            "description": "Percent of the traffic, growing, 100 last.",
        },
        "pause": {**_DURATION, "default": 60, "description": "How long each step is watched."},
        "errors": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.01,
            "description": "The share of scoring requests that may fail.",
        },
        "latency": {**_DURATION, "description": "95 % of them must be answered within this."},
    }
    return {
        "strategy": _object(
            "How a new release takes over; default: pod by pod.",
            {
                "canary": _object("By a share of the traffic that grows.", canary),
                "blue_green": _switch("All at once, after the new release has scored beside the old one.", True),
            },
            minProperties=1,
            maxProperties=1,
        ),
        "force": _switch("Take over fields that others own.", False),
        "patches": {
            "type": "array",
            "description": "Changes to the objects for what has no setting, applied last (JSON merge patch, RFC 7386).",
            "items": _object(
                "A change.",
                {
                    "kind": {"enum": ["Deployment", "Service", "Ingress", "HorizontalPodAutoscaler"]},
                    "merge": {
                        "type": "object",
                        "description": "The patch; lists are replaced as a whole, null removes.",
                    },
                },
                ("kind", "merge"),
            ),
        },
    }


SCHEMA: Mapping[str, Any] = _object(
    "A service in a Kubernetes cluster.",
    {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`; it must be pushed."},
        **_where(),
        **_pods(),
        **_network(),
        **_rollout(),
    },
    ("image",),
)
