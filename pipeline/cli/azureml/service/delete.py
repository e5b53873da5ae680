"""`pipeline azureml service delete`: ends a service and forgets it."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_options
from pipeline.cli.azureml.service._common import SERVICE_HELP, service_of, service_options

EXAMPLES = "pipeline azureml service delete -n myservice"


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@service_options
@workspace_options
@click.pass_obj
def command(shell: Shell, service: str | None, name: str | None, workspace: str | None, folder: Path | None) -> None:
    """End a service, and remove it from the workspace."""
    found = service_of(shell, service, name, workspace, folder)
    found.delete()
    if shell.json:
        shell.value({"service": found.name, "deleted": True})
    else:
        shell.line(f"{found.name} is deleted")
