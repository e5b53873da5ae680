"""Builds, checks, ships and keeps fresh the images that serve machine-learning models.

The public API: `load` reads a manifest, `open_bench` opens it for work, `prepare` resolves and plans, `perform` runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pipeline.manifest.load import load
    from pipeline.run import open_bench, perform, prepare

_HOMES = {
    "load": "pipeline.manifest.load",
    "open_bench": "pipeline.run",
    "perform": "pipeline.run",
    "prepare": "pipeline.run",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: the package itself must cost nothing."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


__all__ = ["__version__", "load", "open_bench", "perform", "prepare"]
