"""`pipeline azureml computetarget list`: the clusters that have names."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import show_rows, workspace_of, workspace_options

EXAMPLES = "pipeline azureml computetarget list"
COLUMNS = {"NAME": "name", "CLUSTER": "cluster_name", "GROUP": "resource_group", "CONTEXT": "context"}


@command_(examples=EXAMPLES)
@workspace_options
@click.pass_obj
def command(shell: Shell, workspace: str | None, folder: Path | None) -> None:
    """List attached clusters."""
    found = workspace_of(shell, workspace, folder).compute_targets
    rows = [{"name": name, **target.cluster} for name, target in found.items()]
    show_rows(shell, rows, COLUMNS, "no compute targets: 'pipeline azureml computetarget attach' names one")
