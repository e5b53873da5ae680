"""Tar headers that are the same everywhere (POSIX.1-2001 ustar, with pax records for what ustar cannot hold)."""

from __future__ import annotations

from pipeline.assemble.entry import MTIME, Entry

BLOCK = 512
END = bytes(2 * BLOCK)

_TYPES = {"file": b"0", "hardlink": b"1", "symlink": b"2", "char": b"3", "block": b"4", "dir": b"5", "fifo": b"6"}
_MAX_OCTAL_SIZE = 0o77777777777
_MAX_OCTAL_ID = 0o7777777


def padding(size: int) -> bytes:
    """The zero bytes after `size` bytes of content."""
    return bytes(-size % BLOCK)


def header(entry: Entry) -> bytes:
    """The header blocks of one member, pax records first where they are needed."""
    path = entry.path + "/" if entry.type == "dir" else entry.path
    name, link = path.encode(), entry.link.encode()
    records: dict[str, str] = {}
    prefix, name = _split(name)
    if prefix is None:
        records["path"] = path
        prefix, name = b"", name[:100]
    if len(link) > 100 or not link.isascii():
        records["linkpath"] = entry.link
        link = link[:100]
    if not path.isascii():
        records["path"] = path
    size = entry.size if entry.type == "file" else 0
    if size > _MAX_OCTAL_SIZE:
        records["size"] = str(size)
    for field, number in (("uid", entry.uid), ("gid", entry.gid)):
        if number > _MAX_OCTAL_ID:
            records[field] = str(number)
    for attribute, value in entry.xattrs:
        records[f"SCHILY.xattr.{attribute}"] = value.decode("utf-8", "surrogateescape")
    block = _block(entry, name, prefix, link, 0 if "size" in records else size)
    return (_pax(records) if records else b"") + block


def _split(name: bytes) -> tuple[bytes | None, bytes]:
    """A path as ustar's prefix and name; no prefix at all when it does not fit."""
    if len(name) <= 100:
        return b"", name
    cut = name.rfind(b"/", 0, min(156, len(name) - 1))
    if cut > 0 and len(name) - cut - 1 <= 100:
        return name[:cut], name[cut + 1 :]
    return None, name


def _block(entry: Entry, name: bytes, prefix: bytes, link: bytes, size: int, typeflag: bytes = b"") -> bytes:
    major, minor = entry.device
    block = bytearray(
        b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\x0000%b%07o\0%07o\0%b%b"
        % (
            name.ljust(100, b"\0"),
            entry.mode & 0o7777,
            entry.uid if entry.uid <= _MAX_OCTAL_ID else 0,
            entry.gid if entry.gid <= _MAX_OCTAL_ID else 0,
            size,
            MTIME,
            typeflag or _TYPES[entry.type],
            link.ljust(100, b"\0"),
            bytes(64),
            major,
            minor,
            prefix.ljust(155, b"\0"),
            bytes(12),
        )
    )
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _pax(records: dict[str, str]) -> bytes:
    body = b"".join(_record(key, value) for key, value in sorted(records.items()))
    block = _block(Entry("pax"), b"././@PaxHeader", b"", b"", len(body), b"x")
    return block + body + padding(len(body))


def _record(key: str, value: str) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where LENGTH counts itself (POSIX pax, "pax Extended Header")."""
    rest = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest
