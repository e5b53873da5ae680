"""The members of layers: listed, merged as a container sees them (whiteouts applied), and read out of their blobs."""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re
import tarfile
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeVar, cast

from pipeline.digest import Digest, short
from pipeline.errors import StoreError, UsageError
from pipeline.manifest.words import did_you_mean
from pipeline.oci.descriptor import LAYER, Layer
from pipeline.store import Store
from pipeline.store.blobs import damaged, missing
from pipeline.store.globs import expression
from pipeline.store.tarmembers import Members
from pipeline.store.tarstream import open_tar

_T = TypeVar("_T")
CHUNK = 1 << 20
_LINKS = 40
"""As many symbolic links in one path as Linux follows (path_resolution(7))."""
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True)
class Member:
    """A file, folder or link of an image: `path` from the root without a leading slash, `size` in bytes, `owner` the
    package that brought it, `layer` the number of the layer that holds it, counting from 1.
    """

    path: str
    type: str
    mode: int
    uid: int
    gid: int
    size: int
    link: str
    owner: str
    layer: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def members(store: Store, layer: Layer, number: int) -> list[Member]:
    """What a layer holds, in its own order: from the record kept when it was packed, else read out of its blob."""
    try:
        known = store.contents(layer)["members"]
    except (OSError, StoreError):
        return list(_scanned(store, layer, number))
    return [Member(*(*member, number)) for member in known]


def merged(layers: Iterable[Iterable[Member]]) -> dict[str, Member]:
    """What a container sees of layers, lowest first (image-spec, layer.md, "Applying Changesets")."""
    tree: dict[str, Member] = {}
    for layer in layers:
        added, gone, emptied = _changes(layer)
        gone |= {path for path, member in added.items() if member.type != "dir"}
        # A folder that a layer only implies takes the place of a lower link or file, as one that it names does.
        gone |= {path for path in folders_of(added) if (below := tree.get(path)) and below.type != "dir"}
        if gone or emptied:
            tree = {path: member for path, member in tree.items() if not _hidden(path, gone, emptied)}
        tree.update(added)
    return tree


def _changes(layer: Iterable[Member]) -> tuple[dict[str, Member], set[str], set[str]]:
    """A layer's members by path, the paths that it removes, and the folders whose lower content it hides."""
    added: dict[str, Member] = {}
    gone: set[str] = set()
    emptied: set[str] = set()
    for member in layer:
        folder, _, name = member.path.rpartition("/")
        if name == _OPAQUE:
            emptied.add(folder)
        elif name.startswith(_WHITEOUT):
            gone.add(posixpath.join(folder, name.removeprefix(_WHITEOUT)))
        else:
            added[member.path] = member
    return added, gone, emptied


def _hidden(path: str, gone: set[str], emptied: set[str]) -> bool:
    if path in gone or "" in emptied:
        return True
    while path := path.rpartition("/")[0]:
        if path in gone or path in emptied:
            return True
    return False


def matching(path: str, patterns: Sequence[str]) -> bool:
    """Whether a path is one of `patterns` or lies below one; every path is when there are none."""
    return not patterns or any(_expression(pattern).fullmatch(path) for pattern in patterns)


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    name = pattern.removeprefix("./").strip("/")
    if name in ("", "."):
        return re.compile(".*", re.DOTALL)
    anywhere = "(?:.*/)?" if "/" not in pattern else ""
    try:
        return re.compile(f"{anywhere}{expression(name)}(?:/.*)?", re.DOTALL)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no pattern: {error}", remedy="quote brackets by a backslash") from error


def content(store: Store, layers: Sequence[Layer], tree: Mapping[str, Member], path: str) -> Iterator[bytes]:
    """A file's bytes in pieces; links are followed within `tree`. UsageError when there is no such file."""
    member = lookup(tree, path)
    if member is None:
        near = did_you_mean("/" + path.strip("/"), (f"/{known}" for known in tree))
        raise UsageError(f"there is no file {path!r} in the image", remedy=near or "'pipeline image files' lists them")
    if member.type == "hardlink":
        # Its content lies under the other name, in the same layer whatever hides that name above.
        own = {one.path: one for one in members(store, layers[member.layer - 1], member.layer)}
        while member.type == "hardlink":
            target = own.pop(member.link.strip("/"), None)
            if target is None:
                raise StoreError(f"/{member.path} is a hard link to {member.link}, which its layer does not hold")
            member = target
    if member.type != "file":
        raise UsageError(f"/{member.path} is a {_WORDS.get(member.type, member.type)}", remedy="name a file")
    return _pieces(store, layers[member.layer - 1], member)


def lookup(tree: Mapping[str, Member], path: str, folders: Container[str] | None = None) -> Member | None:
    """The member that a path leads to once every link in it is followed; None when there is none.

    `folders` are `folders_of(tree)`, for whoever looks up several paths. UsageError for links that go round.
    """
    folders = folders_of(tree) if folders is None else folders
    left, at, links = [part for part in path.split("/") if part], "", 0
    while left:
        part = left.pop(0)
        if part in (".", ".."):
            at = posixpath.dirname(at) if part == ".." else at
            continue
        here = posixpath.join(at, part)
        member = tree.get(here)
        if member is None and here not in folders:
            return None
        if member is None or member.type != "symlink":
            at = here
            continue
        links += 1
        if links > _LINKS:
            raise UsageError(f"{path!r} goes round in symbolic links")
        left = [part for part in member.link.split("/") if part] + left
        at = "" if member.link.startswith("/") else at
    return tree.get(at) or Member(at, "dir", 0o755, 0, 0, 0, "", "", 0)


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder above one of `paths`."""
    found: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in found:
            found.add(path)
    return found


def contents(store: Store, layer: Layer, paths: Collection[str]) -> dict[str, bytes]:
    """Several small files of one layer, read in one pass; those that it does not hold are left out."""
    return dict(_each(store, layer, paths, lambda file: file.read()))


def digests(store: Store, layer: Layer, paths: Collection[str]) -> dict[str, str]:
    """The sha256 of several files of one layer, read in one pass; those that it does not hold are left out."""
    return dict(_each(store, layer, paths, lambda file: hashlib.file_digest(cast(Any, file), "sha256").hexdigest()))


def _each(
    store: Store, layer: Layer, paths: Collection[str], take: Callable[[IO[bytes]], _T]
) -> Iterator[tuple[str, _T]]:
    with _opened(store, layer) as tar:
        for info in tar:
            if (path := _plain(info.name)) in paths and (file := tar.content(info)):
                yield path, take(file)


_WORDS = {"dir": "folder", "char": "device", "block": "device", "fifo": "pipe"}


@contextmanager
def _opened(store: Store, layer: Layer) -> Iterator[Members]:
    """A layer's tar: one that is not compressed is read by seeking, any other from front to back."""
    path = store.blobs.path(layer.blob.digest)
    try:
        if layer.blob.media_type == LAYER:
            with path.open("rb") as file:
                yield Members(file)
        else:
            with open_tar(path, layer.blob.media_type) as stream:
                yield Members(stream)
                # Only all of it tells whether what was read is what it should be.
                stream.drain()
                if stream.digest != layer.diff_id:
                    raise ValueError(f"its content is {short(Digest(stream.digest))}")
    except FileNotFoundError as error:
        raise missing(layer.blob.digest) from error
    except (ValueError, EOFError, tarfile.TarError, OSError) as error:
        why = f"layer {short(layer.blob.digest)} is damaged: {error}"
        raise damaged(path, layer.blob.digest, why, str(error)) from error


_TYPES = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def _scanned(store: Store, layer: Layer, number: int) -> Iterator[Member]:
    with _opened(store, layer) as tar:
        for info in tar:
            type_ = _TYPES.get(info.type, "file")
            size = info.size if type_ == "file" else 0
            link = info.linkname
            yield Member(_plain(info.name), type_, info.mode & 0o7777, info.uid, info.gid, size, link, "", number)


def _plain(name: str) -> str:
    return posixpath.normpath(name).strip("/") if name.strip("./") else ""


def _pieces(store: Store, layer: Layer, member: Member) -> Iterator[bytes]:
    """Of several members with one path the last counts, as it does when a layer is unpacked."""
    count = sum(one.path == member.path for one in members(store, layer, member.layer))
    with _opened(store, layer) as tar:
        for info in tar:
            if _plain(info.name) != member.path:
                continue
            count -= 1
            if not count:
                file = tar.content(info)
                while file and (piece := file.read(CHUNK)):
                    yield piece
                return
    raise StoreError(f"/{member.path} is not in its layer", remedy="build the image again")
