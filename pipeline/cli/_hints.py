"""What to do next with a service that was just deployed: call it, read its log, stop it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli._shell import Shell
from pipeline.plan.model import TargetWork

if TYPE_CHECKING:
    from pipeline.plan.model import Plan

_LONGEST = 300
"""A scoring request of more characters than this is not shown as a curl command."""


def hints(shell: Shell, manifest: Path, plan: Plan, addresses: Sequence[tuple[str, str]]) -> list[str]:
    """Commands to paste, for each target's name and address."""
    return [line for name, address in addresses for line in _of(shell, manifest, plan, name, address)]


def _command(shell: Shell) -> str:
    """How to call this program again: by the path it was called by, where the name alone does not find it."""
    import shutil

    path = Path(shell.program)
    if path.name != "pipeline" or shutil.which("pipeline", path=shell.environ.get("PATH")) == shell.program:
        return "pipeline"
    return shell.program


def _of(shell: Shell, manifest: Path, plan: Plan, name: str, address: str) -> list[str]:
    work = plan.step(f"target {name}").work
    assert isinstance(work, TargetWork)
    home = f" --home {shlex.quote(shell.home_option)}" if shell.home_option else ""
    # A service elsewhere is known by its manifest.
    service = f"{shlex.quote(str(manifest))} {shlex.quote(name)}" if work.pushed else shlex.quote(work.service)
    command = shlex.quote(_command(shell))
    lines = [f"logs: {command} logs {service} -f{home}", f"stop: {command} stop {service}{home}"]
    lines.append(f"look: {command} image files {shlex.quote(f'{plan.name}/{work.image.name}')}{home}")
    score = work.image.checks.score
    if not score or "request" not in score:
        return [f"try:  curl -s {address}/", *lines] if address else lines
    body = json.dumps(score["request"], ensure_ascii=False)
    # Elsewhere it may take a key, or a way through a cluster's API: `score` knows both.
    plain = address and (not work.pushed or address.startswith("http://"))
    if not plain or len(body) > _LONGEST:
        return [f"try:  {command} score {shlex.quote(str(manifest))} {shlex.quote(name)}{home}", *lines]
    header = "-H 'Content-Type: application/json'"
    return [f"try:  curl -s {address}/score {header} -d {shlex.quote(body)}", *lines]
