"""`pipeline import azureml`: inferenceconfig.json and deploymentconfig.json as a manifest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_files
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azureml.importing import Imported, ModelFiles

EXAMPLES = """
pipeline import azureml --ic inferenceconfig.json --dc deploymentconfig.json -m mymodel:1=model.pkl
pipeline import azureml --ic inferenceconfig.json -m mymodel=models/ -o manifests/myservice.yaml
pipeline import azureml --ic inferenceconfig.json -o -      print the manifest, write nothing
"""


@command_(examples=EXAMPLES)
@click.option(
    "--ic", "inference", metavar="FILE", required=True, type=click.Path(path_type=Path), help="inferenceconfig.json."
)
@click.option("--dc", "deployment", metavar="FILE", type=click.Path(path_type=Path), help="deploymentconfig.json.")
@click.option("-m", "--model", "models", metavar="NAME[:V]=PATH", multiple=True, help="A model to serve. Repeatable.")
@click.option("-n", "--name", metavar="NAME", help="The service's name; default: the environment's.")
@click.option(
    "-o", "target", metavar="FILE", default="pipeline.yaml", show_default=True, help="The manifest; - prints it."
)
@click.option("--force", is_flag=True, help="Replace files that are there.")
@output_option
@click.pass_obj
def command(
    shell: Shell,
    inference: Path,
    deployment: Path | None,
    models: tuple[str, ...],
    name: str | None,
    target: str,
    force: bool,
) -> None:
    """Write a manifest that does what Azure ML's files say.

    Paths in the files are relative to the current folder. No password is copied: the manifest names variables in their
    place. What has no meaning any more is said.
    """
    from pipeline.azureml.deployment import read_deployment
    from pipeline.azureml.importing import imported
    from pipeline.azureml.inference import read_inference

    config = read_inference(inference)
    where = read_deployment(deployment) if deployment else None
    environment = config.environment.name if config.environment else None
    folder = shell.cwd if target == "-" else Path(target).parent
    made = imported(
        config,
        where,
        [model_of(text) for text in models],
        name=name or environment or "service",
        folder=folder,
        file="" if target == "-" else Path(target).name,
    )
    _write(shell, made, None if target == "-" else Path(target), force=force)


def model_of(text: str) -> ModelFiles:
    """What -m says: NAME:VERSION=PATH, or NAME=PATH for version 1."""
    from pipeline.azureml.importing import ModelFiles

    found = re.fullmatch(r"([^:=]+)(?::([0-9]+))?=(.+)", text)
    if not found:
        raise UsageError(f"'{text}' is no model", remedy="write NAME:VERSION=PATH, as in mymodel:1=model.pkl")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", found[1]):
        remedy = "letters, digits, '-', '_' and '.', a letter or a digit first"
        raise UsageError(f"'{found[1]}' is no name for a model", remedy=remedy)
    if found[2] is not None and int(found[2]) < 1:
        raise UsageError(f"the version of {text} is {found[2]}", remedy="versions begin at 1")
    return ModelFiles(found[1], int(found[2] or 1), Path(found[3]))


def _write(shell: Shell, made: Imported, target: Path | None, *, force: bool) -> None:
    if target is None:
        shell.line(made.text.removesuffix("\n"))
        for name in made.files:
            shell.error_line(f"note: the manifest needs a file {name} beside it: give -o FILE to have it written")
        return
    files = {target: made.text, **{target.parent / name: text for name, text in made.files.items()}}
    write_files(shell, files, made.notes, force=force, remedy="give another name with -o")
    if not shell.json:
        shell.line(f"next: {shell.program} run {target}")
