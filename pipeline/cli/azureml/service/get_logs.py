"""`pipeline azureml service get-logs`: what a service has written."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_options
from pipeline.cli.azureml.service._common import SERVICE_HELP, service_of, service_options

EXAMPLES = "pipeline azureml service get-logs -n myservice --lines 100"


@command_(name="get-logs", arguments=SERVICE_HELP, examples=EXAMPLES)
@service_options
@click.option("--lines", metavar="N", type=click.IntRange(1), default=5000, help="The last N lines; 5000.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell, service: str | None, name: str | None, lines: int, workspace: str | None, folder: Path | None
) -> None:
    """Print what a service has written.

    Of one that did not come up, the end of it.
    """
    found = service_of(shell, service, name, workspace, folder)
    for text in found.get_logs(lines).splitlines():
        shell.line(json.dumps({"line": text}, ensure_ascii=shell.ascii_only) if shell.json else text)
