"""`pipeline azureml environment register`: keeps an environment."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.azureml._common import workspace_of, workspace_options
from pipeline.errors import UsageError

EXAMPLES = """
pipeline azureml environment register -d myenv/
pipeline azureml environment register --ic inferenceconfig.json
"""


@command_(examples=EXAMPLES)
@click.option("-d", "--directory", metavar="DIR", help="A folder, as Environment.save_to_directory writes it.")
@click.option(
    "--ic", "file", metavar="FILE", type=click.Path(path_type=Path), help="The environment of an inferenceconfig.json."
)
@workspace_options
@click.pass_obj
def command(shell: Shell, directory: str | None, file: Path | None, workspace: str | None, folder: Path | None) -> None:
    """Register an environment. One that is equal to the newest version is that version."""
    from pipeline.azureml.environment import Environment
    from pipeline.azureml.inference import read_inference

    if bool(directory) == bool(file):
        raise UsageError("no environment is named", remedy="give one of --directory and --ic")
    try:
        made = Environment.load_from_directory(directory) if directory else read_inference(file or "").environment
    except FileNotFoundError as error:
        raise UsageError(f"there is no environment in {directory}: {error}", remedy="name its folder") from error
    if made is None:
        raise UsageError(f"{file} has no environment", remedy="name another file")
    kept = made.register(workspace_of(shell, workspace, folder, make=True))
    if shell.json:
        shell.value({"name": kept.name, "version": kept.version})
    else:
        shell.line(f"registered {kept.name}:{kept.version}")
