"""What lies in a store's folders, as things that can be taken out of it one by one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipeline.noun import noun
from pipeline.store import Store
from pipeline.store.quarantine import FOLDER

Kind = Literal["blob", "unpacked layer", "contents listing", "damaged file"]


@noun
class Item:
    """Something that can go; `used` is when it was made or needed last (Unix time in seconds)."""

    kind: Kind
    path: Path
    digest: str
    size: int
    used: float


def blobs(store: Store) -> Iterator[Item]:
    for algorithm in scanned(store.blobs.folder):
        for entry in scanned(Path(algorithm.path)):
            yield from _item("blob", entry, f"{algorithm.name}:{entry.name}")


def contents(store: Store) -> Iterator[Item]:
    for entry in scanned(store.folder / "contents"):
        yield from _item("contents listing", entry, "sha256:" + entry.name.partition(".")[0])


def damaged(store: Store) -> Iterator[Item]:
    """What was set aside when it was found damaged, at the time that it was."""
    for entry in scanned(store.folder / FOLDER):
        with contextlib.suppress(FileNotFoundError):
            info = entry.stat(follow_symlinks=False)
            yield Item("damaged file", Path(entry.path), "", info.st_size, info.st_ctime)


def _item(kind: Kind, entry: os.DirEntry[str], digest: str) -> Iterator[Item]:
    # A reader removes what it finds damaged at any time.
    with contextlib.suppress(FileNotFoundError):
        info = entry.stat(follow_symlinks=False)
        yield Item(kind, Path(entry.path), digest, info.st_size, info.st_mtime)


def roots(store: Store) -> list[Path]:
    found = (Path(entry.path) for entry in scanned(store.folder / "roots"))
    return [path for path in found if not path.name.startswith(".") and path.is_dir()]


def unpacked(store: Store, sizes: dict[Path, int]) -> Iterator[Item]:
    """Unpacked layers, and folders of several of them, which have no digest. Their own time may be that of their tar,
    which `ctime` is not.
    """
    for path in roots(store):
        digest = "" if path.name.startswith("of-") else f"sha256:{path.name}"
        yield Item("unpacked layer", path, digest, sizes.get(path, 0), path.lstat().st_ctime)


def scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def size_of(folder: Path) -> int:
    """Bytes on disk of all that is in a folder; hard links count for each folder that has one."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(where) / name).lstat().st_blocks * 512
    return total
