"""Turns what a command changed in a container into the members of one layer, the same whatever engine it ran in.

What only surrounds the command is left out, and so is a folder of which nothing but the time has changed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from pipeline.assemble.entry import MTIME, Entry
from pipeline.engine.members import Found, from_export, from_folder
from pipeline.engine.model import Container
from pipeline.engine.secrets import SECRETS
from pipeline.errors import AssembleError
from pipeline.manifest.secrets import mask

PRIVATE = "run/pipeline"
"""The folder in a container for files that only the step is to see."""

_SURROUNDINGS = (
    ".dockerenv",
    "dev",
    "etc/hosts",
    "etc/hostname",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "run/.containerenv",
    SECRETS.lstrip("/"),
    PRIVATE,
    "sys",
)
_SHORTEST_SECRET = 6


class Metadata(NamedTuple):
    """What the layers below say of a folder."""

    mode: int
    uid: int
    gid: int


class Below(Protocol):
    """What is known of the layers below."""

    def folders(self, paths: set[str]) -> Mapping[str, Metadata]:
        """The metadata of those of the paths that are folders."""
        ...

    def children(self, folder: str) -> Iterable[str]:
        """The paths right below a folder."""
        ...


def entries(
    container: Container,
    below: Below,
    scratch: Path,
    *,
    mounts: Iterable[str] = (),
    secrets: Mapping[str, str] | None = None,
) -> Iterator[Entry]:
    """The members of the layer, in order of their paths, to be packed while the container is there.

    `mounts` are folders that were not the container's own. Raises AssembleError for a file that holds one of `secrets`.
    """
    ignored = {*_SURROUNDINGS, *container.own(), *(mount.strip("/") for mount in mounts)}
    found, deleted = _read(container, below, scratch, ignored)
    kept = _kept(found, deleted, ignored, below)
    whiteouts = [Entry(_whiteout(path), mode=0) for path in deleted]
    for entry in sorted([*kept, *whiteouts], key=lambda entry: entry.path.split("/")):
        yield _without(secrets, _timeless(entry, found) if entry.type == "file" else entry)


def _read(container: Container, below: Below, scratch: Path, ignored: set[str]) -> tuple[Mapping[str, Found], set[str]]:
    """What is there that differs from the layers below, and the paths of what is gone.

    An engine compares whole file systems to tell, which takes long: the overlay's own folder is read where it can be.
    """
    upper = container.upper()
    if upper and (laid := from_folder(upper, lambda path: path in ignored)):
        emptied = {path for folder in laid.emptied for path in below.children(folder)} - laid.found.keys()
        return laid.found, laid.deleted | {path for path in emptied if not _is_at(path, ignored)}
    changes = [change for change in container.changes() if change.path and not _is_at(change.path, ignored)]
    deleted = {change.path for change in changes if change.kind == "deleted"}
    paths = {change.path for change in changes} - deleted
    return _exported(container, paths, scratch) if paths else {}, deleted


def _exported(container: Container, paths: set[str], scratch: Path) -> Mapping[str, Found]:
    """The members at `paths`, and the files of the layers below that they are hard links to: most engines unpack a
    layer alone, where such a link leads nowhere. An overlay has copies of these files, too.
    """
    found = from_export(container.export(), paths, scratch)
    targets = {one.entry.link for one in found.values() if one.entry.type == "hardlink"} - found.keys()
    return from_export(container.export(), paths | targets, scratch) if targets else found


def _kept(found: Mapping[str, Found], deleted: set[str], ignored: set[str], below: Below) -> list[Entry]:
    """Everything but folders, and the folders that are new, or differ, or lead to something else that is kept."""
    files = [one.entry for one in found.values() if one.entry.type != "dir"]
    leading = {above for path in [*(entry.path for entry in files), *deleted] for above in _above(path)}
    folders = {path: one.entry for path, one in found.items() if one.entry.type == "dir"}
    known = below.folders({*folders, *leading})
    mounts = {above for path in ignored for above in _above(path)}
    for path, entry in sorted(folders.items()):
        same = known.get(path) == (entry.mode, entry.uid, entry.gid)
        only_a_mount = path in mounts and path not in known
        if not (same or only_a_mount):
            leading |= {path, *_above(path)}
    return files + [folders.get(path) or _folder(path, known) for path in leading]


def _folder(path: str, known: Mapping[str, Metadata]) -> Entry:
    """A folder that leads to a change and is not one itself, as the layers below have it."""
    mode, uid, gid = known.get(path, Metadata(0o755, 0, 0))
    return Entry(path, "dir", mode, uid, gid)


def _is_at(path: str, ignored: set[str]) -> bool:
    return path in ignored or any(above in ignored for above in _above(path))


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:number]) for number in range(1, len(parts))]


def _whiteout(path: str) -> str:
    """The marker of a deleted path (OCI image-spec, layer.md, "Whiteouts")."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.wh.{name}".lstrip("/")


def _timeless(entry: Entry, found: Mapping[str, Found]) -> Entry:
    """Bytecode names its source's time (PEP 552), which the layer changes: it is given the layer's time as well."""
    folder, _, name = entry.path.rpartition("/")
    if not name.endswith(".pyc") or not folder.endswith("__pycache__"):
        return entry
    source = found.get(f"{folder.removesuffix('__pycache__')}{name.partition('.')[0]}.py")
    data = entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()
    if source is None or len(data) < 16:
        return entry
    flags, time = struct.unpack_from("<II", data, 4)
    if flags or time != int(source.mtime) & 0xFFFFFFFF:
        return entry
    return replace(entry, source=data[:8] + struct.pack("<I", MTIME) + data[12:])


def _without(secrets: Mapping[str, str] | None, entry: Entry) -> Entry:
    """The entry, if it holds no secret."""
    for name, text in (secrets or {}).items():
        secret = text.strip()
        if len(text) < _SHORTEST_SECRET:
            continue
        named = secret in entry.path or secret in entry.link
        if named or _holds(entry, secret.encode()):
            where = f"{'the name or the target of ' if named else ''}/{mask(entry.path, [secret])}"
            raise AssembleError(
                f"the command wrote the secret {name} into {where}, which would be in the image",
                remedy=f"read it from {SECRETS}/{name} where it is used, and remove what keeps it",
            )
    return entry


def _holds(entry: Entry, secret: bytes) -> bool:
    if any(secret in value for _, value in entry.xattrs):
        return True
    if isinstance(entry.source, bytes):
        return secret in entry.source
    tail = b""
    with entry.source.open("rb", buffering=0) as file:
        while piece := file.read(1 << 20):
            if secret in tail + piece:
                return True
            tail = piece[-len(secret) :]
    return False


__all__ = ["PRIVATE", "Below", "Metadata", "entries"]
