"""Settings of a kubernetes target that are about its pods, as JSON Schema."""

from __future__ import annotations

from pipeline.kubernetes.shapes import KEY, NAME, QUANTITY, Schema, object_, switch, texts


def pods() -> Schema:
    """By the settings' names."""
    return {
        **_size(),
        **_environment(),
        **_nodes(),
        **_may(),
        "volumes": _volumes(),
        **_marks(),
    }


def _size() -> Schema:
    return {
        "replicas": {"type": "integer", "minimum": 1, "default": 1, "description": "How many pods serve."},
        "resources": object_(
            "What each pod asks for, and may use at most.",
            {
                "cpu": {**QUANTITY, "description": "Processors asked for, as in 500m."},
                "memory": {**QUANTITY, "description": "Memory asked for, as in 1Gi."},
                "storage": {**QUANTITY, "description": "Disk asked for (ephemeral-storage)."},
                "limits": object_(
                    "At most; memory is limited to what is asked for when nothing else is said.",
                    {"cpu": QUANTITY, "memory": QUANTITY, "storage": QUANTITY},
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
    }


def _environment() -> Schema:
    return {
        "env": texts("Environment variables, over those of the image; secrets among them get a Secret."),
        "secrets": {
            "type": "object",
            "description": "Environment variables from Secrets that are there.",
            "additionalProperties": object_(
                "A key of a Secret.",
                {"secret": {**NAME, "description": "Its name."}, "key": {"type": "string", "minLength": 1}},
                ("secret", "key"),
            ),
        },
        "workers": {"type": "integer", "minimum": 1, "description": "Processes that score in each pod (WORKER_COUNT)."},
    }


def _nodes() -> Schema:
    return {
        "node_selector": texts("Labels that nodes must have.", KEY),
        "tolerations": {
            "type": "array",
            "description": "Taints of nodes that do not matter, as Kubernetes writes them.",
            "items": object_(
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
    }


def _may() -> Schema:
    return {
        "service_account": {**NAME, "description": "The account that pods run as; its token is mounted only then."},
        "user": {"type": "integer", "minimum": 0, "description": "The user's number; default: the image's."},
        "security": object_(
            "What pods may.",
            {
                "root": switch("Run as root.", False),
                "writable_root": switch("Write anywhere in their file system.", False),
                "privilege_escalation": switch("Gain more rights than they began with.", False),
            },
        ),
        "writable": {
            "type": "array",
            "items": {"type": "string", "pattern": "^/"},
            "default": ["/tmp"],
            "description": "Folders that pods may write to, empty at first.",
        },
    }


def _marks() -> Schema:
    return {
        "labels": texts("Labels of all objects.", KEY),
        "annotations": texts("Annotations of the pods.", KEY),
    }


def _volumes() -> Schema:
    one = object_(
        "What is mounted there: exactly one of these.",
        {
            "image": {
                "type": "string",
                "minLength": 1,
                "description": "The files of an image (Kubernetes 1.35, or 1.31 with ImageVolume).",
            },
            "claim": {**NAME, "description": "A PersistentVolumeClaim."},
            "secret": {**NAME, "description": "A Secret."},
            "config_map": {**NAME, "description": "A ConfigMap."},
            "writable": switch("For a claim: may be written to.", False),
        },
    )
    return {
        "type": "object",
        "description": "What is mounted, by folder; read-only.",
        "propertyNames": {"pattern": "^/", "x-hint": "an absolute path", "x-noun": "folder"},
        "additionalProperties": one,
    }
