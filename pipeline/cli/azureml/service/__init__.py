"""`pipeline azureml service`: the services of a workspace."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline azureml service list
pipeline azureml service run -n myservice -d '{"data": [[1, 2]]}'
pipeline azureml service get-logs -n myservice
"""


@click.group(
    "service",
    cls=Commands,
    package=__name__,
    names=("list", "show", "run", "get-logs", "update", "delete"),
    examples=EXAMPLES,
)
def command() -> None:
    """Show, call, change and end services."""
