"""Reads the files that a command left: from the overlay's own folder where it can be read, else from an export."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.assemble.entry import Entry, EntryType
from pipeline.errors import AssembleError
from pipeline.store.pieces import as_file

_SMALL = 1 << 16
_CAPABILITY = "security.capability"
_OPAQUE = "trusted.overlay.opaque"
_ELSEWHERE = {"trusted.overlay.redirect", "trusted.overlay.metacopy"}
_TYPES: dict[int, EntryType] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
    stat.S_IFIFO: "fifo",
}
_TAR_TYPES: dict[bytes, EntryType] = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


class Found(NamedTuple):
    """A member, and its modification time in seconds, as the command left it."""

    entry: Entry
    mtime: float


class Laid(NamedTuple):
    """What lies in an overlay's upper directory: members, deleted paths, and folders that hide all that was below."""

    found: dict[str, Found]
    deleted: set[str]
    emptied: set[str]


def from_folder(upper: Path, ignored: Callable[[str], bool]) -> Laid | None:
    """Reads an upper directory; sockets are left out. None when the overlay keeps a part of it elsewhere.

    Its form is the kernel's (Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories").
    """
    laid = Laid({}, set(), set())
    links: dict[tuple[int, int], str] = {}
    for path, here in _walk(upper, "", ignored):
        info = here.lstat()
        type_ = _TYPES.get(stat.S_IFMT(info.st_mode))
        if type_ == "char" and not info.st_rdev:
            laid.deleted.add(path)
            continue
        attributes = set(os.listxattr(here)) if type_ in ("dir", "file") else set()
        if attributes & _ELSEWHERE:
            return None
        if _OPAQUE in attributes:
            laid.emptied.add(path)
        if type_ is not None:
            first = links.setdefault((info.st_dev, info.st_ino), path)
            laid.found[path] = Found(_laid(path, here, info, type_, first, attributes), info.st_mtime)
    return laid


def _walk(upper: Path, folder: str, ignored: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    """(path, place) of each file and folder, in the order of the paths."""
    for name in sorted(os.listdir(upper / folder)):
        path, here = f"{folder}/{name}".lstrip("/"), upper / folder / name
        if not ignored(path):
            yield path, here
            if here.is_dir() and not here.is_symlink():
                yield from _walk(upper, path, ignored)


def _laid(path: str, here: Path, info: os.stat_result, type_: EntryType, first: str, attributes: set[str]) -> Entry:
    entry = Entry(path, type_, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
    if type_ == "dir":
        return entry
    if first != path:
        return replace(entry, type="hardlink", link=first)
    if type_ == "file":
        xattrs = ((_CAPABILITY, os.getxattr(here, _CAPABILITY)),) if _CAPABILITY in attributes else ()
        return replace(entry, source=here, size=info.st_size, xattrs=xattrs)
    if type_ == "symlink":
        return replace(entry, mode=0o777, link=str(here.readlink()))
    return replace(entry, device=(os.major(info.st_rdev), os.minor(info.st_rdev)))


def from_export(pieces: Iterable[bytes], paths: set[str], scratch: Path) -> dict[str, Found]:
    """Reads the members at `paths` from a container's export; large files are kept below `scratch`."""
    found: dict[str, Found] = {}
    with tarfile.open(fileobj=as_file(pieces), mode="r|", errors="surrogateescape") as tar:
        for member in tar:
            path = member.name.strip("/")
            # A file of the layers below that comes after a new link to it is told as a link to that.
            if path in paths or (member.islnk() and _target(member) in found):
                found[path] = Found(_member(path, member, tar, scratch / str(len(found))), member.mtime)
    # A socket is in no tar, and left out; a name that is not UTF-8 is what the engine could not tell.
    if unnamed := [path for path in paths - found.keys() if "\ufffd" in path]:
        raise AssembleError(f"cannot read /{min(unnamed)}, which the command made", remedy="give it a name in UTF-8")
    return found


def _target(member: tarfile.TarInfo) -> str:
    return member.linkname.removeprefix("./").lstrip("/")


def _member(path: str, member: tarfile.TarInfo, tar: tarfile.TarFile, scratch: Path) -> Entry:
    entry = Entry(path, "file", member.mode & 0o7777, member.uid, member.gid)
    if not member.isreg():
        link = _target(member) if member.islnk() else member.linkname
        mode = 0o777 if member.issym() else entry.mode
        device = (member.devmajor, member.devminor)
        return replace(entry, type=_TAR_TYPES[member.type], mode=mode, link=link, device=device)
    capability = member.pax_headers.get(f"SCHILY.xattr.{_CAPABILITY}")
    xattrs = ((_CAPABILITY, capability.encode("utf-8", "surrogateescape")),) if capability else ()
    file = tar.extractfile(member)
    assert file is not None
    if member.size <= _SMALL:
        return replace(entry, source=file.read(), size=member.size, xattrs=xattrs)
    with scratch.open("wb") as copy:
        while piece := file.read(1 << 20):
            copy.write(piece)
    return replace(entry, source=scratch, size=member.size, xattrs=xattrs)
