"""A tar's members one after the other, from bytes that may be hostile: memory is bounded, and every flaw a TarError."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, Protocol, cast

HEADERS = 4 << 20
"""Bytes of all headers of one member (pax, "Extended Header"; GNU long names; maps of sparse files). Names have at most
4 KiB, and file attributes 64 KiB each.
"""
_OWNERS = 1 << 32
_DEVICES = 1 << 31
_SECONDS = float(1 << 55)
_BYTES = 1 << 62


class _Seekable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def seek(self, position: int, /) -> object: ...
    def tell(self) -> int: ...


class Forward:
    """A file that can only be read on, as one whose position may be set further on."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        while self._position < position and self.read(min(1 << 20, position - self._position)):
            pass

    def tell(self) -> int:
        return self._position


class _Metered:
    """A file of which no more than `left` bytes are read, while that is set."""

    def __init__(self, file: _Seekable) -> None:
        self._file = file
        self.left: int | None = None
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int) -> bytes:
        if self.left is not None:
            self.left -= size
            if self.left < 0:
                raise tarfile.ReadError(f"the headers of a member have more than {HEADERS >> 20} MiB")
        return self._file.read(size)


class Members:
    """The members of the uncompressed tar in `file`; names that are not UTF-8 have surrogates (PEP 383).

    Raises tarfile.TarError for what is no tar or a damaged one, or has numbers that no file has.
    """

    def __init__(self, file: _Seekable) -> None:
        self._file = _Metered(file)

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        member = self._next()
        while member is not None:
            _check(member)
            yield member
            member = self._next()

    def content(self, member: tarfile.TarInfo) -> IO[bytes] | None:
        """The bytes of the member that came last; none of what is no file.

        Raises tarfile.TarError for a sparse file: a few bytes may say that it has as many zeros as they like.
        """
        if member.issparse():
            raise tarfile.ReadError(f"{member.name[:200]!r} is a sparse file, which no layer may have")
        return self._tar.extractfile(member) if member.isreg() else None

    _tar: tarfile.TarFile = cast(tarfile.TarFile, None)

    def _next(self) -> tarfile.TarInfo | None:
        self._file.left = HEADERS
        try:
            if self._tar is None:
                self._tar = tarfile.TarFile(fileobj=cast(BinaryIO, self._file), errors="surrogateescape")
            member = self._tar.next()
            # Else it remembers every one.
            cast(Any, self._tar).members = []
            return member
        except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            raise tarfile.ReadError(str(error)) from error
        except RecursionError:
            raise tarfile.ReadError("a member has headers without end") from None
        finally:
            self._file.left = None


def _check(member: tarfile.TarInfo) -> None:
    """Refuses numbers that tarfile reads and no system has; a negative size would lead back to where it came from."""
    sound = (
        0 <= member.size < _BYTES
        and 0 <= member.uid < _OWNERS
        and 0 <= member.gid < _OWNERS
        and -_SECONDS < member.mtime < _SECONDS
        and member.mode >= 0
        and 0 <= member.devmajor < _DEVICES
        and 0 <= member.devminor < _DEVICES
    )
    if not sound:
        raise tarfile.ReadError(f"the header of {member.name[:200]!r} has impossible numbers")
