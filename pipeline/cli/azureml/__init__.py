"""`pipeline azureml`: what `az ml` did before its version 2, on this machine or on a cluster."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline azureml model register -n mymodel -p model.pkl
pipeline azureml deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --dc deploymentconfig.json
pipeline azureml service run -n myservice -d '{"data": [[1, 2]]}'
"""


@click.group(
    "azureml",
    cls=Commands,
    package=__name__,
    names=("deploy", "model", "service", "environment", "computetarget"),
    examples=EXAMPLES,
)
def command() -> None:
    """Models and services, with the files and flags of Azure ML.

    Everything is kept in a workspace, a folder of the project: .pipeline/azureml/NAME.
    """
