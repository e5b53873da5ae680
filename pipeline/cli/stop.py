"""`pipeline stop`: ends a service."""

from __future__ import annotations

from collections.abc import Mapping

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import SERVICE_HELP, one
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline stop prod-here
pipeline stop manifests/prod.yaml here
pipeline run manifests/prod.yaml          starts it again
"""


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@click.argument("service", metavar="SERVICE | MANIFEST [TARGET]", nargs=-1)
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, service: tuple[str, ...], sets: Mapping[str, str]) -> None:
    """Stop a service.

    It may finish what it does, then it ends. Stopping what does not run is no error.
    """
    found = one(shell, service, sets)
    before = found.target.observe()
    after = found.target.stop()
    stopped = before.state in ("running", "starting")
    if shell.json:
        shell.value({"service": found.name, "stopped": stopped, "state": after.state})
    else:
        shell.line(f"{found.name} is stopped" if stopped else f"{found.name} was not running ({before.state})")
