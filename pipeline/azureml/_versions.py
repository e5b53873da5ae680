"""Numbered versions in a folder: each is published whole by one rename, and no number is ever given twice."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from pipeline.errors import StoreError
from pipeline.store.scratch import Scratch, writing

_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


def numbers(folder: Path) -> list[int]:
    """The versions that a folder holds, lowest first, those of which only the number is left among them."""
    try:
        return sorted(int(name) for name in os.listdir(folder) if name.isdecimal())
    except FileNotFoundError:
        return []


def publish(staged: Path, folder: Path) -> int:
    """Makes a folder that holds at least one file the next version, and says which number that is.

    The rename fails where another process has taken the number, for its folder is not empty (rename(2)).
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            number = max(numbers(folder), default=0) + 1
            try:
                staged.rename(folder / str(number))
            except OSError as error:
                if error.errno not in _TAKEN:
                    raise
            else:
                return number


def write_json(path: Path, value: Any, scratch: Scratch) -> None:
    """Puts a document in place of whatever is there, at once; only its user may read it."""
    staging = scratch.path("json")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        staging.touch(mode=0o600)
        with staging.open("w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The document; None where there is none. Raises StoreError for one that is damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(value, dict):
        raise _damaged(path, TypeError("it is no JSON object"))
    return value


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path} cannot be read: {error}", remedy="restore it, or delete its folder and make it again")
