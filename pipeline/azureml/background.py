"""Goes on with a deployment in a process of its own: `python -m pipeline.azureml.background ROOT WORKSPACE SERVICE`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace

LOG = "deploy.log"


def start(workspace: Workspace, name: str, environ: Mapping[str, str]) -> Path:
    """Goes on with a service that is written down, in a session of its own; the file with what it says."""
    from pipeline.engine import owner

    services = workspace.contents.services
    log = services.place(name) / LOG
    command = [sys.executable, "-m", "pipeline.azureml.background", str(workspace.root), workspace.name, name]
    with log.open("w") as file:
        # Secrets are in its environment, where no other user sees them.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=dict(environ), start_new_session=True
        )
    if record := services.find(name):
        services.keep(replace(record, process=owner.of(process.pid)))
    return log


def main(arguments: Sequence[str]) -> None:
    """Waits until whoever started it is done with the service, and deploys it; what came of it is kept."""
    from pipeline.azureml._folder import Named
    from pipeline.azureml.deploying import performed
    from pipeline.azureml.performing import perform_aloud, said
    from pipeline.azureml.workspace import Workspace

    root, workspace_name, name = arguments
    workspace = Workspace.of(Named(Path(root), workspace_name))
    services = workspace.contents.services
    with services.guard(name, wait=True), suppress(PipelineError):
        if record := services.find(name):
            try:
                performed(workspace, record, perform_aloud)
            except PipelineError as error:
                said(f"error: {error}")
                raise


if __name__ == "__main__":
    main(sys.argv[1:])
