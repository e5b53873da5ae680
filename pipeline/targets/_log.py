"""Reads a service's log, rotated once (`PATH.1`, then `PATH`), line by line and, if wanted, as it grows."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_PAUSE = 0.1


def read(
    path: Path,
    lines: int | None,
    alive: Callable[[], bool] | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[str]:
    """The last `lines` lines (None: all); then, with `alive`, those to come, until it says that no more will."""
    kept: deque[str] = deque(maxlen=lines)
    older = path.with_name(path.name + ".1")
    if older.exists():
        with older.open("rb") as file:
            kept.extend(_text(line) for line in file)
    if not path.exists():
        yield from kept
        return
    file = path.open("rb")
    rest = b""
    for line in file:
        if line.endswith(b"\n") or alive is None:
            kept.append(_text(line))
        else:
            rest = line
    yield from kept
    if alive is None:
        file.close()
    else:
        yield from _grow(file, rest, path, alive, wait)


def _grow(
    file: BinaryIO, rest: bytes, path: Path, alive: Callable[[], bool], wait: Callable[[float], object]
) -> Iterator[str]:
    while True:
        # Asked before reading: what was written before the end is read after it.
        running = alive()
        if data := file.read():
            *whole, rest = (rest + data).split(b"\n")
            yield from map(_text, whole)
        elif _rotated(file, path):
            # Between its old name and its new one a log is not there for a moment.
            with suppress(FileNotFoundError):
                new = path.open("rb")
                file.close()
                file = new
        elif not running:
            if rest:
                yield _text(rest)
            return
        else:
            wait(_PAUSE)


def _rotated(file: BinaryIO, path: Path) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r\n")
