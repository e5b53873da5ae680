"""Shared libraries that an image has by the word of its package database and its linker's cache, its files unread.

/etc/ld.so.cache: glibc 2.32 and later, sysdeps/generic/dl-cache.h ("glibc-ld.so.cache1.1"), elf/dl-cache.c; older
ones have the same table behind another. Library packages are named by their libraries: Debian Policy, 8.1.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping

from pipeline.facts import Facts
from pipeline.oci.libraries import ARCHITECTURES, Elf

CACHE = "etc/ld.so.cache"
MAGIC = b"glibc-ld.so.cache1.1"
ELF_LIBC6 = 0x0003
ABI: Mapping[tuple[int, int], int] = {
    (64, 62): 0x0300,
    (32, 62): 0x0800,
    (32, 3): 0x0000,
    (64, 183): 0x0A00,
    (32, 40): 0x0900,
    (64, 21): 0x0500,
    (64, 22): 0x0400,
    (64, 243): 0x1000,
}
"""(bits, ELF machine) → the ABI flag of the cache (sysdeps/generic/ldconfig.h); ARM's is that of hard float."""

_HEADER, _ENTRY = 48, 24
_GLIBC = re.compile(
    r"lib(?:c|m|mvec)\.so\.6|libdl\.so\.2|libpthread\.so\.0|lib(?:rt|util|anl)\.so\.1|libresolv\.so\.2|ld-linux.*\.so\.\d"
)
_SONAME = re.compile(r"(.+)\.so\.([^.]+)")
_OTHERWISE_NAMED = {"libz.so.1": "zlib1g", "libcrypto.so.3": "libssl3", "libcrypto.so.1.1": "libssl1.1"}
"""Libraries whose packages do not bear their name, which wheels are allowed to need or often do."""


def by_facts(soname: str, asking: Elf, facts: Facts) -> bool:
    """Whether the libraries of the platform itself, or an installed package that bears the library's name, have it."""
    if ARCHITECTURES.get(asking.machine) != facts.platform.architecture or asking.bits != _bits(facts):
        return False
    if facts.libc and _GLIBC.fullmatch(soname):
        return True
    return any(name in facts.packages for name in _packages(soname))


def _bits(facts: Facts) -> int:
    return 32 if facts.platform.architecture in ("386", "arm") else 64


def _packages(soname: str) -> Iterator[str]:
    """The names that a library's package may have; t64 is of Debian's and Ubuntu's move to a 64-bit time_t."""
    if named := _OTHERWISE_NAMED.get(soname):
        yield from (named, f"{named}t64")
    if match := _SONAME.fullmatch(soname):
        stem, version = match[1].lower().replace("_", "-"), match[2].lower()
        name = f"{stem}-{version}" if stem[-1].isdigit() else f"{stem}{version}"
        yield from (name, f"{name}t64")


def cached(data: bytes) -> dict[tuple[str, int], str]:
    """(soname, ABI flag) → path, of an ld.so.cache; empty for what is none."""
    start = data.find(MAGIC)
    if start < 0:
        return {}
    # Offsets count from this header, also where an older table stands before it.
    data = data[start:]
    try:
        order = ">" if data[28] & 3 == 3 else "<"
        (count,) = struct.unpack_from(f"{order}I", data, len(MAGIC))
        found: dict[tuple[str, int], str] = {}
        for number in range(count):
            flags, key, value = struct.unpack_from(f"{order}iII", data, _HEADER + _ENTRY * number)
            if flags & 0xFF == ELF_LIBC6:
                found.setdefault((_text(data, key), flags & 0xFF00), _text(data, value))
    except (struct.error, IndexError, ValueError):
        return {}
    return found


def _text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode("utf-8", "surrogateescape")
