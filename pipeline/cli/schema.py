"""`pipeline schema`: the manifest's JSON Schema, for editors."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_text
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell

EXAMPLES = """
pipeline schema -o manifest.schema.json
# then, as the first line of a manifest:
# yaml-language-server: $schema=manifest.schema.json
"""


@command_(examples=EXAMPLES)
@click.option("-o", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write to FILE.")
@output_option
@click.pass_obj
def command(shell: Shell, target: Path | None) -> None:
    """Print the manifest's JSON Schema.

    An editor completes and checks manifests with it. All installed kinds are in it.
    """
    from pipeline.manifest.schema import text

    write_text(shell, text(), target)
