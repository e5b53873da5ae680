"""Goes on with a deployment in the background."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli._shell import Shell

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace

LOG = "deploy.log"


def start(shell: Shell, workspace: Workspace, name: str, manifest: Path, environ: Mapping[str, str]) -> None:
    """Starts `pipeline run` on the manifest in a session of its own; what it says is in deploy.log beside it."""
    from pipeline.engine import owner

    log = manifest.with_name(LOG)
    with log.open("w") as file:
        # Secrets are in its environment, where no other user sees them.
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "run", "--no-hints", str(manifest)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=dict(environ),
            start_new_session=True,
        )
    services = workspace.contents.services
    if record := services.find(name):
        services.keep(replace(record, process=owner.of(process.pid)))
    if shell.json:
        shell.value({"service": name, "state": "deploying", "log": str(log)})
    else:
        shell.line(f"{name} is being deployed: 'pipeline azureml service show -n {name}' tells how it is, or {log}")
