"""`pipeline azureml environment list`: the environments of a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import show_rows, workspace_of, workspace_options

EXAMPLES = "pipeline azureml environment list"
COLUMNS = {"ENVIRONMENT": "name", "VERSION": "version", "BASE": "base"}


@command_(examples=EXAMPLES)
@workspace_options
@click.pass_obj
def command(shell: Shell, workspace: str | None, folder: Path | None) -> None:
    """List environments: the newest version of each."""
    found = workspace_of(shell, workspace, folder).environments
    rows = [
        {"name": name, "version": each.version, "base": each.docker.base_image or "a Dockerfile"}
        for name, each in found.items()
    ]
    show_rows(shell, rows, COLUMNS, "no environments: 'pipeline azureml environment register' keeps one")
