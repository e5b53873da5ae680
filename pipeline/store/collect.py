"""Takes out of a store what is not needed: chosen by age and size, set aside in one act, and then removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from pipeline.noun import noun
from pipeline.store import Store
from pipeline.store.needed import Needed, needed
from pipeline.store.projects import forget, projects
from pipeline.store.roots import remove_tree
from pipeline.store.tables import clean
from pipeline.store.uses import Leased

Kind = Literal["blob", "unpacked layer", "contents listing"]


@noun
class Limits:
    """What goes of what is not needed: all that was not used since `before` (Unix time in seconds), and then the oldest
    until no more than `keep` bytes are left (None for no limit). The last `revisions` of each target are needed.
    """

    before: float
    keep: int | None = None
    revisions: int = 3


@noun
class Item:
    """Something that can go; `used` is when it was made or needed last (Unix time in seconds)."""

    kind: Kind
    path: Path
    digest: str
    size: int
    used: float


@noun
class Collected:
    """What went, or would: `items`, rows of the database and manifests forgotten; `total` bytes were there before."""

    items: tuple[Item, ...]
    total: int
    rows: int = 0
    forgotten: tuple[str, ...] = ()
    runs: int = 0

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)


def collect(
    store: Store,
    limits: Limits,
    *,
    services: Sequence[str] = (),
    wait: float = 60.0,
    dry_run: bool = False,
    also: Callable[[Leased], None] = lambda _leased: None,
    reached: Callable[[str], None] = lambda _point: None,
) -> Collected:
    """Removes what is not needed; safe beside runs and other collections, and whatever kills it leaves a whole store.

    `services` are texts that name what services run. `also` is called while nobody else plans or writes. `reached` is
    told of each point at which it commits. Raises StoreError as `Uses.alone` does.
    """
    store.blobs.scratch.sweep()
    sizes = {path: _size(path) for path in _roots(store)}
    with store.scratch() as aside:
        with store.uses.alone(wait) as leased:
            wanted = needed(store, leased, services, limits.revisions, limits.before)
            found = [*_blobs(store), *_contents(store), *_unpacked(store, sizes)]
            chosen = _chosen(found, wanted, limits, spared=_merged_in_use(services, leased))
            gone = tuple(name for name, each in projects(store.database).items() if each.is_gone(limits.before))
            total = sum(item.size for item in found)
            also(leased)
            if dry_run:
                return Collected(tuple(chosen), total, 0, gone, leased.runs)
            rows = _take(store, chosen, gone, wanted, limits, aside, reached)
            if not leased.runs:
                _leavings(store)
        # What is set aside is gone for everybody: removing it takes long, and holds nobody up.
        reached("set aside")
        for path in aside.iterdir():
            _remove(path)
    return Collected(tuple(chosen), total, rows, gone, leased.runs)


def _take(
    store: Store,
    chosen: Sequence[Item],
    gone: Iterable[str],
    wanted: Needed,
    limits: Limits,
    aside: Path,
    reached: Callable[[str], None],
) -> int:
    for name in gone:
        forget(store.database, name)
        reached("manifest forgotten")
    for number, item in enumerate(chosen):
        with contextlib.suppress(FileNotFoundError):
            item.path.rename(aside / str(number))
        reached(f"{item.kind} set aside")
    rows = clean(store, wanted, limits.before)
    reached("rows removed")
    return rows


def _chosen(found: Sequence[Item], wanted: Needed, limits: Limits, spared: bool) -> list[Item]:
    """The items that go, the oldest first."""
    left = sum(item.size for item in found)
    chosen = []
    for item in sorted(_free(found, wanted, spared), key=lambda item: item.used):
        if item.used < limits.before or (limits.keep is not None and left > limits.keep):
            chosen.append(item)
            left -= item.size
    return chosen


def _free(found: Sequence[Item], wanted: Needed, spared: bool) -> Iterator[Item]:
    """What may go. A needed layer that nobody runs may be unpacked again."""
    for item in found:
        if item.kind != "unpacked layer":
            if item.digest not in wanted.digests:
                used = max(item.used, wanted.superseded.get(item.digest, 0.0))
                yield Item(item.kind, item.path, item.digest, item.size, used)
        elif item.digest not in wanted.unpacked and not (spared and not item.digest):
            yield item


def _merged_in_use(services: Sequence[str], leased: Leased) -> bool:
    """Whether folders of several layers together may be in use: their names do not tell of which layers they are."""
    return bool(services) or bool(leased.runs)


def _blobs(store: Store) -> Iterator[Item]:
    for algorithm in _scanned(store.blobs.folder):
        for entry in _scanned(Path(algorithm.path)):
            yield from _item("blob", entry, f"{algorithm.name}:{entry.name}")


def _contents(store: Store) -> Iterator[Item]:
    for entry in _scanned(store.folder / "contents"):
        yield from _item("contents listing", entry, "sha256:" + entry.name.partition(".")[0])


def _item(kind: Kind, entry: os.DirEntry[str], digest: str) -> Iterator[Item]:
    # A reader removes what it finds damaged at any time.
    with contextlib.suppress(FileNotFoundError):
        info = entry.stat(follow_symlinks=False)
        yield Item(kind, Path(entry.path), digest, info.st_size, info.st_mtime)


def _roots(store: Store) -> list[Path]:
    found = (Path(entry.path) for entry in _scanned(store.folder / "roots"))
    return [path for path in found if not path.name.startswith(".") and path.is_dir()]


def _unpacked(store: Store, sizes: dict[Path, int]) -> Iterator[Item]:
    """Unpacked layers, and folders of several of them, which have no digest. Their own time may be that of their tar,
    which `ctime` is not.
    """
    for path in _roots(store):
        digest = "" if path.name.startswith("of-") else f"sha256:{path.name}"
        yield Item("unpacked layer", path, digest, sizes.get(path, 0), path.lstat().st_ctime)


def _scanned(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _size(folder: Path) -> int:
    """Bytes on disk of all that is in a folder; hard links count for each folder that has one."""
    total = 0
    for where, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += (Path(where) / name).lstat().st_blocks * 512
    return total


def _leavings(store: Store) -> None:
    """What killed processes left: guards that nobody holds, half unpacked layers, marks of layers that are gone. Only
    while no run is at work, which might be about to lock one.
    """
    for entry in _scanned(store.folder / "guards"):
        _unlink_free(Path(entry.path))
    for entry in _scanned(store.folder / "roots"):
        path = Path(entry.path)
        if path.name.endswith(".lock"):
            _unlink_free(path)
        elif path.name.endswith(".partial"):
            remove_tree(path)
        elif path.name.endswith(".copy-only") and not path.with_suffix("").is_dir():
            path.unlink(missing_ok=True)


def _unlink_free(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
