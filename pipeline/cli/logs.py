"""`pipeline logs`: what a service has written."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import SERVICE_HELP, one
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline logs prod-here                     the whole log
pipeline logs manifests/prod.yaml here -f   and what comes, until Ctrl-C or the service's end
pipeline logs prod-here -n 20               the last 20 lines
"""


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@click.argument("service", metavar="SERVICE | MANIFEST [TARGET]", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("-n", "--lines", metavar="N", type=click.IntRange(min=0), help="Only the last N lines.")
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, service: tuple[str, ...], follow: bool, lines: int | None, sets: Mapping[str, str]) -> None:
    """Print what a service has written.

    The oldest line comes first. As JSON, each line is an object {"line": ...}.
    """
    for text in one(shell, service, sets).target.logs(follow=follow, lines=lines):
        if shell.json:
            shell.line(json.dumps({"line": shell.masks.text(text)}, ensure_ascii=shell.ascii_only))
        else:
            shell.line(text)
