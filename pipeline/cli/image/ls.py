"""`pipeline image ls`: which images there are."""

from __future__ import annotations

import time

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import size_text, store_of

EXAMPLES = """
pipeline image ls
pipeline image ls --output json | jq -r '.[].digest'
"""


@command_(examples=EXAMPLES)
@output_option
@click.pass_obj
def command(shell: Shell) -> None:
    """List the images in the store.

    With tags, digest, platforms, and size in a registry and unpacked.
    """
    from pipeline.digest import short
    from pipeline.reporters.lines import table
    from pipeline.store.inspect import list_images

    rows = list_images(store_of(shell))
    if shell.json:
        shell.value([row.to_json() for row in rows])
        return
    if not rows:
        shell.line("no images: 'pipeline build' makes those of a manifest")
        return
    cells = [
        [
            row.name,
            ",".join(row.tags) or "-",
            short(row.digest),
            ",".join(row.platforms),
            size_text(row.size),
            size_text(row.unpacked),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(row.made)) if row.made else "",
        ]
        for row in rows
    ]
    heads = ["IMAGE", "TAGS", "DIGEST", "PLATFORMS", "SIZE", "UNPACKED", "MADE"]
    for line in table(cells, heads, right={4, 5}):
        shell.line(line)
