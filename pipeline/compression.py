"""Opens compressed files and streams: xz, gzip, bzip2, zstd and plain."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from typing import IO, cast

SUFFIXES = {".xz": "xz", ".gz": "gz", ".bz2": "bz2", ".zst": "zst", ".lzma": "xz"}


class Damaged(Exception):
    """The compressed bytes are cut short or wrong; the message says how."""


def suffix_kind(name: str) -> str:
    """`xz` for `data.tar.xz`; empty for a name that tells of no compression."""
    dot = name.rfind(".")
    return SUFFIXES.get(name[dot:], "") if dot >= 0 else ""


def reader(raw: IO[bytes], kind: str) -> IO[bytes]:
    """`raw` decompressed as it is read. Its reads raise what the library of `kind` raises: see `DAMAGE`."""
    if kind == "xz":
        return cast(IO[bytes], lzma.LZMAFile(raw))
    if kind == "gz":
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if kind == "bz2":
        return cast(IO[bytes], bz2.BZ2File(raw))
    if kind == "zst":
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw, read_across_frames=True)
    return raw


def decompress(data: bytes, kind: str) -> bytes:
    """A whole buffer decompressed, outside the interpreter's lock as far as the library can. Raises Damaged."""
    try:
        if kind == "xz":
            return lzma.decompress(data)
        return reader(io.BytesIO(data), kind).read()
    except damage() as error:
        raise Damaged(str(error)) from None


def damage() -> tuple[type[BaseException], ...]:
    """What a reader may raise for bytes that are not what they should be."""
    import zstandard

    return (lzma.LZMAError, zlib.error, EOFError, OSError, zstandard.ZstdError)
