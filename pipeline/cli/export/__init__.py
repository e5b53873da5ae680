"""`pipeline export`: what other tools need of a manifest."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline export azureml manifests/prod.yaml --v2 -o azureml/
"""


@click.group("export", cls=Commands, package=__name__, names=(), examples=EXAMPLES)
def command() -> None:
    """Write files for other tools from a manifest."""
