"""`pipeline azureml model register`: a file or a folder becomes the next version of a model."""

from __future__ import annotations

import json
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import pairs, show, workspace_of, workspace_options
from pipeline.errors import UsageError

EXAMPLES = """
pipeline azureml model register -n mymodel -p model.pkl
pipeline azureml model register -n net -p outputs/net --tag area=vision --description 'the second try'
"""


@command_(examples=EXAMPLES)
@click.option("-n", "--name", metavar="NAME", required=True, help="The model's name.")
@click.option("-p", "--model-path", "source", metavar="PATH", required=True, help="A file, or a folder.")
@click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("--property", "properties", metavar="KEY=VALUE", multiple=True, help="Repeatable.")
@click.option("-d", "--description", metavar="TEXT", default="", help="What it is.")
@click.option("--mf", "--model-framework", "framework", metavar="NAME", help="As in ScikitLearn or Onnx.")
@click.option("--mfv", "--model-framework-version", "framework_version", metavar="VERSION", help="Its version.")
@click.option(
    "-t",
    "--output-metadata-file",
    "metadata",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Where to write the model's id, for 'deploy -f'.",
)
@workspace_options
@click.pass_obj
def command(
    shell: Shell,
    name: str,
    source: str,
    tags: tuple[str, ...],
    properties: tuple[str, ...],
    description: str,
    framework: str | None,
    framework_version: str | None,
    metadata: Path | None,
    workspace: str | None,
    folder: Path | None,
) -> None:
    """Register a model.

    It is kept by content: what two versions have in common takes its space once. A version never changes.
    """
    from pipeline.azureml._models import Labels
    from pipeline.azureml.model import register

    labels = Labels(pairs(tags, "--tag"), pairs(properties, "--property"), description)
    where = workspace_of(shell, workspace, folder, make=True)
    made = register(where, source, name, labels, (framework, framework_version))
    if metadata:
        try:
            metadata.write_text(json.dumps({"modelId": made.id, "workspaceName": where.name}) + "\n")
        except OSError as error:
            raise UsageError(f"{metadata}: {error.strerror}", remedy="name another file") from error
    if shell.json:
        show(shell, made.serialize())
    else:
        shell.line(f"registered {made.id}")
