"""`pipeline export`: what others need to do, or to know, what a manifest says."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline export azureml manifests/prod.yaml --v2
pipeline export azure-pipelines manifests/prod.yaml -o azure-pipelines.yml
pipeline export acr-task manifests/prod.yaml --schedule '0 3 * * *' -o tasks.json
pipeline export github-actions manifests/prod.yaml --schedule '0 3 * * 1'
pipeline export systemd manifests/prod.yaml --schedule '30 2 * * *'
"""


@click.group(
    "export",
    cls=Commands,
    package=__name__,
    names=("azureml", "acr-task", "azure-pipelines", "github-actions", "gitlab-ci", "cron", "systemd"),
    examples=EXAMPLES,
)
def command() -> None:
    """Write a manifest as jobs or files of other programs.

    Nothing of it holds a secret: variables are named, for the scheduler to give.
    """
