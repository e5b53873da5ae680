"""Room that a store keeps for itself: on a disk without any, SQLite cannot even be asked what may be removed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pipeline.store.scratch import is_full

SIZE = 1 << 20
"""Bytes: for SQLite's index of its log, the first pages of that, and a folder."""
_NAME = "reserve"


def keep(store: Path) -> None:
    """Takes the room, unless it is taken or there is none."""
    path = store / _NAME
    with contextlib.suppress(OSError):
        try:
            # Whoever was killed in the midst of it has left less.
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def use(store: Path) -> bool:
    """Gives the room back where the disk is full; whether it is. Whoever has made more room keeps it again."""
    if not is_full(store):
        return False
    with contextlib.suppress(OSError):
        (store / _NAME).unlink(missing_ok=True)
    return True
