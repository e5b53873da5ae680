"""Files that were found damaged: set aside, for whoever wants to know why, until they are cleared."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

FOLDER = "damaged"
"""Below a store, and below a cache of packed packages."""


def set_aside(path: Path, folder: Path) -> None:
    """Moves a damaged file into `folder`, in place of one that was set aside before; where that cannot be done, nothing
    happens: who cannot write here cannot make it again either.
    """
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        path.replace(folder / path.name)


def aside(folder: Path) -> Iterator[tuple[Path, int]]:
    """What is set aside in `folder`, and its size in bytes."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(OSError):
                yield path, path.lstat().st_size
