"""`pipeline pull`: fetches an image from a registry into the store."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import REFERENCE_HELP, metered, registries, registry_options, show
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import machine, platform_option, store_of
from pipeline.facts import Platform

EXAMPLES = """
pipeline pull registry.example.com/ml/scoring:v1
pipeline pull python:3.11-slim --platform linux/arm64
pipeline image files registry.example.com/ml/scoring:v1        afterwards: look inside
"""


@command_(arguments=f"REFERENCE: {REFERENCE_HELP}, or with @sha256:DIGEST", examples=EXAMPLES)
@click.argument("reference")
@platform_option
@click.option("--all-platforms", is_flag=True, help="Every platform that there is, not only this machine's.")
@registry_options
@output_option
@click.pass_obj
def command(
    shell: Shell, reference: str, platform: Platform | None, all_platforms: bool, ca: Path | None, insecure: bool
) -> None:
    """Fetch an image from a registry into the store.

    For this machine's platform, unless told otherwise; every byte is verified.
    """
    from pipeline.oci.layout import familiar
    from pipeline.reference import Reference, parse
    from pipeline.registry import transfers

    where, store = parse(reference), store_of(shell)
    repository = registries(shell, [where.registry], ca, insecure).repository(where)
    wanted = None if all_platforms else platform or machine()
    with metered(shell) as progress:
        done = transfers.pull(store, repository, where.wanted, platform=wanted, progress=progress)
    name = familiar(Reference(where.registry, where.repository))
    store.name_image(name, done.image)
    if where.tag:
        store.move_tag(name, where.tag, done.image)
    show(shell, done, str(where), [where.tag] if where.tag else [])
