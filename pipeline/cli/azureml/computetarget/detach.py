"""`pipeline azureml computetarget detach`: forgets a cluster's name."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of, workspace_options

EXAMPLES = "pipeline azureml computetarget detach -n myaks"


@command_(examples=EXAMPLES)
@click.option("-n", "--name", metavar="NAME", required=True, help="The cluster's name here.")
@workspace_options
@click.pass_obj
def command(shell: Shell, name: str, workspace: str | None, folder: Path | None) -> None:
    """Detach a cluster. It stays as it is."""
    from pipeline.azureml.compute import ComputeTarget

    ComputeTarget(workspace_of(shell, workspace, folder), name).detach()
    if shell.json:
        shell.value({"name": name, "detached": True})
    else:
        shell.line(f"{name} is detached")
