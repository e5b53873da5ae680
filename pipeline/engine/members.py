"""Reads the files that a command left: from the overlay's own folder where it can be read, else from an export."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from pipeline.assemble.entry import Entry, EntryType
from pipeline.engine.model import Container
from pipeline.errors import AssembleError
from pipeline.store.pieces import as_file

_SMALL = 1 << 16
_CAPABILITY = "security.capability"
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


def read(container: Container, paths: set[str], scratch: Path) -> dict[str, Found]:
    """The members at `paths`; sockets are left out. Raises AssembleError for one that is not there.

    Their content stays where it is, or lies below `scratch`: it can be read as long as the container is there.
    """
    if not paths:
        return {}
    upper = container.upper()
    found = None if upper is None else _from_folder(upper, paths)
    return found if found is not None else _from_export(container.export(), paths, scratch)


def _from_folder(upper: Path, paths: set[str]) -> dict[str, Found] | None:
    """None where a path is not in the folder: the overlay keeps it elsewhere."""
    found: dict[str, Found] = {}
    links: dict[tuple[int, int], str] = {}
    for path in sorted(paths, key=lambda path: path.split("/")):
        here = upper / path
        try:
            info = here.lstat()
        except OSError:
            return None
        type_ = _TYPES.get(stat.S_IFMT(info.st_mode))
        if type_ is None:
            continue
        entry = Entry(path, type_, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)
        first = links.setdefault((info.st_dev, info.st_ino), path)
        if type_ != "dir" and first != path:
            entry = replace(entry, type="hardlink", link=first)
        elif type_ == "file":
            entry = replace(entry, source=here, size=info.st_size, xattrs=_attributes(here))
        elif type_ == "symlink":
            entry = replace(entry, mode=0o777, link=str(here.readlink()))
        elif type_ in ("char", "block"):
            entry = replace(entry, device=(os.major(info.st_rdev), os.minor(info.st_rdev)))
        found[path] = Found(entry, info.st_mtime)
    return found


def _attributes(file: Path) -> tuple[tuple[str, bytes], ...]:
    try:
        return ((_CAPABILITY, os.getxattr(file, _CAPABILITY)),)
    except OSError:
        return ()


def _from_export(pieces: Iterable[bytes], paths: set[str], scratch: Path) -> dict[str, Found]:
    found: dict[str, Found] = {}
    with tarfile.open(fileobj=as_file(pieces), mode="r|", errors="surrogateescape") as tar:
        for member in tar:
            path = member.name.strip("/")
            if path in paths:
                found[path] = Found(_member(path, member, tar, scratch / str(len(found))), member.mtime)
    # A socket is in no tar, and left out; a name that is not UTF-8 is what the engine could not tell.
    if unnamed := [path for path in paths - found.keys() if "\ufffd" in path]:
        raise AssembleError(f"cannot read /{min(unnamed)}, which the command made", remedy="give it a name in UTF-8")
    return found


def _member(path: str, member: tarfile.TarInfo, tar: tarfile.TarFile, scratch: Path) -> Entry:
    entry = Entry(path, "file", member.mode & 0o7777, member.uid, member.gid)
    if not member.isreg():
        link = member.linkname.removeprefix("./").lstrip("/") if member.islnk() else member.linkname
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
