"""`pipeline azureml model update`: what is said of a model."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import pairs, show, workspace_of, workspace_options
from pipeline.cli.azureml.model._common import MODEL_HELP, model_of, model_options

EXAMPLES = "pipeline azureml model update mymodel:1 --add-tag stage=production --remove-tag stage2"


@command_(arguments=MODEL_HELP, examples=EXAMPLES)
@model_options
@click.option("--add-tag", "tags", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("--remove-tag", "gone", metavar="KEY", multiple=True, help="Repeatable.")
@click.option("--add-property", "properties", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("-d", "--description", metavar="TEXT", help="What it is.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    model: str | None,
    id_: str | None,
    name: str | None,
    version: int | None,
    tags: tuple[str, ...],
    gone: tuple[str, ...],
    properties: tuple[str, ...],
    description: str | None,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """Change a model's tags and description; its files never change."""
    found = model_of(workspace_of(shell, workspace, folder), model, id_, name, version)
    found.update_tags_properties(pairs(tags, "--add-tag"), gone, pairs(properties, "--add-property"))
    if description is not None:
        found.update(description=description)
    show(shell, found.serialize() if shell.json else {"model": found.id, "tags": found.tags, "": found.description})
