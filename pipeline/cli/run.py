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
@click.option("--hints/--no-hints", default=None, help="Say how to call what runs; default: when it was just deployed.")
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path,
    sets: Mapping[str, str],
    images: tuple[str, ...],
    frozen: bool,
    hints: bool | None,
) -> None:
    """Build, check and deploy what changed.

    Every image is built, pushed by digest and checked before any tag moves, and every tag moves before any
    target is rolled out; a target that does not become healthy gets its last good revision back.
    """
    run(shell, Wanted(manifest, sets, images, frozen), hints)


def run(shell: Shell, wanted: Wanted, hints: bool | None = None) -> None:
    """Everything; afterwards says how to call what was newly deployed, or what runs at all, or nothing."""

    def next_steps(plan: Plan, door: Door) -> None:
        live = door.live if hints else door.deployed
        if live and hints is not False and not shell.json:
            from pipeline.cli._hints import hints as lines_of

            for line in lines_of(shell, wanted.manifest, plan, live):
                shell.line(line)

    performed(shell, wanted, ("base", "layer", "image", "push", "check", "tag", "target"), next_steps)
