"""`pipeline import`: a manifest from the files of another tool."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline import azureml --ic inferenceconfig.json --dc deploymentconfig.json -m mymodel:1=model.pkl
"""


@click.group("import", cls=Commands, package=__name__, names=("azureml",), examples=EXAMPLES)
def command() -> None:
    """Write a manifest from the files of another tool."""
