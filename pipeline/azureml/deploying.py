"""Deploys models as a service: checks what is asked for, writes it and its files down as a manifest, and runs it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azureml import performing, snapshot
from pipeline.azureml._names import check_service, parse_model_id
from pipeline.azureml._services import MANIFEST, Failure, Record, Services, now, own_process
from pipeline.azureml.compute import ComputeTarget
from pipeline.azureml.deployment import (
    AksServiceDeploymentConfiguration,
    DeploymentConfig,
    LocalWebserviceDeploymentConfiguration,
    read_deployment,
)
from pipeline.azureml.exceptions import ModelNotFoundException, WebserviceException, told_as
from pipeline.azureml.inference import InferenceConfig
from pipeline.azureml.model import Model, register
from pipeline.azureml.performing import said
from pipeline.azureml.writing import DEPLOYMENT, write
from pipeline.errors import CheckError, PipelineError, RolloutError
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.azureml.webservice import Webservice
    from pipeline.azureml.workspace import Workspace

_TYPES = {"local": "Local", "aci": "ACI", "aks": "AKS"}


@noun
class Wanted:
    """What is to be deployed. Models are models, ids, or paths, which are registered first; `configured` is the file
    that the inference configuration is from, if any.
    """

    name: str
    models: Sequence[Model | str] = ()
    inference: InferenceConfig | None = None
    deployment: DeploymentConfig | None = None
    target: ComputeTarget | None = None
    overwrite: bool = False
    configured: str = ""


def deploy(
    workspace: Workspace, wanted: Wanted, *, labels: Mapping[str, Any] | None = None, show_output: bool = False
) -> Webservice:
    """Builds and starts a service; one that does not come up is returned as failed, and keeps why.

    `labels` are tags, properties and description. Raises WebserviceException for what cannot be asked for, and for an
    image that cannot be made.
    """
    from pipeline.azureml.webservice import Webservice

    try:
        carry_out(workspace, wanted, performing.perform_aloud, labels=labels, tell=show_output)
    except (CheckError, RolloutError):
        # The image is made and does not serve: whoever waits for the service hears of it.
        pass
    except PipelineError as error:
        raise told_as(WebserviceException, error) from error
    return Webservice(workspace, wanted.name)


def carry_out(
    workspace: Workspace,
    wanted: Wanted,
    perform: performing.Perform,
    *,
    labels: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = said,
    tell: bool = False,
) -> None:
    """As `deploy`, with a run of one's own; raises whatever that raises. `say` is told what the user should know, and
    with `tell` what is deployed.
    """
    inference, deployment = checked(workspace, wanted)
    models = resolved(workspace, wanted.models)
    for line in _summary(models, inference, deployment) if tell else ():
        say(line)
    with workspace.contents.services.guard(wanted.name):
        record = _record(workspace, wanted, deployment, models, labels)
        part = write(workspace, record, inference, deployment, models, say)
        performed(workspace, record, perform)
        workspace.contents.services.tidy(wanted.name, part)


def checked(workspace: Workspace, wanted: Wanted) -> tuple[InferenceConfig, DeploymentConfig]:
    """The configurations, once all is known to be right. Raises WebserviceException for what is not."""
    check_service(wanted.name)
    if wanted.inference is None:
        remedy = "give an InferenceConfig, with an entry script and an environment"
        raise WebserviceException("there is no code to serve the models with", remedy=remedy)
    if not isinstance(wanted.inference, InferenceConfig):
        raise WebserviceException(f"{type(wanted.inference).__name__} is no InferenceConfig")
    wanted.inference.validate_configuration()
    deployment = copy.copy(wanted.deployment) if wanted.deployment is not None else _default(wanted)
    if not isinstance(deployment, DeploymentConfig):
        remedy = "as LocalWebservice.deploy_configuration(port=8890) makes one"
        raise WebserviceException(f"{type(deployment).__name__} is no deployment configuration", remedy=remedy)
    deployment.validate_configuration()
    if wanted.target is not None:
        if not isinstance(deployment, AksServiceDeploymentConfiguration):
            remedy = "take AksWebservice.deploy_configuration(), or leave the target out"
            raise WebserviceException(f"a {deployment.COMPUTE_TYPE} service has no compute target", remedy=remedy)
        deployment.compute_target_name = wanted.target.name
    elif name := getattr(deployment, "compute_target_name", None):
        # Whoever mistypes a name is to hear of it before of anything that follows from it.
        ComputeTarget(workspace, name)
    _check_taken(workspace.contents.services, wanted, deployment)
    return wanted.inference, deployment


def _default(wanted: Wanted) -> DeploymentConfig:
    if wanted.target is not None:
        return AksServiceDeploymentConfiguration()
    return LocalWebserviceDeploymentConfiguration()


def _check_taken(services: Services, wanted: Wanted, deployment: DeploymentConfig) -> None:
    """A local service is replaced by the next of its name, as in the SDK; one elsewhere only where that is said."""
    found = services.find(wanted.name)
    if found is None or wanted.overwrite or not (found.came_up or found.is_deploying):
        return
    kind = _TYPES[deployment.COMPUTE_TYPE]
    if found.compute_type != "Local" or kind != "Local":
        remedy = "choose another name, say overwrite=True, or delete it first"
        raise WebserviceException(
            f"there is a service {wanted.name} already, a {found.compute_type} one", remedy=remedy
        )


def resolved(workspace: Workspace, models: Sequence[Model | str]) -> list[Model]:
    """Models by their ids; files and folders are registered. Raises WebserviceException for what is neither."""
    found = []
    for model in [models] if isinstance(models, str | Model) else models:
        if isinstance(model, Model):
            found.append(model)
        elif not isinstance(model, str):
            raise WebserviceException(f"a model is a Model or its id, not {type(model).__name__}")
        elif Path(model).exists():
            found.append(_registered(workspace, model))
        else:
            found.append(_known(workspace, model))
    names = [model.name for model in found]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise WebserviceException(f"model {twice} is given twice", remedy="a service has one version of each model")
    return found


def _known(workspace: Workspace, text: str) -> Model:
    try:
        parse_model_id(text)
    except WebserviceException as error:
        message = f"{text!r} is neither a model's id nor a file or folder"
        raise ModelNotFoundException(f"ModelNotFound: {message}", remedy=error.remedy) from error
    return Model(workspace, id=text)


def _registered(workspace: Workspace, path: str) -> Model:
    """The file's or folder's newest version where it is equal to it, else a new one."""
    name = Path(path).resolve().name[:30]
    models = workspace.contents.models
    before = models.find(name)
    made = register(workspace, path, name)
    if before and before.content == made._stored.content:
        made.delete()
        return Model(workspace, name, version=before.version)
    return made


def _record(
    workspace: Workspace,
    wanted: Wanted,
    deployment: DeploymentConfig,
    models: Sequence[Model],
    labels: Mapping[str, Any] | None,
) -> Record:
    """What is to be known of the service from now on; the port is chosen where none is asked for."""
    before = workspace.contents.services.find(wanted.name)
    if isinstance(deployment, LocalWebserviceDeploymentConfiguration) and not deployment.port:
        deployment.port = _port_of(workspace, before) or snapshot.free_port()
    given = {key: getattr(deployment, key, None) for key in ("tags", "properties", "description")} | dict(labels or {})
    record = before or Record(wanted.name, "", created=now())
    return replace(
        record,
        compute_type=_TYPES[deployment.COMPUTE_TYPE],
        models=[model.id for model in models],
        updated=now(),
        configured=wanted.configured,
        process=own_process(),
        failure=None,
        **{key: value for key, value in given.items() if value},
    )


def _port_of(workspace: Workspace, record: Record | None) -> int | None:
    """The port that a local service has now, so that it stays where its callers look for it."""
    if record is None or record.compute_type != "Local":
        return None
    path = workspace.contents.services.place(record.name) / DEPLOYMENT
    port = getattr(read_deployment(path), "port", None) if path.is_file() else None
    return int(port) if port else None


def performed(workspace: Workspace, record: Record, perform: performing.Perform) -> None:
    """Runs the manifest; what came of it is kept, however it ends."""
    services = workspace.contents.services
    failure: Failure | None = Failure("the deployment was interrupted", "deploy it again")
    try:
        perform(services.place(record.name) / MANIFEST, {**workspace.environ, **workspace.secrets})
        failure = None
    except PipelineError as error:
        failure = Failure.of(error)
        raise
    finally:
        now_known = services.find(record.name) or record
        came_up = record.came_up or (failure is None and now_known.process == record.process)
        process = "" if now_known.process == record.process else now_known.process
        services.keep(replace(record, process=process, updated=now(), failure=failure, came_up=came_up))


def _summary(models: Sequence[Model], inference: InferenceConfig, deployment: DeploymentConfig) -> Iterator[str]:
    """What is deployed, a line for each thing."""
    yield f"Models: {', '.join(model.id for model in models) or 'none'}"
    yield f"Entry script: {inference.script}"
    if environment := inference.environment:
        yield f"Environment: {environment.name}, base image: {environment.docker.base_image or 'of its own'}"
    yield f"Target: {deployment.COMPUTE_TYPE}"
