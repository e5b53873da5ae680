"""`pipeline azureml environment`: the environments of a workspace."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline azureml environment register -d myenv/
pipeline azureml environment list
pipeline azureml environment show -n myenv
"""


@click.group("environment", cls=Commands, package=__name__, names=("register", "list", "show"), examples=EXAMPLES)
def command() -> None:
    """Register and find environments."""
