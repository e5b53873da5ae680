"""`pipeline azureml service run`: calls a service."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_options
from pipeline.cli.azureml.service._common import SERVICE_HELP, service_of, service_options
from pipeline.errors import UsageError

EXAMPLES = """
pipeline azureml service run -n myservice -d '{"data": [[1, 2]]}'
pipeline azureml service run myservice -d @request.json
"""


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@service_options
@click.option("-d", "--input-data", "data", metavar="TEXT|@FILE", required=True, help="What to send, as it is.")
@workspace_options
@click.pass_obj
def command(
    shell: Shell, service: str | None, name: str | None, data: str, workspace: str | None, folder: Path | None
) -> None:
    """Send data to a service and print its answer."""
    found = service_of(shell, service, name, workspace, folder)
    answer = found.run(read_data(data))
    if shell.json:
        shell.value(answer)
    else:
        shell.line(json.dumps(answer, ensure_ascii=shell.ascii_only))


def read_data(text: str) -> bytes:
    """The data themselves; with @, those of a file."""
    if not text.startswith("@"):
        return text.encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"{text[1:]}: {error.strerror}", remedy="name a file that is there") from error
