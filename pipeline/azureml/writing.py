"""Writes a service down: its code and models, its configurations, and the manifest that makes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azureml import snapshot
from pipeline.azureml._services import MANIFEST, Record
from pipeline.azureml.deployment import DeploymentConfig
from pipeline.azureml.inference import InferenceConfig
from pipeline.azureml.registering import without_secrets
from pipeline.manifest.secrets import reveal

if TYPE_CHECKING:
    from pipeline.azureml.model import Model
    from pipeline.azureml.workspace import Workspace

INFERENCE, DEPLOYMENT = "inferenceconfig.json", "deploymentconfig.json"


def write(
    workspace: Workspace,
    record: Record,
    inference: InferenceConfig,
    deployment: DeploymentConfig,
    models: Sequence[Model],
    say: Callable[[str], None],
) -> Path:
    """Puts code, models, configurations and at last the manifest into the service's folder; the folder of its files."""
    from pipeline.azureml.importing import imported

    services = workspace.contents.services
    part = snapshot.taken(workspace, record.name, inference, models)
    folder = services.place(record.name)
    inside = snapshot.inside(inference, part)
    made = imported(inside, deployment, snapshot.files_of(part, models), name=record.name, folder=folder, file=MANIFEST)
    workspace.secrets |= {name: reveal(text) for name, text in made.secrets.items()}
    services.write(record.name, INFERENCE, json.dumps(kept(inference), indent=4) + "\n")
    services.write(record.name, DEPLOYMENT, json.dumps(deployment.to_json(), indent=4) + "\n")
    services.keep(record)
    for name, text in made.files.items():
        services.write(record.name, name, text)
    services.write(record.name, MANIFEST, made.text)
    for note in made.notes:
        say(f"note: {note}")
    return part


def kept(inference: InferenceConfig) -> dict[str, Any]:
    """The configuration with paths that hold wherever it is read from, and without secrets."""
    found = inference.to_json()
    if inference.environment is not None:
        found["environment"] = without_secrets(found["environment"])
    if inference.source_directory:
        return {**found, "sourceDirectory": str(Path(inference.source_directory).absolute())}
    return {**found, "entryScript": str(Path(inference.entry_script).absolute())}
