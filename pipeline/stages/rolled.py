"""Which targets elsewhere this machine rolled out for a manifest: those that it has no more may have left something."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.stages.bench import Bench


def rolled(bench: Bench) -> Mapping[str, str]:
    """The kinds of targets, by their names."""
    return bench.store.database.memo(_key(bench)) or {}


def keep(bench: Bench, kinds: Mapping[str, str]) -> None:
    """Remembers these, where they are others than are known."""
    if kinds != rolled(bench):
        bench.store.database.remember(_key(bench), dict(kinds))


def _key(bench: Bench) -> str:
    """Of the manifest, by its name and its file's: one of that name in another file may have targets of its own."""
    return f"targets elsewhere {bench.manifest.name} {bench.manifest.path.name}"
