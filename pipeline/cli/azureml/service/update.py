"""`pipeline azureml service update`: deploys a service again with what is given, all else as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import verbose_option
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import pairs, workspace_of, workspace_options
from pipeline.cli.azureml._flags import FLAGS, deployment_flags
from pipeline.cli.azureml._inference import finder
from pipeline.cli.azureml.deploy import deploy
from pipeline.cli.azureml.service._common import SERVICE_HELP, service_of, service_options

EXAMPLES = """
pipeline azureml service update -n myservice -m mymodel:2
pipeline azureml service update -n myservice --ic inferenceconfig.json
pipeline azureml service update -n myservice        the entry script as it is now
"""


@command_(arguments=SERVICE_HELP, examples=EXAMPLES)
@service_options
@click.option("-m", "--model", "models", metavar="ID|PATH", multiple=True, help="In place of its models. Repeatable.")
@click.option("--ic", "--inference-config-file", "inference", metavar="FILE", help="In place of its configuration.")
@click.option("--dc", "--deploy-config-file", "deployment", metavar="FILE", help="The same, of where it runs.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="In place of its tags. Repeatable.")
@click.option("--property", "properties", metavar="KEY=VALUE", multiple=True, help="In place of its properties.")
@click.option("-d", "--description", metavar="TEXT", default="", help="What it is for.")
@click.option("--no-wait", is_flag=True, help="Go on in the background.")
@verbose_option
@deployment_flags
@workspace_options
@click.pass_obj
def command(shell: Shell, /, **given: Any) -> None:
    """Deploy a service again, with what is given in place of what was.

    Its code is taken anew from where it was deployed from.
    """
    from pipeline.azureml.deployment import read_deployment
    from pipeline.azureml.inference import read_inference
    from pipeline.azureml.updating import updated

    workspace = workspace_of(shell, given["workspace"], given["folder"])
    found = service_of(shell, given["service"], given["name"], given["workspace"], given["folder"])
    inference = read_inference(given["inference"], finder(workspace)) if given["inference"] else None
    deployment = read_deployment(given["deployment"]) if given["deployment"] else None
    settings = {flag.attribute: given[flag.attribute] for flag in FLAGS if given[flag.attribute] is not None}
    wanted = updated(workspace, found.record, list(given["models"]) or None, inference, deployment, settings)
    if given["inference"]:
        wanted = replace(wanted, configured=str(Path(given["inference"]).absolute()))
    labels = {"tags": pairs(given["tags"], "--tag"), "properties": pairs(given["properties"], "--property")}
    deploy(shell, workspace, wanted, {**labels, "description": given["description"]}, wait=not given["no_wait"])
