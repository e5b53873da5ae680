"""`pipeline store`: looks after the store itself."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline store verify
pipeline store verify --dry-run
"""


@click.group("store", cls=Commands, package=__name__, names=("verify",), examples=EXAMPLES)
def command() -> None:
    """Find out whether all of the store is whole.

    'pipeline gc' removes what is not needed.
    """
