"""Reads all that is in a store again, says what is damaged, and removes that: the next run makes it anew."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pipeline.digest import short
from pipeline.errors import StoreError
from pipeline.noun import noun
from pipeline.store import Store
from pipeline.store.needed import reachable
from pipeline.store.quarantine import FOLDER, aside
from pipeline.store.roots import remove_tree

Kind = Literal["blob", "contents listing", "unpacked layer", "packed package", "image", "database"]
_CHUNK = 1 << 20


@noun
class Damage:
    """Something that is not what it should be, and who needs it, as far as that is known; `path` is what to remove,
    None for what there is nothing to remove of.
    """

    kind: Kind
    name: str
    fact: str
    path: Path | None = None
    needed_by: tuple[str, ...] = ()


@noun
class Verified:
    """How much was read, and what was found damaged; `kept` says of what it could not be removed, and why. `aside` are
    files that runs had set aside as damaged before, with their sizes: they are removed, too.
    """

    blobs: int
    size: int
    others: int
    damage: tuple[Damage, ...]
    kept: tuple[str, ...] = ()
    aside: tuple[tuple[Path, int], ...] = ()


def verify(
    store: Store,
    *,
    frames: Callable[[], Iterator[tuple[Path, bool]]] = lambda: iter(()),
    in_use: Callable[[str], bool] = lambda _digest: False,
    beside: Sequence[Path] = (),
    dry_run: bool = False,
    told: Callable[[int, int], None] = lambda _done, _of: None,
    parallel: int = 0,
) -> Verified:
    """Reads every blob, listing, unpacked layer's names and packed package, and checks the database.

    `frames` tells of each packed package whether it is whole, `beside` are other folders of what was set aside,
    `in_use` tells whether a service runs from a layer's unpacked files (those stay). `told` gets the bytes read so far,
    and of how many. What is damaged is removed, but for a `dry_run`; a damaged database is set aside. Safe beside runs,
    which take what is gone for a miss.
    """
    blobs = [path for folder in _listed(store.blobs.folder) for path in _listed(folder)]
    size = sum(_size(path) for path in blobs)
    bad = _bad_blobs(blobs, size, told, parallel or os.cpu_count() or 1)
    flaws = store.database.flaws()
    # Who needs what cannot be read from a file that is damaged.
    names = {} if flaws else _named(store)
    found = [_blob(path, names) for path in bad]
    found += [] if flaws else _images(store, {one.name for one in found})
    listings = _listed(store.folder / "contents")
    found += [Damage("contents listing", path.name, "cannot be read", path) for path in listings if not _reads(path)]
    roots = [path for path in _listed(store.folder / "roots") if not path.name.startswith(".") and path.is_dir()]
    found += [damage for path in roots if (damage := _root(store, path))]
    packed = list(frames())
    found += [Damage("packed package", path.name, "has other bytes", path) for path, whole in packed if not whole]
    mended = store.database.mended
    found += [Damage("database", "store.db", mended or _all(flaws))] if mended or flaws else []
    left = _aside((store.folder / FOLDER, *beside), bool(mended))
    kept: tuple[str, ...] = ()
    if not dry_run:
        _unlink(path for path, _ in left)
        kept = (*_removed(found, in_use), *_renewed(store, flaws))
    return Verified(len(blobs), size, len(listings) + len(roots) + len(packed), tuple(found), kept, tuple(left))


def _aside(folders: Iterable[Path], mended: bool) -> list[tuple[Path, int]]:
    """What was set aside there before; what this very call has set aside stays until the next."""
    found = [one for folder in folders for one in aside(folder)]
    return [(path, size) for path, size in found if not (mended and path.name.startswith("store.db"))]


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink()


def _bad_blobs(blobs: Sequence[Path], size: int, told: Callable[[int, int], None], parallel: int) -> list[Path]:
    done = [0] * len(blobs)

    def check(number: int) -> bool:
        for count in _hashed(blobs[number]):
            if isinstance(count, bool):
                return count
            done[number] += count
            told(sum(done), size)
        return True

    with ThreadPoolExecutor(parallel, thread_name_prefix="verify") as pool:
        return [path for path, whole in zip(blobs, pool.map(check, range(len(blobs))), strict=True) if not whole]


def _hashed(path: Path) -> Iterator[int | bool]:
    """Counts of bytes as they are read, and at last whether they are what the file's name says."""
    seen = hashlib.new("sha256")
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_CHUNK):
                seen.update(piece)
                yield len(piece)
    except FileNotFoundError:
        yield True  # Somebody else removed it.
        return
    except OSError:
        yield False
        return
    yield seen.hexdigest() == path.name and path.parent.name == "sha256"


def _blob(path: Path, names: Mapping[str, Sequence[str]]) -> Damage:
    digest = f"{path.parent.name}:{path.name}"
    return Damage("blob", digest, "has other bytes than its digest says", path, tuple(names.get(digest, ())))


def _named(store: Store) -> dict[str, list[str]]:
    """The images that need a digest."""
    found: dict[str, list[str]] = {}
    every = {name: image for name, (image, _) in store.images().items()}
    every |= {f"{name}:{tag}": image for (name, tag), image in store.tags().items()}
    for name, image in every.items():
        for digest in reachable(store, [image.digest]):
            found.setdefault(digest, []).append(name)
    return found


def _images(store: Store, damaged: set[str]) -> Iterator[Damage]:
    """Images whose image manifest is not there: a layer may lie elsewhere, that may not."""
    every = {name: image for name, (image, _) in store.images().items()}
    every |= {f"{name}:{tag}": image for (name, tag), image in store.tags().items()}
    for name, image in every.items():
        if image.digest not in damaged and not store.blobs.has(image.digest):
            yield Damage("image", name, f"its image manifest {short(image.digest)} is not in the store")


def _reads(path: Path) -> bool:
    import json
    import zlib

    try:
        json.loads(zlib.decompress(path.read_bytes()))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, zlib.error):
        return False
    return True


def _root(store: Store, path: Path) -> Damage | None:
    """An unpacked layer that lacks something which its listing names, or has a file of another size."""
    import json
    import zlib

    try:
        members = json.loads(zlib.decompress((store.folder / "contents" / path.name).read_bytes()))["members"]
    except (OSError, ValueError, KeyError, zlib.error):
        return None
    for name, (kind, size) in _expected(members).items():
        try:
            found = (path / name).lstat().st_size
        except OSError:
            return Damage("unpacked layer", path.name, f"lacks {name}", path)
        if kind == "file" and found != size:
            return Damage("unpacked layer", path.name, f"{name} has {found} of {size} bytes", path)
    return None


def _expected(members: Sequence[Sequence[Any]]) -> dict[str, tuple[str, int]]:
    """What must be there of a layer's members, with its type and size; of several of one path the last. Whiteouts and
    devices are unpacked otherwise, or not at all, and what lies behind a link may lie elsewhere.
    """
    found = {str(name): (str(kind), int(size)) for name, kind, _mode, _uid, _gid, size, *_ in members}
    links = {name for name, (kind, _) in found.items() if kind == "symlink"}
    return {
        name: what
        for name, what in found.items()
        if what[0] in ("file", "dir", "symlink", "hardlink")
        and not name.rpartition("/")[2].startswith(".wh.")
        and not any(str(parent) in links for parent in PurePosixPath(name).parents)
    }


def _removed(found: Sequence[Damage], in_use: Callable[[str], bool]) -> Iterator[str]:
    for one in found:
        if one.path is None:
            continue
        if one.kind == "unpacked layer" and in_use(f"sha256:{one.name}"):
            yield f"{one.kind} {short(one.name)}: a service runs from it"
            continue
        try:
            if one.path.is_dir():
                remove_tree(one.path)
            else:
                one.path.unlink(missing_ok=True)
        except OSError as error:
            yield f"{one.kind} {short(one.name)}: {error.strerror or error}"


def _all(flaws: Sequence[str]) -> str:
    return flaws[0] + (f" (and {len(flaws) - 1} more)" if flaws[1:] else "")


def _renewed(store: Store, flaws: Sequence[str]) -> Iterator[str]:
    """Sets a damaged database aside; an empty one begins."""
    if flaws:
        store.database.renew()
        if store.database.flaws():
            yield "database store.db: it cannot be moved away"


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror}", remedy="check its permissions") from error


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
