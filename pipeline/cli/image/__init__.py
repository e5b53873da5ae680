"""`pipeline image`: looks at the images in the store, and writes them out."""

from __future__ import annotations

import click

from pipeline.cli._app import Commands

EXAMPLES = """
pipeline image ls
pipeline image show scoring:v1
pipeline image files scoring '/etc/*.conf'
pipeline image diff scoring:v1 scoring:v2
pipeline image export scoring:v1 scoring.tar && docker load -i scoring.tar
"""


@click.group(
    "image", cls=Commands, package=__name__, names=("ls", "show", "files", "cat", "diff", "export"), examples=EXAMPLES
)
def command() -> None:
    """List images, look inside them, compare them, export them.

    IMAGE is a name, NAME:TAG, or the first digits of a digest or image ID.
    """
