"""`pipeline azureml service show`: what is known of a service."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import show, workspace_options
from pipeline.cli.azureml.service._common import SERVICE_HELP, service_of, service_options

EXAMPLES = "pipeline azureml service show -n myservice"


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@service_options
@workspace_options
@click.pass_obj
def command(shell: Shell, service: str | None, name: str | None, workspace: str | None, folder: Path | None) -> None:
    """Show a service.

    Its state, its address, its models, and the manifest that it is deployed from.
    """
    found = service_of(shell, service, name, workspace, folder)
    facts = found.serialize()
    if facts["error"] and not shell.json:
        facts["error"] = facts["error"].splitlines()[0]
    show(shell, {**facts, "manifest": str(found.manifest)})
