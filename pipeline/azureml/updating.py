"""A service as it was deployed, to be deployed again with what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.azureml._services import Record
from pipeline.azureml.deploying import Wanted
from pipeline.azureml.deployment import DeploymentConfig, read_deployment
from pipeline.azureml.exceptions import UserErrorException, WebserviceException
from pipeline.azureml.inference import Find, InferenceConfig, read_inference
from pipeline.azureml.secret_text import is_reference
from pipeline.azureml.writing import DEPLOYMENT, INFERENCE
from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.azureml.environment import Environment
    from pipeline.azureml.model import Model
    from pipeline.azureml.workspace import Workspace


def updated(
    workspace: Workspace,
    record: Record,
    models: Sequence[Model | str] | None,
    inference: InferenceConfig | None,
    deployment: DeploymentConfig | None,
    settings: Mapping[str, Any],
) -> Wanted:
    """A service as it was deployed, with what is given in place of what was."""
    folder = workspace.contents.services.place(record.name)
    find = _find(workspace)
    if inference is None:
        inference = read_inference(folder / INFERENCE, find)
        if inference.environment is not None:
            _remember_secrets(inference.environment, record.configured, find)
    before = read_deployment(folder / DEPLOYMENT)
    wanted = deployment or before
    if wanted.COMPUTE_TYPE != before.COMPUTE_TYPE:
        remedy = "delete it, and deploy it there"
        raise WebserviceException(f"{record.name} is a {record.compute_type} service and stays one", remedy=remedy)
    for name, value in settings.items():
        if name not in {each.attribute for each in wanted.SETTINGS}:
            raise UserErrorException(f"a {record.compute_type} service has no setting {name}")
        if value is not None:
            setattr(wanted, name, value)
    wanted.validate_configuration()
    return Wanted(
        record.name, record.models if models is None else models, inference, wanted, None, True, record.configured
    )


def _remember_secrets(environment: Environment, configured: str, find: Find) -> None:
    """Takes the secrets of an environment from the file that it was deployed from, while that has them."""
    try:
        before = read_inference(configured, find).environment if configured else None
    except PipelineError:
        # It is not needed for anything else; what is missing then is said when the manifest is read.
        return
    if before is None:
        return
    ours, theirs = environment.docker.base_image_registry, before.docker.base_image_registry
    if ours and theirs and ours.to_json() == theirs.to_json():
        ours.password = theirs.password
    given = before.environment_variables or {}
    kept = environment.environment_variables or {}
    environment.environment_variables = {
        name: given.get(name, value) if is_reference(str(value)) else value for name, value in kept.items()
    }


def _find(workspace: Workspace) -> Find:
    from pipeline.azureml.environment import Environment

    return lambda name, version: Environment.get(workspace, name, version or None)
