"""Environment, endpoint and deployment of Azure ML's current API (CLI v2's YAML) for a manifest's image and target.

Keys are those that azure-ai-ml 1.35 reads (`_schema`): learn.microsoft.com, "CLI (v2) managed online deployment YAML".
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any

from pipeline.azureml.exporting import Exported, Model, Subject, code_of, models_of, plain_env
from pipeline.azureml.exporting_environment import Read, environment_of
from pipeline.azureml.yaml_text import Comment, dump
from pipeline.layers.model import MODELS

SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
DEPLOYMENT = "blue"
INSTANCE_TYPE = "Standard_DS3_v2"

_PROBE = {
    "period_seconds": "period",
    "initial_delay_seconds": "initial_delay",
    "timeout_seconds": "timeout",
    "success_threshold": "success_threshold",
    "failure_threshold": "failure_threshold",
}
_REQUESTS = {
    "scoring_timeout_ms": "request_timeout_ms",
    "max_concurrent_requests": "max_concurrent_requests_per_instance",
    "max_queue_wait_ms": "max_queue_wait_ms",
}


def exported_v2(subject: Subject, read: Read, folder: Path, *, whole: bool = True) -> Exported:
    """The files, to be written into `folder`, to which their paths are relative. UsageError for what cannot be.

    The environment is the image that was built; without `whole`, its base with a conda file, built by Azure ML.
    """
    environment, notes = environment_of(subject, read, whole=whole)
    files: dict[str, str] = {}
    described: dict[str, Any] = {"$schema": f"{SCHEMAS}/environment.schema.json", "name": environment.name}
    version = _version(subject) if whole else environment.version
    described |= {"version": version} if version else {}
    if environment.docker.base_dockerfile:
        files["Dockerfile"] = environment.docker.base_dockerfile
        described["build"] = {"path": ".", "dockerfile_path": "Dockerfile"}
    else:
        described["image"] = environment.docker.base_image
    if environment.python.conda_dependencies is not None:
        files["conda.yml"] = environment.python.conda_dependencies.serialize_to_string()
        described["conda_file"] = "conda.yml"
        if environment.docker.base_dockerfile:
            notes.append("Azure ML takes no conda file with a Dockerfile: add `conda env update -f conda.yml` to it")
            del described["conda_file"]
    if whole:
        described["inference_config"] = _routes(subject)
    variables = {} if whole else dict(environment.environment_variables or {})
    files["environment.yml"] = dump(described)
    files["endpoint.yml"] = dump(_endpoint(subject, notes))
    files["deployment.yml"] = dump(_deployment(subject, folder, variables, notes))
    return Exported(files, tuple(notes))


def _version(subject: Subject) -> str:
    """Versions do not change once made: the image's digest is in its name."""
    return subject.reference.partition("@sha256:")[2][:12]


def _routes(subject: Subject) -> dict[str, Any]:
    serve = subject.image.serve
    port = serve.port if serve else (subject.target.spec.get("port") if subject.target else None) or 5001
    health = "/"
    if subject.target and isinstance(checks := subject.target.spec.get("health"), dict):
        health = checks.get("path", "/")
    routes = {"liveness_route": health, "readiness_route": health, "scoring_route": "/score"}
    return {name: {"path": path, "port": port} for name, path in routes.items()}


def _endpoint(subject: Subject, notes: list[str]) -> dict[str, Any]:
    spec = subject.target.spec if subject.target else {}
    if spec.get("auth_enabled") is False:
        notes.append("auth_enabled is off, and Azure ML's endpoints always ask for a key")
    mode = "aml_token" if spec.get("token_auth_enabled") else "key"
    return {
        "$schema": f"{SCHEMAS}/managedOnlineEndpoint.schema.json",
        "name": subject.name,
        "auth_mode": mode,
    }


def _deployment(subject: Subject, folder: Path, variables: dict[str, str], notes: list[str]) -> dict[str, Any]:
    spec = subject.target.spec if subject.target else {}
    variables |= plain_env(spec.get("env") or {}, notes)
    if spec.get("workers"):
        variables["WORKER_COUNT"] = str(spec["workers"])
    found: dict[str, Any] = {
        "$schema": f"{SCHEMAS}/managedOnlineDeployment.schema.json",
        "name": DEPLOYMENT,
        "endpoint_name": subject.name,
        **_model(subject, folder, variables, notes),
        **_code(subject, folder, notes),
        "environment": "file:environment.yml",
    }
    found |= {"environment_variables": variables} if variables else {}
    if spec.get("app_insights_enabled") is not None:
        found["app_insights_enabled"] = spec["app_insights_enabled"]
    found["instance_type"] = spec.get("instance_type") or Comment(
        INSTANCE_TYPE, "the machine: choose what the model needs"
    )
    found["instance_count"] = int(_first(spec, "instance_count", "num_replicas", "replicas") or 1)
    if requests := {theirs: spec[ours] for ours, theirs in _REQUESTS.items() if spec.get(ours) is not None}:
        found["request_settings"] = requests
    if isinstance(spec.get("liveness"), dict):
        found["liveness_probe"] = {_PROBE[name]: value for name, value in spec["liveness"].items() if name in _PROBE}
    if "autoscale" in spec:
        notes.append("autoscaling of an endpoint is Azure Monitor's: it is not in the files")
    return found


def _first(spec: Any, *names: str) -> Any:
    return next((spec[name] for name in names if spec.get(name) is not None), None)


def _model(subject: Subject, folder: Path, variables: dict[str, str], notes: list[str]) -> dict[str, Any]:
    """The first model as the deployment's. Azure ML mounts it where it is in the image, too."""
    models = models_of(subject)
    if not models:
        notes.append("the image has no model: MLClient(local=True) asks for one")
        return {}
    first = models[0]
    if len(models) > 1:
        variables["AZUREML_MODEL_DIR"] = MODELS
        notes.append(f"a deployment has one model, {first.name}: the others are in the image")
    elif first.bare:
        # It is mounted with its folder's name; in the image it has none.
        variables["AZUREML_MODEL_DIR"] = f"{MODELS}/{first.name}/{first.version}/{posixpath.basename(first.path)}"
    return {"model": {"name": first.name, "version": str(first.version), "path": _near(subject, first, folder)}}


def _near(subject: Subject, model: Model, folder: Path) -> str:
    return os.path.relpath(subject.manifest.path.parent / model.path, folder)


def _code(subject: Subject, folder: Path, notes: list[str]) -> dict[str, Any]:
    """The entry script's folder: the image has it already, and Azure ML's client asks for it."""
    code = code_of(subject)
    if code is None:
        notes.append("no `files` layer brings an entry script from the project: MLClient(local=True) asks for one")
        return {}
    place = os.path.relpath(subject.manifest.path.parent / code.source, folder)
    return {"code_configuration": {"code": place, "scoring_script": code.script}}
