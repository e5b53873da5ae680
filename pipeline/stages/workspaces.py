"""Puts in the addresses of registries that the manifest knows by a workspace of Azure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import OutOfReach
from pipeline.manifest.model import Azure, Manifest, Registry

if TYPE_CHECKING:
    from pipeline.azure.registries import Found
    from pipeline.store.database import Database

_DAY = 86400.0


def addressed(
    manifest: Manifest,
    environ: Mapping[str, str],
    database: Database,
    clock: Callable[[], float],
    warn: Callable[[str], None] = lambda _text: None,
) -> Manifest:
    """The manifest, with an address for every registry: Azure is asked once a day.

    ResolveError for a workspace that has no registry yet; UsageError for a malformed id; OutOfReach.
    """
    found = {name: _addressed(one, environ, database, clock, warn) for name, one in manifest.registries.items()}
    return replace(manifest, registries=found)


def known_as(azure: Azure) -> str:
    """Under what a workspace's registry, {host, id, at}, is remembered."""
    return f"registry of {azure.workspace}"


def _addressed(
    entry: Registry,
    environ: Mapping[str, str],
    database: Database,
    clock: Callable[[], float],
    warn: Callable[[str], None],
) -> Registry:
    if entry.address or entry.azure is None:
        return entry
    key = known_as(entry.azure)
    known: dict[str, Any] | None = database.memo(key)
    if known is None or not 0 <= clock() - known["at"] < _DAY:
        try:
            asked = _asked(entry, entry.azure, environ)
        except OutOfReach as error:
            if known is None:
                raise
            warn(f"registries.{entry.name} is taken to be {known['host']} still: {error.message}")
        else:
            known = {"host": asked.host, "id": str(asked.id), "at": clock()}
            database.remember(key, known)
    return replace(entry, address=known["host"])


def _asked(entry: Registry, azure: Azure, environ: Mapping[str, str]) -> Found:
    from pipeline.azure.arm import Arm
    from pipeline.azure.identity import identity_of
    from pipeline.azure.registries import of_workspace

    return of_workspace(Arm(identity_of(azure, "", environ), environ), azure.workspace, entry.location)
