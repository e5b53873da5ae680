"""Where everything is kept: under PIPELINE_HOME, else in the XDG folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.noun import noun


@noun
class Home:
    """The folders of one user: `store` (images, keys), `cache` (can be fetched again), `state` (services, logs)."""

    store: Path
    cache: Path
    state: Path

    @staticmethod
    def of(environ: Mapping[str, str]) -> Home:
        """The folders that the environment names (XDG Base Directory Specification 0.8)."""
        if home := environ.get("PIPELINE_HOME"):
            root = Path(home).expanduser().absolute()
            return Home(root / "store", root / "cache", root / "state")
        user = Path(environ.get("HOME") or Path.home())

        def xdg(variable: str, default: str) -> Path:
            folder = environ.get(variable, "")
            # The specification: relative paths in these variables are to be ignored.
            return (Path(folder) if folder.startswith("/") else user / default) / "pipeline"

        return Home(
            xdg("XDG_DATA_HOME", ".local/share"), xdg("XDG_CACHE_HOME", ".cache"), xdg("XDG_STATE_HOME", ".local/state")
        )
