"""`inferenceconfig.json` and `deploymentconfig.json` of a manifest's image and target."""

from __future__ import annotations

import json
import os
import posixpath
from pathlib import Path
from typing import Any

from pipeline.azureml.deployment import CLASSES, DeploymentConfig
from pipeline.azureml.exporting import Exported, Subject, code_of, models_of, plain_env
from pipeline.azureml.exporting_environment import Read, environment_of
from pipeline.azureml.importing_target import GROUPS, NAMES
from pipeline.errors import UsageError
from pipeline.manifest.model import Secret


def exported_v1(subject: Subject, read: Read, cwd: Path, *, whole: bool | None = None) -> Exported:
    """Paths in the files are relative to `cwd`, as the SDK has it. UsageError for an image without an entry script."""
    if subject.image.serve is None:
        message = f"image {subject.image.name} has no entry script"
        raise UsageError(message, remedy="Azure ML's first SDK serves by one: give the image `serve`, or take --v2")
    environment, notes = environment_of(subject, read, whole=whole)
    inference = {**_code(subject, cwd, notes), "environment": environment.to_json()}
    files = {"inferenceconfig.json": _json(inference)}
    if subject.target is None:
        notes.append("there is no target, and so no deploymentconfig.json")
    elif deployment := _deployment(subject, notes):
        files["deploymentconfig.json"] = _json(deployment.to_json())
    for model in models_of(subject):
        notes.append(f"register the model {model.name}, version {model.version}: {model.path}")
    return Exported(files, tuple(notes))


def _code(subject: Subject, cwd: Path, notes: list[str]) -> dict[str, str]:
    assert subject.image.serve
    code = code_of(subject)
    if code is None:
        script = subject.image.serve.entry_script
        notes.append(f"the entry script {script} is in the image alone: no `files` layer brings it from the project")
        return {"entryScript": posixpath.basename(script)}
    folder = os.path.relpath(subject.manifest.path.parent / code.source, cwd)
    if _is_alone(subject):
        return {"entryScript": os.path.normpath(f"{folder}/{code.script}")}
    return {"entryScript": code.script, "sourceDirectory": folder}


def _is_alone(subject: Subject) -> bool:
    """Whether the script comes as the one file that it is."""
    assert subject.image.serve
    layers = (subject.manifest.layers[name] for name in subject.image.layers if name in subject.manifest.layers)
    items = [item for layer in layers if layer.kind == "files" for item in layer.spec]
    return len(items) == 1 and items[0]["from"].endswith(".py")


def _deployment(subject: Subject, notes: list[str]) -> DeploymentConfig | None:
    assert subject.target
    spec, kind = dict(subject.target.spec), subject.target.kind
    if env := spec.get("env"):
        plain = plain_env(env, notes)
        if plain:
            notes.append(f"variables of the target are not in the files: {', '.join(sorted(plain))}")
    if kind == "kubernetes":
        kind = "aks"
        spec = {"num_replicas": spec.get("replicas"), "namespace": spec.get("namespace")}
        notes.append("the Kubernetes target is given as one of AKS: replicas and namespace alone")
    if kind not in CLASSES:
        notes.append(f"a target of the kind {kind} has no deploymentconfig.json")
        return None
    return CLASSES[kind](**_settings(spec, kind, notes))


def _settings(spec: dict[str, Any], kind: str, notes: list[str]) -> dict[str, Any]:
    """The SDK's settings of a target's: the way back of `importing_target`."""
    known = {each.attribute for each in CLASSES[kind].SETTINGS}
    names = {ours: theirs for theirs, ours in NAMES.items()}
    groups = {group: (prefix, inside) for prefix, (group, inside) in GROUPS.items()}
    found: dict[str, Any] = {}
    for key, value in spec.items():
        if key in groups and isinstance(value, dict):
            prefix, inside = groups[key]
            found |= {f"{prefix}{name}": part for name, part in value.items() if name in inside}
            if key == "autoscale":
                found["autoscale_enabled"] = True
        elif names.get(key, key) in known and value is not None:
            found[names.get(key, key)] = value
        elif key not in ("image", "env") and value is not None and not isinstance(value, Secret):
            notes.append(f"the target's setting {key} is not in deploymentconfig.json")
    return found


def _json(value: Any) -> str:
    return json.dumps(value, indent=4) + "\n"
