"""Opens compressed files and streams: xz, gzip, bzip2, zstd and plain."""

from __future__ import annotations

import io
import zlib
from typing import IO, Any, cast

SUFFIXES = {".xz": "xz", ".gz": "gz", ".bz2": "bz2", ".zst": "zst", ".lzma": "xz"}

_GZIP_FORMAT = 31
"""zlib's `wbits` for a gzip header and trailer, without name and time."""


class Damaged(Exception):
    """The compressed bytes are cut short or wrong; the message says how."""


def suffix_kind(name: str) -> str:
    """`xz` for `data.tar.xz`; empty for a name that tells of no compression."""
    dot = name.rfind(".")
    return SUFFIXES.get(name[dot:], "") if dot >= 0 else ""


class _Xz(io.RawIOBase):
    """Reads xz a megabyte at a time.

    lzma.LZMAFile feeds its decompressor 8 KB at a time, and takes the interpreter's lock back after each: two threads
    that decompress are then slower than one.
    """

    BLOCK = 1 << 20

    def __init__(self, raw: IO[bytes]) -> None:
        import lzma

        self._raw = raw
        self._new = lzma.LZMADecompressor
        self._decompressor = self._new()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        pieces: list[bytes] = []
        left = size
        while left:
            piece = self._piece(left if size >= 0 else -1)
            if not piece:
                break
            pieces.append(piece)
            left -= len(piece) if size >= 0 else 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _piece(self, limit: int) -> bytes:
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._decompressor.unused_data.lstrip(b"\0") or self._raw.read(self.BLOCK)
                if not data.strip(b"\0"):
                    return b""
                self._decompressor = self._new()
            elif self._decompressor.needs_input and not (data := self._raw.read(self.BLOCK)):
                raise EOFError("the compressed data ends early")
            if out := self._decompressor.decompress(data, limit):
                return out


def reader(raw: IO[bytes], kind: str) -> IO[bytes]:
    """`raw` decompressed as it is read. Its reads raise what `damage` lists."""
    if kind == "xz":
        return cast(IO[bytes], _Xz(raw))
    if kind == "gz":
        # ISA-L's inflate: three times as fast as zlib's.
        from isal import igzip

        return cast(IO[bytes], cast(Any, igzip).GzipFile(fileobj=raw))
    if kind == "bz2":
        import bz2

        return cast(IO[bytes], bz2.BZ2File(raw))
    if kind == "zst":
        import zstandard

        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(raw, read_across_frames=True)
    return raw


def decompress(data: bytes, kind: str) -> bytes:
    """A whole buffer decompressed, outside the interpreter's lock as far as the library can. Raises Damaged."""
    try:
        if kind == "xz":
            import lzma

            return lzma.decompress(data)
        return reader(io.BytesIO(data), kind).read()
    except damage() as error:
        raise Damaged(str(error)) from None


def zstd_compressor(level: int, threads: int = 0) -> Any:
    """`compress(data)` and `flush()` give one zstd frame (RFC 8878).

    With worker threads the frame is cut into jobs by size alone: one worker or eight give the same bytes.
    """
    import zstandard

    return zstandard.ZstdCompressor(
        level=level, threads=threads, write_checksum=False, write_content_size=False
    ).compressobj()


def zstd_codec() -> str:
    """What determines the bytes that `zstd_compressor` makes, beside its arguments: the library's version."""
    import zstandard

    return ".".join(map(str, zstandard.ZSTD_VERSION))


def gzip_codec() -> str:
    """What determines the bytes that `gzip_compressor` makes: ISA-L's deflate, by its version."""
    from isal import __version__

    return str(__version__)


def gzip_compressor(level: int) -> Any:
    """`compress(data)` and `flush()` give one gzip member (RFC 1952) without name and time; `level` is 0 to 3."""
    from isal import isal_zlib

    return isal_zlib.compressobj(level, wbits=_GZIP_FORMAT)


def zstd(data: bytes, level: int) -> bytes:
    """`data` as one zstd frame with its size and checksum."""
    import zstandard

    return zstandard.ZstdCompressor(level=level, write_checksum=True).compress(data)


def unzstd(data: bytes) -> bytes:
    """What `zstd` was given. Raises Damaged."""
    import zstandard

    try:
        return zstandard.ZstdDecompressor().decompress(data)
    except zstandard.ZstdError as error:
        raise Damaged(str(error)) from None


def damage() -> tuple[type[Exception], ...]:
    """What a reader may raise for bytes that are not what they should be."""
    import gzip
    import lzma

    import zstandard
    from isal import isal_zlib

    isal_error = cast(type[Exception], isal_zlib.error)
    return (lzma.LZMAError, zlib.error, isal_error, gzip.BadGzipFile, EOFError, zstandard.ZstdError)
