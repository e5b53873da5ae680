"""`pipeline image export`: writes an image for other tools to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, machine, platform_option, size_text, store_of
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.store.export import Format

EXAMPLES = """
pipeline image export scoring:v1 scoring.tar && docker load -i scoring.tar
pipeline image export scoring:v1 layout && skopeo copy oci:layout:v1 docker://registry.example/scoring:v1
pipeline image export scoring scoring.oci.tar --format oci-archive --tag ml/scoring:v2
"""


@command_(
    arguments=f"{IMAGE_HELP}\nDESTINATION: FILE.tar for an archive, any other name for an OCI layout folder",
    examples=EXAMPLES,
)
@click.argument("image")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "oci-archive", "docker-archive"]),
    help="Layout folder, layout in a tar, or what 'docker load' reads. Default: by DESTINATION's name.",
)
@click.option("--tag", metavar="[NAME:]TAG", default="", help="Call it this in what is written.")
@click.option("--force", is_flag=True, help="Replace a file or folder that is no earlier export.")
@platform_option
@output_option
@click.pass_obj
def command(
    shell: Shell,
    image: str,
    destination: Path,
    form: Format | None,
    tag: str,
    force: bool,
    platform: Platform | None,
) -> None:
    """Write an image for other tools to read.

    An OCI layout, or an archive that docker load, podman, skopeo and crane take.
    """
    from pipeline.store.export import export

    done = export(
        store_of(shell),
        image,
        destination,
        format=form,
        tag=tag,
        platform=platform,
        machine=machine(),
        force=force,
    )
    if shell.json:
        shell.value(done.to_json())
    else:
        shell.line(f"{done.path}: {done.reference}, {done.format}, {size_text(done.size)}")
