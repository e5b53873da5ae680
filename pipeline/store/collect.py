"""Takes out of a store what is not needed: chosen by age and size, set aside in one act, and then removed."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.noun import noun
from pipeline.store import Store, reserve
from pipeline.store.inventory import Item, blobs, contents, damaged, roots, scanned, size_of, unpacked
from pipeline.store.needed import Needed, needed
from pipeline.store.projects import forget, projects
from pipeline.store.roots import remove_tree
from pipeline.store.scratch import is_full
from pipeline.store.tables import clean
from pipeline.store.uses import Leased

_SCANT = 32 << 20
"""Bytes that are free: with less, nothing is set aside that can go at once."""


@noun
class Limits:
    """What goes of what is not needed: all that was not used since `before` (Unix time in seconds), and then the oldest
    until no more than `keep` bytes are left (None for no limit). The last `revisions` of each target are needed.
    """

    before: float
    keep: int | None = None
    revisions: int = 3


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
    if not dry_run:
        store.blobs.scratch.sweep()
    sizes = {path: size_of(path) for path in roots(store)}
    with contextlib.nullcontext(store.folder) if dry_run else store.scratch() as aside:
        with store.uses.alone(wait) as leased:
            wanted = needed(store, leased, services, limits.revisions, limits.before)
            found = [*blobs(store), *contents(store), *damaged(store), *unpacked(store, sizes)]
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
    reserve.keep(store.folder)
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
    # The database needs room of its own for each change.
    full = is_full(store.folder, _SCANT)
    for number, item in enumerate(chosen):
        with contextlib.suppress(FileNotFoundError):
            item.path.rename(aside / str(number))
            if full:
                _remove(aside / str(number))
        reached(f"{item.kind} set aside")
    for name in gone:
        forget(store.database, name)
        reached("manifest forgotten")
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


def _leavings(store: Store) -> None:
    """What killed processes left: guards that nobody holds, half unpacked layers, marks of layers that are gone. Only
    while no run is at work, which might be about to lock one.
    """
    for entry in scanned(store.folder / "guards"):
        _unlink_free(Path(entry.path))
    for entry in scanned(store.folder / "roots"):
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
