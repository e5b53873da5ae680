"""`--compare-default`: serves the same on the default base image, and tells whether the image is what differs."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli._shell import Shell
from pipeline.cli.azureml.service.run import read_data
from pipeline.errors import AssembleError, CheckError, PipelineError, RolloutError
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.azureml.deploying import Wanted
    from pipeline.azureml.inference import InferenceConfig
    from pipeline.azureml.webservice import Webservice
    from pipeline.azureml.workspace import Workspace


_DOES_NOT_SERVE = (AssembleError, CheckError, RolloutError)
"""What is the image's own fault: it lacks something, or what it starts does not serve."""


@noun
class Tried:
    """What came of a deployment on a base: the error that it ended with, or its answer to the request."""

    base: str
    error: str = ""
    answer: Any = None

    def __str__(self) -> str:
        return f"fails: {self.error.splitlines()[0]}" if self.error else f"serves: {json.dumps(self.answer)}"


def compare(shell: Shell, workspace: Workspace, wanted: Wanted, against: str, data: str | None) -> int:
    """Deploys NAME-own and NAME-default on free ports of this machine, calls both, and ends both; the exit code.

    Raises what keeps an image from being had at all.
    """
    from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE

    assert wanted.inference is not None
    body = read_data(data) if data is not None else None
    own = _base_of(wanted.inference)
    default = DEFAULT_CPU_IMAGE if against == "default" else against
    shell.error_line(f"on {own}:")
    first = _try(shell, workspace, _named(wanted, "own", wanted.inference), own, body)
    shell.error_line(f"on {default}:")
    second = _try(shell, workspace, _named(wanted, "default", _on(wanted.inference, default)), default, body)
    _told(shell, first, second)
    return PipelineError.exit_code if first.error else 0


def _named(wanted: Wanted, suffix: str, inference: InferenceConfig) -> Wanted:
    from pipeline.azureml.deployment import LocalWebserviceDeploymentConfiguration

    # A service's name has at most 32 characters.
    name = f"{wanted.name[: 31 - len(suffix)].rstrip('-')}-{suffix}"
    return replace(wanted, name=name, inference=inference, deployment=LocalWebserviceDeploymentConfiguration())


def _base_of(inference: InferenceConfig) -> str:
    from pipeline.azureml.defaults import DEFAULT_CPU_IMAGE

    docker = inference.environment.docker if inference.environment else None
    if docker is None:
        return DEFAULT_CPU_IMAGE
    return docker.base_image or ("the Dockerfile" if docker.base_dockerfile else DEFAULT_CPU_IMAGE)


def _on(inference: InferenceConfig, base: str) -> InferenceConfig:
    """The same on another base, which is public."""
    from pipeline.azureml.environment import ContainerRegistry, Environment

    made = copy.copy(inference)
    made.environment = copy.deepcopy(inference.environment) or Environment("default", _skip_defaults=True)
    made.environment.docker.base_image = base
    made.environment.docker.base_image_registry = ContainerRegistry()
    return made


def _try(shell: Shell, workspace: Workspace, wanted: Wanted, base: str, body: bytes | None) -> Tried:
    from pipeline.azureml.deploying import carry_out
    from pipeline.azureml.performing import perform_manifest
    from pipeline.azureml.webservice import Webservice
    from pipeline.cli._work import show_for

    def perform(manifest: Path, environ: Mapping[str, str]) -> None:
        show = show_for(shell)
        try:
            perform_manifest(manifest, environ, show)
        finally:
            show.close()

    try:
        with _ended(workspace, wanted.name):
            carry_out(workspace, wanted, perform, say=shell.error_line)
            service = Webservice(workspace, wanted.name)
            return Tried(base, answer=_answer(service, body))
    except _DOES_NOT_SERVE as error:
        return Tried(base, error=str(error))


def _answer(service: Webservice, body: bytes | None) -> Any:
    from pipeline.azureml.exceptions import WebserviceException

    try:
        return "healthy" if body is None else service.run(body)
    except WebserviceException as error:
        raise _told_as(error, service.get_logs(25)) from error


def _told_as(error: PipelineError, log: str) -> RolloutError:
    """A request that was not answered well, with the end of the service's output."""
    made = RolloutError(error.message, remedy=error.remedy)
    made.log = (*error.log, *log.splitlines())
    return made


@contextmanager
def _ended(workspace: Workspace, name: str) -> Iterator[None]:
    """Ends the service afterwards, whatever came of it."""
    from pipeline.azureml.webservice import Webservice

    try:
        yield
    finally:
        if workspace.contents.services.find(name):
            Webservice(workspace, name).delete()


def _told(shell: Shell, own: Tried, default: Tried) -> None:
    verdict = _verdict(own, default)
    if shell.json:
        both = {"own": own, "default": default}
        facts = {name: {"base": one.base, "error": one.error, "answer": one.answer} for name, one in both.items()}
        shell.value({**facts, "verdict": verdict})
        return
    for one in (own, default):
        shell.line(f"{one.base} {one}")
    shell.line(verdict)


def _verdict(own: Tried, default: Tried) -> str:
    if own.error and not default.error:
        return "it is your image: the same serves on the default one"
    if default.error and not own.error:
        return "your image serves, the default one does not: it lacks what yours has"
    if own.error:
        return "it is not your image alone: neither serves; look at the entry script, the model and the packages"
    if own.answer != default.answer:
        return "both serve, and answer differently: it is what the images hold"
    return "both serve and answer the same: it is not your image"
