"""`pipeline tag`: gives an image another name, in the store or in its registry."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import registries, registry_options
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import store_of
from pipeline.errors import UsageError

EXAMPLES = """
pipeline tag scoring:v1 stable                                   in the store
pipeline tag registry.example.com/ml/scoring:v1 stable           in the registry; nothing is moved
"""


@command_(
    arguments="SRC: an image of the store, or one in a registry: REGISTRY/REPOSITORY:TAG\nNEW: a tag, or NAME:TAG",
    examples=EXAMPLES,
)
@click.argument("src")
@click.argument("new")
@registry_options
@output_option
@click.pass_obj
def command(shell: Shell, src: str, new: str, ca: Path | None, insecure: bool) -> None:
    """Give an image another tag.

    In the store, or in its registry where SRC names one.
    """
    from pipeline.reference import names_host

    name, digest = _remote(shell, src, new, ca, insecure) if names_host(src) else _local(shell, src, new)
    if shell.json:
        shell.value({"reference": name, "digest": digest})
    else:
        shell.line(f"{name} is {digest}")


def _local(shell: Shell, src: str, new: str) -> tuple[str, str]:
    from pipeline.reference import repository
    from pipeline.store.lookup import find

    store = store_of(shell)
    found = find(store, src)
    name, _, tag = new.rpartition(":")
    name = name or found.name
    if not name:
        raise UsageError(f"{src} has no name that the tag {new!r} could belong to", remedy="write NAME:TAG")
    repository(name).at(tag=tag)
    store.move_tag(name, tag, found.image)
    return f"{name}:{tag}", found.image.digest


def _remote(shell: Shell, src: str, new: str, ca: Path | None, insecure: bool) -> tuple[str, str]:
    from pipeline.reference import names_host, parse

    source = parse(src)
    goal = parse(new) if names_host(new) else source.at(tag=new)
    if (goal.registry, goal.repository) != (source.registry, source.repository):
        raise UsageError(f"{new} is another repository", remedy=f"copy it there: pipeline copy {src} {new}")
    repository = registries(shell, [source.registry], ca, insecure).repository(source)
    found = repository.manifest(source.wanted)
    repository.for_push().tag(found.descriptor.digest, [goal.tag], found)
    return str(goal), found.descriptor.digest
