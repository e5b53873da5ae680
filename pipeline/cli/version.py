"""`pipeline version`: which release this is, and what it runs on."""

from __future__ import annotations

import os
import platform

import click

from pipeline import __version__
from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell


@command_(examples="pipeline version --output json")
@output_option
@click.pass_obj
def command(shell: Shell) -> None:
    """Show the version of pipeline.

    And of the Python and the system that it runs on.
    """
    system = os.uname()
    if shell.json:
        facts = {"version": __version__, "python": platform.python_version(), "system": system.sysname,
                 "release": system.release, "machine": system.machine}  # fmt: skip
        shell.value(facts)
    else:
        shell.line(f"pipeline {__version__} (Python {platform.python_version()}, {system.sysname} {system.machine})")
