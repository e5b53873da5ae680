"""`pipeline azureml model download`: a model's files."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of, workspace_options
from pipeline.cli.azureml.model._common import MODEL_HELP, model_of, model_options

EXAMPLES = "pipeline azureml model download mymodel:1 -t models/"


@command_(arguments=MODEL_HELP, examples=EXAMPLES)
@model_options
@click.option("-t", "--target-dir", "target", metavar="DIR", default=".", help="Where to; default: here.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    model: str | None,
    id_: str | None,
    name: str | None,
    version: int | None,
    target: str,
    overwrite: bool,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """Copy a model's files."""
    found = model_of(workspace_of(shell, workspace, folder), model, id_, name, version)
    path = found.download(target, exist_ok=overwrite)
    if shell.json:
        shell.value({"model": found.id, "path": path})
    else:
        shell.line(f"{found.id} is in {path}")
