"""`pipeline doctor`: what this machine can do, and what to install for more."""

from __future__ import annotations

from dataclasses import asdict

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline doctor
pipeline doctor --output json
"""


@command_(examples=EXAMPLES)
@output_option
@click.pass_obj
def command(shell: Shell) -> None:
    """Say what this machine can do.

    Whether services run without a container engine, which engine answers, which archives can be verified, and what to
    install for more. Looks only, and changes nothing.
    """
    from pipeline.reporters.lines import table
    from pipeline.stages.doctor import findings

    found = list(findings(shell.environ, shell.home))
    if shell.json:
        shell.value([asdict(each) for each in found])
        return
    for each, row in zip(found, table([(each.state, each.what, each.fact) for each in found]), strict=True):
        shell.line(row)
        if each.remedy:
            shell.line(f"{'':9}{each.remedy}")
