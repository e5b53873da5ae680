"""`pipeline azureml model show`: what is known of a model."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import show, workspace_of, workspace_options
from pipeline.cli.azureml.model._common import MODEL_HELP, model_of, model_options

EXAMPLES = "pipeline azureml model show mymodel:1"


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
    """Show a model, and the files that it is."""
    found = model_of(workspace_of(shell, workspace, folder), model, id_, name, version)
    facts = found.serialize()
    if shell.json:
        shell.value(facts)
        return
    files = facts.pop("files")
    show(shell, facts)
    for file in files:
        shell.line(f"file  {file['path']}  {file['size']} B  sha256:{file['sha256']}")
