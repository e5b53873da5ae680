"""Collects what nothing needs: in the store, and by age in the caches and logs beside it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.home import Home
from pipeline.noun import noun
from pipeline.store import Store
from pipeline.store.collect import Collected, Limits
from pipeline.store.collect import collect as collect_store
from pipeline.store.inventory import scanned, size_of
from pipeline.store.quarantine import FOLDER
from pipeline.store.roots import remove_tree
from pipeline.store.scratch import Scratch
from pipeline.store.uses import Leased

_HOUR = 3600.0
_CACHES = ("frames", f"frames/{FOLDER}", "debian/debs", "debian/indexes", "conda/repodata")
"""Folders of files that are fetched or packed again when they are wanted; other tools keep their own caches."""
_UNPACKED = "conda/pkgs"
"""A folder of packages, each unpacked in a folder of its own (rattler's package cache)."""
_GONE = ".gone-"


@noun
class Aged:
    """A file or an unpacked package of a cache, or a log, not used for long; `kind` is "cache" or "log"."""

    kind: str
    path: Path
    size: int


@noun
class Cleared:
    """What went, or would: of the store, and beside it; `spared` says that caches were left alone for a run at work."""

    store: Collected
    aged: tuple[Aged, ...]
    spared: bool


def collect(
    home: Home,
    store: Store,
    limits: Limits,
    *,
    wait: float = 60.0,
    dry_run: bool = False,
    now: Callable[[], float] = time.time,
    reached: Callable[[str], None] = lambda _point: None,
) -> Cleared:
    """Removes what is not needed of the store, and of caches and logs what was not used since `limits.before`.

    Raises StoreError when others keep planning or copying in the store for `wait` seconds.
    """
    aged: list[Aged] = []
    spared: list[bool] = []

    def also(leased: Leased) -> None:
        spared.append(bool(leased.runs))
        # What is fetched or packed is put to use within the hour, or by a run that is at work.
        before = min(limits.before, now() - _HOUR)
        aged.extend(find_aged(home, before, caches=not leased.runs))
        for each in aged if not dry_run else ():
            with contextlib.suppress(OSError):
                _remove(each.path)
            reached(f"{each.kind} removed")

    if not dry_run:
        Scratch(home.cache / "frames" / "scratch").sweep()
    done = collect_store(store, limits, services=services(home), wait=wait, dry_run=dry_run, also=also, reached=reached)
    return Cleared(done, tuple(aged), any(spared))


def services(home: Home) -> list[str]:
    """Texts that name what services run here and what they would be put back to."""
    files = [*(home.state / "verified").glob("*.json"), *(home.state / "services").glob("*/status.json")]
    texts = []
    for file in files:
        with contextlib.suppress(OSError):
            texts.append(file.read_text(encoding="utf-8", errors="replace"))
    return texts


def find_aged(home: Home, before: float, caches: bool = True) -> Iterator[Aged]:
    """Files and unpacked packages that were not used since `before` (Unix time in seconds)."""
    for top in [home.cache / name for name in _CACHES] if caches else ():
        yield from _files("cache", top, before)
    if caches:
        yield from _files("cache", home.cache / _UNPACKED, before)
        yield from _packages(home.cache / _UNPACKED, before)
    for folder, _, _ in os.walk(home.state / "logs"):
        yield from _files("log", Path(folder), before)


def _files(kind: str, folder: Path, before: float) -> Iterator[Aged]:
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in entries:
        with contextlib.suppress(FileNotFoundError):
            info = path.lstat()
            if path.is_file() and max(info.st_mtime, info.st_atime) < before:
                yield Aged(kind, path, info.st_size)


def _packages(folder: Path, before: float) -> Iterator[Aged]:
    """Packages that were unpacked, and linked or looked at last, before then; and what a killed collection left."""
    for path in (Path(entry.path) for entry in scanned(folder)):
        if not path.is_dir() or path.is_symlink():
            continue
        with contextlib.suppress(FileNotFoundError):
            used = path.lstat().st_ctime
            with contextlib.suppress(FileNotFoundError):
                info = (path / "info" / "index.json").lstat()
                used = max(used, info.st_atime, info.st_ctime)
            if used < before or path.name.startswith(_GONE):
                yield Aged("cache", path, size_of(path))


def _remove(path: Path) -> None:
    """A package in one act: half of one is never found under its name."""
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    gone = path if path.name.startswith(_GONE) else path.with_name(f"{_GONE}{os.getpid()}-{path.name}")
    path.rename(gone)
    remove_tree(gone)
