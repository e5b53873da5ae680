"""What the image commands share: the store, the platform option, and words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from pipeline.cli._shell import Shell
from pipeline.digest import Digest
from pipeline.errors import UsageError
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.store import Store

IMAGE_HELP = "IMAGE: a name, NAME:TAG, or the first digits of a digest or image ID"


def _platform(_ctx: click.Context, _parameter: click.Parameter, value: str | None) -> Platform | None:
    if value is None:
        return None
    if "/" not in value:
        raise UsageError(f"'{value}' is not a platform", remedy="write it as in linux/amd64")
    return Platform.parse(value)


platform_option = click.option(
    "--platform", metavar="OS/ARCH", callback=_platform, help="Of an image of several platforms, this one."
)


def store_of(shell: Shell) -> Store:
    """The store; what it lacks of an image from elsewhere is fetched, with Docker's credentials. Nothing of it is
    collected while the command is at work.
    """
    from pipeline.store import Store

    store = Store(shell.home.store)
    click.get_current_context().with_resource(store.uses.sharing())

    def fetch(digest: Digest) -> None:
        from pipeline.registry import Registries
        from pipeline.registry.origins import Origins

        Origins(store, Registries(shell.environ).repository, shell.error_line).fetch(digest)

    store.blobs.fetch = fetch
    return store


def machine() -> Platform:
    from pipeline.stages.bench import machine_platform

    return Platform.parse(machine_platform())


def size_text(size: int | None) -> str:
    from pipeline.reporters.lines import size as words

    return "?" if size is None else words(size)
