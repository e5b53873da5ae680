"""Clusters that a local workspace of Azure ML knows by a name, as `pipeline azureml computetarget` wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import UsageError

_FILE = "compute.json"
_WORKSPACES = Path(".pipeline/azureml")


def attached(name: str, folder: Path) -> Mapping[str, str]:
    """The cluster of this name: subscription_id, resource_group and cluster_name, or context, as far as is known.

    Looked for in the workspace that `folder`, of a manifest, lies in, then in those of the project around it.
    UsageError where no workspace has it, and where several have it for different clusters.
    """
    found: dict[str, Mapping[str, str]] = {}
    names: set[str] = set()
    for file in _files(folder):
        known = _read(file)
        names |= {*known}
        if name in known:
            found.setdefault(json.dumps(known[name], sort_keys=True), known[name])
    if not found:
        there = ", ".join(sorted(names)) or "none"
        remedy = f"attached are: {there}; attach it with 'pipeline azureml computetarget attach', or name the `cluster`"
        raise UsageError(f"no workspace here has a compute target {name}", remedy=remedy)
    if len(found) > 1:
        raise UsageError(f"several workspaces have a compute target {name}", remedy="name the `cluster` itself")
    return next(iter(found.values()))


def _files(folder: Path) -> Iterator[Path]:
    """The workspace's own first: a service's manifest lies two folders below it."""
    own = folder.resolve().parent.parent / _FILE
    if own.is_file():
        yield own
        return
    for above in (folder.resolve(), *folder.resolve().parents):
        if files := sorted((above / _WORKSPACES).glob(f"*/{_FILE}")):
            yield from files
            return


def _read(file: Path) -> Mapping[str, Mapping[str, str]]:
    try:
        value: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{file}: {getattr(error, 'strerror', None) or error}", remedy="attach the clusters again"
        ) from None
    return {name: one for name, one in value.items() if isinstance(one, dict)} if isinstance(value, dict) else {}
