"""`pipeline copy`: copies an image from one registry, or repository, to another."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import metered, registries, registry_options, show, target
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import platform_option
from pipeline.facts import Platform

EXAMPLES = """
pipeline copy staging.example.com/ml/scoring:v1 prod.example.com/ml/scoring:v1
pipeline copy docker.io/library/python:3.11 registry.example.com/mirror/python
"""


@command_(
    arguments="SRC: an image in a registry, as REGISTRY/REPOSITORY:TAG or @sha256:DIGEST\n"
    "DST: where it goes; without a tag, that of SRC",
    examples=EXAMPLES,
)
@click.argument("src")
@click.argument("dst")
@platform_option
@registry_options
@output_option
@click.pass_obj
def command(shell: Shell, src: str, dst: str, platform: Platform | None, ca: Path | None, insecure: bool) -> None:
    """Copy an image from one registry to another.

    By digest, so it stays the same image, with all its platforms; nothing is kept here, and what
    the registries share is not moved.
    """
    from pipeline.reference import parse
    from pipeline.registry import transfers

    source, goal = parse(src), target(dst)
    if dst.rpartition("/")[2].partition(":")[2] == "" and source.tag:
        goal = goal.at(tag=source.tag)
    client = registries(shell, [source.registry, goal.registry], ca, insecure)
    there = client.repository(goal)
    with metered(shell) as progress:
        done = transfers.copy(
            client.repository(source), source.wanted, there, platform=platform, like=[goal.tag], progress=progress
        )
    there.for_push().tag(done.image.digest, [goal.tag])
    show(shell, done, str(goal), [goal.tag])
