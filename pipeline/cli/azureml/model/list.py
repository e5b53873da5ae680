"""`pipeline azureml model list`: the models of a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import filters, show_rows, workspace_of, workspace_options

EXAMPLES = """
pipeline azureml model list
pipeline azureml model list -n mymodel --tag area=diabetes
"""
COLUMNS = {"MODEL": "id", "CREATED": "createdTime", "FRAMEWORK": "framework", "TAGS": "tags", "": "description"}


@command_(examples=EXAMPLES)
@click.option("-n", "--model-name", "name", metavar="NAME", help="The versions of this one.")
@click.option("-l", "--latest", is_flag=True, help="The newest version of each.")
@click.option("--tag", "tags", metavar="KEY[=VALUE]", multiple=True, help="With this tag. Repeatable.")
@click.option("--property", "properties", metavar="KEY[=VALUE]", multiple=True, help="With this property. Repeatable.")
@click.option("--framework", metavar="NAME", help="Of this framework.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    name: str | None,
    latest: bool,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    framework: str | None,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """List models, the newest first."""
    from pipeline.azureml.model import Model

    where = workspace_of(shell, workspace, folder)
    found = Model.list(where, name, filters(tags), filters(properties), latest=latest, model_framework=framework)
    rows = [{**model.serialize(), "createdTime": f"{model.created_time:%Y-%m-%d %H:%M:%S}"} for model in found]
    nothing = "no models: 'pipeline azureml model register' makes one"
    show_rows(shell, [model.serialize() for model in found] if shell.json else rows, COLUMNS, nothing)
