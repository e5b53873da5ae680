"""Reads what a layer holds from its tar, for layers that were not packed here."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.assemble import elf
from pipeline.assemble.entry import Entry, EntryType
from pipeline.assemble.layer import Contents
from pipeline.digest import short
from pipeline.errors import AssembleError
from pipeline.oci.descriptor import Layer
from pipeline.oci.image_facts import KEPT
from pipeline.store import Store
from pipeline.store.blobs import lost, spoiled
from pipeline.store.globs import expression
from pipeline.store.tarmembers import Members
from pipeline.store.tarstream import Stream, open_tar

_TYPES: dict[bytes, EntryType] = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


_LARGEST = 4 << 20
"""Bytes of a file that is kept."""
_IN_MEMORY = 16 << 20
"""Bytes of an ELF file that is not put into a file of its own first."""
_LARGEST_ELF = 4 << 30
"""Bytes of an ELF file that is looked into: what is put on disk meanwhile is bounded."""


@dataclass
class Scanned:
    """What one pass over a layer's tar told: its contents, its small files that fit `keep`, and its digest."""

    keep: Callable[[str], bool]
    contents: Contents = field(default_factory=Contents)
    files: dict[str, bytes] = field(default_factory=dict)
    digest: str = ""


def describe(store: Store, layer: Layer) -> None:
    """Keeps what a layer of the store holds, read from its blob, and its files of image_facts.KEPT; once.

    AssembleError for a layer that is not the one that its image's config tells of (config.md, "rootfs"); Lost for a
    blob that is missing or was damaged.
    """
    if store.has_layer(layer):
        return
    blob = store.blobs.path(layer.blob.digest)
    try:
        with store.scratch() as folder:
            found = scan(blob, layer.blob.media_type, folder / "member", KEPT)
    except (AssembleError, FileNotFoundError) as error:
        if spoiled(blob, layer.blob.digest):
            raise lost(layer.blob.digest) from error
        raise
    if found.digest != layer.diff_id:
        if spoiled(blob, layer.blob.digest):
            raise lost(layer.blob.digest)
        unpacked, told = short(found.digest), short(layer.diff_id)
        raise AssembleError(
            f"layer {short(layer.blob.digest)} unpacks to {unpacked}, and its image tells of {told}",
            remedy="take another image",
        )
    store.put_files(layer, found.files)
    store.put_contents(layer, found.contents.to_json())


def scan(blob: Path, media_type: str, scratch: Path, keep: Sequence[str] = ()) -> Scanned:
    """One pass over the layer in `blob`; `scratch` is a path for one file at a time, `keep` are absolute globs.

    Memory stays bounded whatever the files' sizes. Raises AssembleError for a blob that is no tar.
    """
    found = Scanned(_fits(keep))
    try:
        with open_tar(blob, media_type) as stream:
            for member in Members(stream):
                _member(member, stream, found, scratch)
            # tarfile takes a header that it cannot read for the archive's end.
            if stream.drain():
                raise ValueError("it goes on after its end")
            found.digest = stream.digest
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise AssembleError(
            f"the layer {blob.name[:12]} is damaged: {error}", remedy="fetch or build it again"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
    return found


def _fits(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Whether a path without its leading slash fits one of absolute globs."""
    plain = [pattern.lstrip("/") for pattern in patterns]
    names = re.compile("|".join(expression(pattern.rpartition("/")[2]) for pattern in plain) or r"(?!)", re.DOTALL)
    whole = re.compile("|".join(map(expression, plain)) or r"(?!)", re.DOTALL)
    # Few names fit, and they are looked at first: a whole path takes twenty times as long.
    return lambda path: bool(names.fullmatch(path.rpartition("/")[2]) and whole.fullmatch(path))


def _member(member: tarfile.TarInfo, stream: Stream, found: Scanned, scratch: Path) -> None:
    for name in (member.name, member.linkname) if member.islnk() else (member.name,):
        if ".." in name.split("/"):
            raise AssembleError(
                f"a layer holds {name[:200]!r}, a path that leaves the image", remedy="do not use this image"
            )
    path = "/".join(part for part in member.name.split("/") if part not in ("", "."))
    if not path:
        return
    type_ = "file" if member.isreg() else _TYPES.get(member.type)
    if type_ is None:
        return
    size = member.size if type_ == "file" else 0
    entry = Entry(_text(path), type_, member.mode & 0o7777, member.uid, member.gid, size=size, link=_link(member))
    found.contents.add(entry)
    if member.issparse():
        return
    if 0 < size <= _LARGEST and found.keep(entry.path):
        found.files[entry.path] = stream.read(size)
    elif len(elf.MAGIC) < size <= _LARGEST_ELF and (facts := _elf(stream, size, scratch)):
        found.contents.elf[entry.path] = facts.to_json()


def _link(member: tarfile.TarInfo) -> str:
    link = _text(member.linkname)
    return link.removeprefix("./").lstrip("/") if member.islnk() else link


def _text(name: str) -> str:
    """A name as JSON can hold it: bytes that are not UTF-8 are shown."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _elf(stream: Stream, size: int, scratch: Path) -> elf.Elf | None:
    """The facts of the member that `stream` stands at; of a large one from a file: their places are all over it."""
    first = stream.read(len(elf.MAGIC))
    if first != elf.MAGIC:
        return None
    if size <= _IN_MEMORY:
        return elf.inspect(first + stream.read(size - len(first)))
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, first)
        stream.copy_to(descriptor, size - len(first))
    finally:
        os.close(descriptor)
    return elf.inspect(scratch)
