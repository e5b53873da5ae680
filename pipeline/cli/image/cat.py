"""`pipeline image cat`: the content of one file of an image."""

from __future__ import annotations

import click

from pipeline.cli._app import command as command_
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, machine, platform_option, store_of
from pipeline.facts import Platform

EXAMPLES = """
pipeline image cat scoring /etc/os-release
pipeline image cat scoring /var/lib/dpkg/status | grep ^Package
"""


@command_(arguments=f"{IMAGE_HELP}\nPATH: the file in the image; links are followed", examples=EXAMPLES)
@click.argument("image")
@click.argument("path")
@platform_option
@click.pass_obj
def command(shell: Shell, image: str, path: str, platform: Platform | None) -> None:
    """Write out one file of an image.

    To standard output, byte for byte.
    """
    from pipeline.store.inspect import cat

    for piece in cat(store_of(shell), image, path, platform=platform, machine=machine()):
        shell.bytes(piece)
