"""Which model a command is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azureml.model import Model
    from pipeline.azureml.workspace import Workspace

MODEL_HELP = "NAME:VERSION: the model; of a NAME alone, the newest version"

F = TypeVar("F", bound=Callable[..., Any])


def model_options(function: F) -> F:
    """The model: as an argument, by --model-id, or by name and version."""
    options = (
        click.argument("model", metavar="[NAME:VERSION]", required=False),
        click.option("-i", "--model-id", "id_", metavar="NAME:VERSION", help="The same."),
        click.option("-n", "--model-name", "name", metavar="NAME", help="The newest version of this one."),
        click.option("--version", metavar="N", type=click.IntRange(1), help="This version of it."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def model_of(workspace: Workspace, model: str | None, id_: str | None, name: str | None, version: int | None) -> Model:
    """The model that is meant. UsageError for none, or for several."""
    from pipeline.azureml.model import Model

    given = [text for text in (model, id_, name) if text]
    if len(given) != 1:
        raise UsageError(f"{len(given) or 'no'} models are named", remedy="name one, as in mymodel:1")
    return Model(workspace, id=given[0]) if version is None else Model(workspace, given[0], version=version)
