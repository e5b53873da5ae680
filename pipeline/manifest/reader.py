"""Reads a small text file from disk without ever blocking, growing or guessing."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from pipeline.errors import Diagnostic, Location, ManifestError

LIMIT = 1 << 20
"""Largest manifest, and largest `${file:}` value, in bytes."""

# What YAML 1.2.2, 5.1 "Character Set" leaves out of c-printable. (Its complement takes ten times as long to compile.)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")


def read_bytes(path: Path) -> bytes:
    """A regular file of at most LIMIT bytes.

    Raises OSError when it cannot be opened, and ValueError (message and remedy) for anything that is not such a file.
    """
    # O_NONBLOCK: opening a FIFO that nobody writes to must not wait.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"is {_type_name(status.st_mode)}, not a file", "name a text file")
        if status.st_size > LIMIT:
            raise ValueError(f"is {status.st_size:,} bytes long", f"at most {LIMIT:,} bytes are read")
        data = file.read(LIMIT + 1)
        if len(data) > LIMIT:
            raise ValueError("grew while it was read", f"at most {LIMIT:,} bytes are read")
        return data


def read_text(path: Path) -> str:
    """The text of a manifest; ManifestError says what is wrong with the file, and where in it."""
    name = str(path)
    try:
        data = read_bytes(path)
    except FileNotFoundError:
        raise _wrong(Location(name), "there is no such file", _similar(path)) from None
    except OSError as error:
        if path.is_dir():
            raise _wrong(Location(name), "is a folder, not a file", "name a YAML file") from None
        raise _wrong(Location(name), f"cannot be read: {error.strerror}", "check its permissions") from None
    except ValueError as error:
        message, *remedy = error.args
        raise _wrong(Location(name), message, *map(str, remedy)) from None
    return decode(data, name)


def decode(data: bytes, name: str) -> str:
    """UTF-8 text that YAML allows; ManifestError names the line and column of the first byte that is not."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        byte = data[error.start]
        raise _wrong(position(before, name), f"byte 0x{byte:02x} is not UTF-8", "save the file as UTF-8") from None
    text = text.removeprefix("\ufeff")
    if bad := _UNPRINTABLE.search(text):
        code = ord(bad.group())
        what = "a NUL byte" if code == 0 else f"a control character (U+{code:04X})"
        raise _wrong(position(text[: bad.start()], name), f"{what} in the text", "a manifest is plain text: remove it")
    return text


def lines_of(text: str) -> list[str]:
    """The lines as the YAML parser counts them."""
    return _BREAK.split(text)


def position(before: str, name: str) -> Location:
    """The place right after the text `before`."""
    lines = lines_of(before)
    return Location(name, len(lines), len(lines[-1]) + 1)


def _wrong(location: Location, message: str, remedy: str = "") -> ManifestError:
    return ManifestError([Diagnostic(location, message, remedy)])


def _type_name(mode: int) -> str:
    names = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return names.get(stat.S_IFMT(mode), "something else")


def _similar(path: Path) -> str:
    """Points at a file beside the missing one that was probably meant."""
    from pipeline.manifest.words import did_you_mean

    try:
        names = os.listdir(path.parent)
    except OSError:
        return f"the folder '{path.parent}' is not there either" if not path.parent.exists() else ""
    return did_you_mean(path.name, names)
