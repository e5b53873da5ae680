"""`pipeline azureml model delete`: forgets a version of a model."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of, workspace_options
from pipeline.cli.azureml.model._common import MODEL_HELP, model_of, model_options

EXAMPLES = "pipeline azureml model delete mymodel:1"


@command_(arguments=MODEL_HELP, examples=EXAMPLES)
@model_options
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    model: str | None,
    id_: str | None,
    name: str | None,
    version: int | None,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """Delete a version of a model.

    Its number is never given again. A model that a service has cannot be deleted.
    """
    found = model_of(workspace_of(shell, workspace, folder), model, id_, name, version)
    found.delete()
    if shell.json:
        shell.value({"model": found.id, "deleted": True})
    else:
        shell.line(f"{found.id} is deleted")
