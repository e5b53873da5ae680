"""`pipeline azureml environment show`: an environment as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of, workspace_options

EXAMPLES = "pipeline azureml environment show -n myenv --version 2"


@command_(examples=EXAMPLES)
@click.option("-n", "--name", metavar="NAME", required=True, help="The environment's name.")
@click.option("--version", metavar="VERSION", help="Default: the newest.")
@workspace_options
@click.pass_obj
def command(shell: Shell, name: str, version: str | None, workspace: str | None, folder: Path | None) -> None:
    """Print an environment, as an inferenceconfig.json has it. Secrets are references in it."""
    from pipeline.azureml.environment import Environment

    shell.value(Environment.get(workspace_of(shell, workspace, folder), name, version).to_json())
