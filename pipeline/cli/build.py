"""`pipeline build`: makes a manifest's images, and checks, tags and deploys nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import (
    MANIFEST_HELP,
    fail_fast_option,
    frozen_option,
    image_option,
    manifest_argument,
    output_option,
    set_option,
    verbose_option,
)
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, performed

EXAMPLES = """
pipeline build manifests/prod.yaml
pipeline build manifests/prod.yaml --image scoring -v
pipeline image ls                        afterwards: what there is
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@set_option
@image_option
@frozen_option
@fail_fast_option
@verbose_option
@output_option
@click.pass_obj
def command(
    shell: Shell, manifest: Path, sets: Mapping[str, str], images: tuple[str, ...], frozen: bool, fail_fast: bool
) -> None:
    """Build the images of MANIFEST into the store.

    Nothing is checked, tagged or deployed: 'pipeline run' does that, too.
    """
    performed(
        shell, Wanted(manifest, sets, images, frozen, command="build", fail_fast=fail_fast), ("base", "layer", "image")
    )
