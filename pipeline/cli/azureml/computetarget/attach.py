"""`pipeline azureml computetarget attach`: gives a cluster a name."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of

EXAMPLES = """
pipeline azureml computetarget attach -n myaks --resource-group rg --cluster-name aks1
pipeline azureml computetarget attach -n myaks -i /subscriptions/…/managedClusters/aks1
pipeline azureml computetarget attach -n here --context kind-dev      any cluster of a kubeconfig
"""


@command_(examples=EXAMPLES)
@click.option("-n", "--name", metavar="NAME", required=True, help="What --ct calls it.")
@click.option("-i", "--compute-resource-id", "resource_id", metavar="ID", help="The cluster's resource id.")
@click.option("-g", "--resource-group", "group", metavar="NAME", help="Its resource group.")
@click.option("--cluster-name", "cluster", metavar="NAME", help="Its name.")
@click.option("--subscription-id", "subscription", metavar="ID", help="Its subscription.")
@click.option("--context", metavar="NAME", help="Its context in a kubeconfig.")
@click.option("-w", "--workspace-name", "workspace", metavar="NAME", help="Default: the project's only one.")
@click.option(
    "--path", "folder", metavar="DIR", type=click.Path(path_type=Path), help="The project's folder; default: here."
)
@output_option
@click.pass_obj
def command(
    shell: Shell,
    name: str,
    resource_id: str | None,
    group: str | None,
    cluster: str | None,
    subscription: str | None,
    context: str | None,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """Attach a cluster. Nothing is asked of it."""
    from pipeline.azureml.compute import AksAttachConfiguration, ComputeTarget

    wanted = AksAttachConfiguration(group, cluster, resource_id, context=context, subscription_id=subscription)
    made = ComputeTarget.attach(workspace_of(shell, workspace, folder, make=True), name, wanted)
    if shell.json:
        shell.value({"name": made.name, **made.cluster})
    else:
        shell.line(f"attached {made.name}")
