"""Finds the manifest that is meant when none is named."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import UsageError


def find_manifest(folder: Path) -> Path:
    """The one manifest of a project folder, relative to it; raises UsageError when there is none, or several."""
    found = [Path(name) for name in ("pipeline.yaml", "pipeline.yml") if (folder / name).is_file()]
    manifests = folder / "manifests"
    if manifests.is_dir():
        found += sorted(p.relative_to(folder) for p in manifests.iterdir() if p.suffix in (".yaml", ".yml"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path) for path in found[:8]) + (" …" if len(found) > 8 else "")
        raise UsageError(f"there are {len(found)} manifests here: {names}", remedy=f"name one, as in: {found[0]}")
    raise UsageError(
        "no manifest is named, and there is neither pipeline.yaml nor manifests/*.yaml here",
        remedy="name one, as in: pipeline run manifests/prod.yaml",
    )
