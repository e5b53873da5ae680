"""`pipeline azureml service list`: the services of a workspace, and how they are."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import filters, show_rows, workspace_of, workspace_options

EXAMPLES = """
pipeline azureml service list
pipeline azureml service list --model-id mymodel:1
"""
COLUMNS = {"SERVICE": "name", "STATE": "state", "KIND": "computeType", "ADDRESS": "scoringUri", "MODELS": "modelIds"}


@command_(examples=EXAMPLES)
@click.option("--cp", "--compute-type", "kind", metavar="KIND", help="local, aci or aks.")
@click.option("-i", "--model-id", metavar="NAME:VERSION", help="Those that have this model.")
@click.option("--model-name", metavar="NAME", help="Those that have any version of this model.")
@click.option("--tag", "tags", metavar="KEY[=VALUE]", multiple=True, help="With this tag. Repeatable.")
@click.option("--property", "properties", metavar="KEY[=VALUE]", multiple=True, help="With this property. Repeatable.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    kind: str | None,
    model_id: str | None,
    model_name: str | None,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    workspace: str | None,
    folder: Path | None,
) -> None:
    """List services."""
    from pipeline.azureml.webservice import Webservice

    where = workspace_of(shell, workspace, folder)
    found = Webservice.list(where, kind, model_name, model_id, filters(tags), filters(properties))
    nothing = "no services: 'pipeline azureml deploy' makes one"
    show_rows(shell, [service.serialize() for service in found], COLUMNS, nothing)
