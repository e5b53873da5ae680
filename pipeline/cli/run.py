"""`pipeline run`: makes everything that a manifest asks for and that is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import (
    MANIFEST_HELP,
    frozen_option,
    image_option,
    manifest_argument,
    output_option,
    set_option,
    verbose_option,
)
from pipeline.cli._shell import Shell
from pipeline.cli._work import Door, Wanted, performed

if TYPE_CHECKING:
    from pipeline.plan.model import Plan

EXAMPLES = """
pipeline run manifests/prod.yaml
pipeline run manifests/prod.yaml --image scoring --set images.scoring.serve.port=5002
pipeline run --frozen --output json      in CI: only what the lock says, one event a line
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@set_option
@image_option
@frozen_option
@verbose_option
@output_option
@click.pass_obj
def command(shell: Shell, manifest: Path, sets: Mapping[str, str], images: tuple[str, ...], frozen: bool) -> None:
    """Build, check and deploy what changed.

    Every image is built, pushed by digest and checked before any tag moves, and every tag moves before any
    target is rolled out; a target that does not become healthy gets its last good revision back.
    """
    run(shell, Wanted(manifest, sets, images, frozen))


def run(shell: Shell, wanted: Wanted) -> None:
    """Everything; afterwards says how to call what was newly deployed."""

    def next_steps(plan: Plan, door: Door) -> None:
        if door.deployed and not shell.json:
            from pipeline.cli._hints import hints

            for line in hints(shell, wanted.manifest, plan, door.deployed):
                shell.line(line)

    performed(shell, wanted, ("base", "layer", "image", "push", "check", "tag", "target"), next_steps)
