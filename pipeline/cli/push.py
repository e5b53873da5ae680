"""`pipeline push`: puts an image of the store into a registry."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import REFERENCE_HELP, metered, registries, registry_options, show, target
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, store_of

EXAMPLES = """
pipeline push scoring:v1 registry.example.com/ml/scoring:v1
pipeline push scoring localhost:5000/scoring
"""


@command_(arguments=f"{IMAGE_HELP}\nREFERENCE: {REFERENCE_HELP}; without a tag, latest", examples=EXAMPLES)
@click.argument("image")
@click.argument("reference")
@click.option(
    "--compression", type=click.Choice(["zstd", "gzip"]), default="gzip", show_default=True,
    help="Of the layers: zstd where containerd 1.5, Docker 23 or later ones read all of them.",
)  # fmt: skip
@registry_options
@output_option
@click.pass_obj
def command(shell: Shell, image: str, reference: str, compression: str, ca: Path | None, insecure: bool) -> None:
    """Push an image of the store to a registry.

    With all its platforms; only what the registry lacks is moved, and the tag last. A manifest's own
    images go there by 'pipeline run', after their checks.
    """
    from pipeline.registry import transfers
    from pipeline.store.lookup import find

    where, store = target(reference), store_of(shell)
    found = find(store, image).image
    if compression == "gzip":
        from pipeline.store.recompress import gzipped

        found = gzipped(store, found)
    repository = registries(shell, [where.registry], ca, insecure).repository(where)
    with metered(shell) as progress:
        done = transfers.push(store, found, repository, like=[where.tag], progress=progress)
    transfers.tag(store, found, repository, [where.tag])
    show(shell, done, str(where), [where.tag])
