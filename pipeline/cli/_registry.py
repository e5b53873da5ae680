"""What the commands that talk to registries share: the options, the client, and words for what was moved."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline import reference
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError
from pipeline.reference import Reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.manifest.model import Azure
    from pipeline.registry import Registries
    from pipeline.registry.credentials import Credential, Entra
    from pipeline.registry.publish import Transfer

F = TypeVar("F", bound=Callable[..., Any])
REFERENCE_HELP = "REGISTRY/REPOSITORY[:TAG], as in registry.example.com/ml/scoring:v1"
_PACE = 0.2
"""Seconds between two looks of the progress line."""


def registry_options(function: F) -> F:
    """`--ca` and `--insecure`, for registries that no manifest describes."""
    ca = click.option(
        "--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
        help="Trust the certificate authorities in FILE (PEM), too.",
    )  # fmt: skip
    insecure = click.option("--insecure", is_flag=True, help="Use plain HTTP, not encrypted.")
    return ca(insecure(function))


def registries(
    shell: Shell, hosts: Iterable[str], ca: Path | None, insecure: bool, extra: Iterable[Credential] = ()
) -> Registries:
    """The client for registries as these options say, with Docker's credentials."""
    from pipeline.manifest.model import Registry
    from pipeline.registry import Registries

    hosts = list(hosts)
    given = [Registry(host, f"http://{host}") for host in hosts] if insecure else []

    def waiting(text: str, seconds: float) -> None:
        shell.error_line(f"{text}; trying again in {seconds:.1f} s")

    def entra(azure: Azure, host: str) -> Entra:
        from pipeline.azure.identity import identity_of

        return identity_of(azure, host, shell.environ)

    ca_files = dict.fromkeys(hosts, ca) if ca else {}
    return Registries(shell.environ, given, extra, ca_files=ca_files, waiting=waiting, entra=entra)


def target(text: str) -> Reference:
    """Where an image is to go. UsageError for a digest: what is pushed has its own."""
    found = reference.parse(text)
    if found.digest:
        raise UsageError(f"{text} names a digest, which cannot be chosen", remedy=f"write {found.name}:TAG")
    return found


@contextmanager
def metered(shell: Shell) -> Iterator[Callable[[int], None]]:
    """Shows on a terminal how many bytes have moved; gives what is to be told of them."""
    from threading import Lock

    from pipeline.manifest.words import size

    moved, last, lock = 0, 0.0, Lock()

    def tell(count: int) -> None:
        nonlocal moved, last
        with lock:
            moved += count
            if (now := shell.clock()) - last >= _PACE:
                last = now
                shell.err.write(f"\r{size(moved)} moved \x1b[K")
                shell.err.flush()

    if not shell.live or shell.json:
        yield lambda _count: None
        return
    try:
        yield tell
    finally:
        shell.err.write("\r\x1b[K")


def show(shell: Shell, done: Transfer, where: str, tags: Iterable[str] = ()) -> None:
    """One line, or JSON, of an image that was moved."""
    from pipeline.manifest.words import size

    if shell.json:
        shell.value(
            {
                "reference": where,
                "digest": done.image.digest,
                "tags": list(tags),
                "moved": done.moved,
                "requests": done.requests,
                "blobs": {"copied": done.copied, "mounted": done.mounted, "present": done.present},
            }
        )
        return
    there = done.present + done.mounted
    shell.line(f"{where}@{done.image.digest}: {size(done.moved)} moved, {there} of {there + done.copied} blobs there")
