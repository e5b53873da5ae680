"""Reads what a layer holds from its tar, for layers that were not packed here."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.assemble import elf
from pipeline.assemble.entry import Entry, EntryType
from pipeline.assemble.layer import Contents
from pipeline.errors import AssembleError
from pipeline.oci.descriptor import Layer
from pipeline.store import Store
from pipeline.store.tarstream import Stream, open_tar

_TYPES: dict[bytes, EntryType] = {
    tarfile.DIRTYPE: "dir",
    tarfile.SYMTYPE: "symlink",
    tarfile.LNKTYPE: "hardlink",
    tarfile.CHRTYPE: "char",
    tarfile.BLKTYPE: "block",
    tarfile.FIFOTYPE: "fifo",
}


def describe(store: Store, layer: Layer) -> None:
    """Keeps what a layer of the store holds, read from its blob, unless that is known."""
    if store.has_layer(layer):
        return
    with store.scratch() as folder:
        contents = scan(store.blobs.path(layer.blob.digest), layer.blob.media_type, folder / "member")
    store.put_contents(layer, contents.to_json())


def scan(blob: Path, media_type: str, scratch: Path) -> Contents:
    """The contents of the layer in `blob`; `scratch` is a path for one file at a time.

    Memory stays bounded whatever the files' sizes. Raises AssembleError for a blob that is no tar.
    """
    contents = Contents()
    try:
        with open_tar(blob, media_type) as stream:
            with tarfile.TarFile(fileobj=cast(BinaryIO, stream), errors="surrogateescape") as tar:
                for member in tar:
                    _member(member, stream, contents, scratch)
                    tar.members = []  # type: ignore[attr-defined]  # else it remembers every one
            stream.drain()
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise AssembleError(
            f"the layer {blob.name[:12]} is damaged: {error}", remedy="fetch or build it again"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)
    return contents


def _member(member: tarfile.TarInfo, stream: Stream, contents: Contents, scratch: Path) -> None:
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
    contents.add(Entry(_text(path), type_, member.mode & 0o7777, member.uid, member.gid, size=size, link=_link(member)))
    if size > len(elf.MAGIC) and not member.issparse() and (facts := _elf(stream, size, scratch)):
        contents.elf[_text(path)] = facts.to_json()


def _link(member: tarfile.TarInfo) -> str:
    link = _text(member.linkname)
    return link.removeprefix("./").lstrip("/") if member.islnk() else link


def _text(name: str) -> str:
    """A name as JSON can hold it: bytes that are not UTF-8 are shown."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _elf(stream: Stream, size: int, scratch: Path) -> elf.Elf | None:
    """The facts of the member that `stream` stands at, put into a file first: their places are all over it."""
    first = stream.read(len(elf.MAGIC))
    if first != elf.MAGIC:
        return None
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, first)
        stream.copy_to(descriptor, size - len(first))
    finally:
        os.close(descriptor)
    return elf.inspect(scratch)
