"""`pipeline azureml model`: the models of a workspace."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline azureml model register -n mymodel -p model.pkl --tag area=diabetes
pipeline azureml model list
pipeline azureml model download -i mymodel:1 -t models/
"""


@click.group(
    "model",
    cls=Commands,
    package=__name__,
    names=("register", "list", "show", "download", "update", "delete"),
    examples=EXAMPLES,
)
def command() -> None:
    """Register and find models.

    Versions never change.
    """
