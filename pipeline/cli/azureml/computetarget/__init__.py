"""`pipeline azureml computetarget`: clusters by names of the workspace's own."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline azureml computetarget attach -n myaks --resource-group rg --cluster-name aks1
pipeline azureml computetarget list
"""


@click.group("computetarget", cls=Commands, package=__name__, names=("attach", "list", "detach"), examples=EXAMPLES)
def command() -> None:
    """Name clusters, for deploy --ct."""
