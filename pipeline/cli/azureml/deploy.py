"""`pipeline azureml deploy`: `az ml model deploy` with its flags, on this machine or on a cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import verbose_option
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import pairs, workspace_of, workspace_options
from pipeline.cli.azureml._flags import apply, deployment_flags
from pipeline.cli.azureml._inference import Said, inference_of
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azureml.deploying import Wanted
    from pipeline.azureml.deployment import DeploymentConfig
    from pipeline.azureml.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

EXAMPLES = """
pipeline azureml deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --dc deploymentconfig.json
pipeline azureml deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --dc aks.json --ct myakscomputetarget
pipeline azureml deploy -n myservice -m model.pkl --es score.py --cf environment.yml --port 8890
pipeline azureml deploy -n myservice -m mymodel:1 --ic inferenceconfig.json --compare-default
"""
NOTE = """
Every flag of 'az ml model deploy' that stands for a setting of deploymentconfig.json is taken, too: --cc, --gb, --ae,
--nr and so on. The manifest that it makes is in .pipeline/azureml/WORKSPACE/services/NAME.
"""


def _file(*names: str, help: str) -> Callable[[F], F]:
    return click.option(*names, metavar="FILE", type=click.Path(path_type=Path), help=help)


@command_(examples=EXAMPLES, epilog=NOTE)
@click.option("-n", "--name", metavar="NAME", required=True, help="The service's name.")
@click.option("-m", "--model", "models", metavar="ID|PATH", multiple=True, help="A model, as in mymodel:1. Repeatable.")
@_file("-f", "--model-metadata-file", "metadata", help="A file with a modelId, in place of -m.")
@_file("--ic", "--inference-config-file", "inference_config_file", help="inferenceconfig.json.")
@_file("--dc", "--deploy-config-file", "deploy_config_file", help="deploymentconfig.json.")
@click.option("--ct", "--compute-target", "target", metavar="NAME", help="The cluster, as it is attached.")
@click.option(
    "--cp",
    "--compute-type",
    "kind",
    type=click.Choice(["local", "aci", "aks"], case_sensitive=False),
    help="Without --dc.",
)
@click.option(
    "-e", "--environment-name", "environment_name", metavar="NAME", default="", help="A registered environment."
)
@click.option(
    "--ev",
    "--environment-version",
    "environment_version",
    metavar="VERSION",
    default="",
    help="Its version; default: the newest.",
)
@click.option(
    "--ed",
    "--environment-directory",
    "environment_directory",
    metavar="DIR",
    default="",
    help="An environment in a folder.",
)
@click.option(
    "--es", "--entry-script", "entry_script", metavar="FILE", default="", help="The script with init() and run()."
)
@click.option(
    "--sd",
    "--source-directory",
    "source_directory",
    metavar="DIR",
    default="",
    help="The folder that the script is in.",
)
@click.option("--cf", "--conda-file", "conda_file", metavar="FILE", default="", help="The environment's packages.")
@click.option("--bi", "--base-image", "base_image", metavar="IMAGE", default="", help="What the image starts from.")
@click.option(
    "--ir",
    "--base-image-registry",
    "base_image_registry",
    metavar="ADDRESS",
    default="",
    help="The registry that it is in.",
)
@click.option("--rt", "--runtime", "runtime", metavar="NAME", default="", hidden=True, help="Only python.")
@click.option("--eg", "--enable-gpu", "enable_gpu", type=bool, default=False, hidden=True, help="The GPU default base.")
@click.option("--overwrite", is_flag=True, help="Replace a service of this name that is not on this machine.")
@click.option("--no-wait", is_flag=True, help="Go on in the background.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("--property", "properties", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("-d", "--description", metavar="TEXT", default="", help="What it is for.")
@click.option(
    "--compare-default",
    "against",
    metavar="[IMAGE]",
    is_flag=False,
    flag_value="default",
    help="Serve the same on the SDK's default base image, too, and say whether your image is what differs.",
)
@click.option("--data", metavar="JSON|@FILE", help="The request to compare with.")
@verbose_option
@deployment_flags
@workspace_options
@click.pass_obj
def command(shell: Shell, /, **given: Any) -> int:
    """Deploy models as a service.

    A local service of the same name is replaced. Private registries are signed in to with what the inference
    configuration says, else as Docker would.
    """
    workspace = workspace_of(shell, given["workspace"], given["folder"], make=True)
    wanted = _wanted(workspace, given)
    labels = {
        "tags": pairs(given["tags"], "--tag"),
        "properties": pairs(given["properties"], "--property"),
        "description": given["description"],
    }
    if given["against"]:
        from pipeline.cli.azureml._compare import compare

        return compare(shell, workspace, wanted, given["against"], given["data"])
    deploy(shell, workspace, wanted, labels, wait=not given["no_wait"])
    return 0


def _wanted(workspace: Workspace, given: Mapping[str, Any]) -> Wanted:
    from pipeline.azureml._names import check_service
    from pipeline.azureml.deploying import Wanted

    check_service(given["name"])
    said = Said(**{name: given[name] for name in Said.__dataclass_fields__})
    models = [*given["models"], *_of_metadata(given["metadata"])]
    deployment = deployment_of(given)
    inference = inference_of(workspace, given["name"], said)
    return Wanted(given["name"], models, inference, deployment, None, given["overwrite"], _absolute(said))


def _absolute(said: Said) -> str:
    return str(said.inference_config_file.absolute()) if said.inference_config_file else ""


def deployment_of(given: Mapping[str, Any]) -> DeploymentConfig:
    """Of --dc, or of --compute-type, or for this machine; with what the flags say."""
    from pipeline.azureml.deployment import CLASSES, read_deployment

    kind, target = (given["kind"] or "").lower(), given["target"]
    if given["deploy_config_file"]:
        made = read_deployment(given["deploy_config_file"])
        if kind and kind != made.COMPUTE_TYPE:
            fact = f"--compute-type is {kind}, and {given['deploy_config_file']} is for {made.COMPUTE_TYPE}"
            raise UsageError(fact, remedy="leave one of them out")
    else:
        made = CLASSES[kind or ("aks" if target else "local")]()
    if target:
        if made.COMPUTE_TYPE != "aks":
            remedy = "leave out --compute-target, or give --dc a file for aks"
            raise UsageError(f"a service of kind {made.COMPUTE_TYPE} has no compute target", remedy=remedy)
        made.compute_target_name = target
    return apply(made, given)


def _of_metadata(path: Path | None) -> list[str]:
    """The model that a file of `az ml model register --output-metadata-file` names."""
    if path is None:
        return []
    try:
        return [str(json.loads(path.read_text(encoding="utf-8"))["modelId"])]
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", remedy="name a file that is there") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} names no model", remedy='it is to hold {"modelId": "mymodel:1"}') from error


def _in_background(shell: Shell, workspace: Workspace, name: str, environ: Mapping[str, str]) -> None:
    from pipeline.azureml.background import start

    log = start(workspace, name, environ)
    if shell.json:
        shell.value({"service": name, "state": "deploying", "log": str(log)})
    else:
        shell.line(f"{name} is being deployed: '{shell.program} azureml service show {name}' tells how it is, or {log}")


def deploy(
    shell: Shell, workspace: Workspace, wanted: Wanted, labels: Mapping[str, Any] | None = None, *, wait: bool = True
) -> None:
    """Carries it out as `pipeline run` does, and shows that."""
    from pipeline.azureml.deploying import carry_out
    from pipeline.cli._work import Wanted as Run
    from pipeline.cli.run import run

    def perform(manifest: Path, environ: Mapping[str, str]) -> None:
        if not wait:
            _in_background(shell, workspace, wanted.name, environ)
            return
        shell.environ = environ
        run(shell, Run(manifest, command="azureml deploy"), hints=False)
        if not shell.json:
            shell.line(f"next: {shell.program} azureml service run -n {wanted.name} -d '{{\"data\": [[1, 2]]}}'")

    carry_out(workspace, wanted, perform, labels=labels, say=shell.error_line)
