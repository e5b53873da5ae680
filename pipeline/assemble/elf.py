"""Reads what the dynamic linker would of an ELF file, touching no more of it than that takes.

Format: System V ABI, chapters 4 and 5 (ELF header, program header, dynamic section).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from pipeline.oci.libraries import Elf

MAGIC = b"\x7fELF"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 14, 15, 29
_LONGEST = 4096

Bytes = bytes | mmap.mmap

__all__ = ["MAGIC", "Elf", "inspect"]


def inspect(source: bytes | Path) -> Elf | None:
    """The facts of an ELF file, given as its bytes or its path; None for any other file and for a malformed one."""
    if isinstance(source, bytes):
        return _read(source) if source[:4] == MAGIC else None
    with source.open("rb", buffering=0) as file:
        if file.read(4) != MAGIC:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(content)


def _read(data: Bytes) -> Elf | None:
    try:
        return _elf(data)
    except (struct.error, IndexError, ValueError, OverflowError):
        return None


def _elf(data: Bytes) -> Elf:
    if data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ValueError("neither 32 nor 64 bits, or neither byte order")
    bits, order = (32, 64)[data[4] - 1], "<>"[data[5] - 1]
    machine = struct.unpack_from(order + "H", data, 18)[0]
    segments = list(_segments(data, bits, order))
    interpreter = next((_text(data, offset) for kind, offset, _, _ in segments if kind == _PT_INTERP), "")
    tags = [
        tag
        for kind, offset, _, size in segments
        if kind == _PT_DYNAMIC
        for tag in _tags(data, offset, size, bits, order)
    ]
    strings = next((value for tag, value in tags if tag == _DT_STRTAB), None)
    if strings is None:
        return Elf(bits, order == "<", machine, interpreter=interpreter)
    table = _offset(strings, segments)

    def texts(wanted: int) -> tuple[str, ...]:
        return tuple(_text(data, table + value) for tag, value in tags if tag == wanted)

    return Elf(
        bits,
        order == "<",
        machine,
        needed=texts(_DT_NEEDED),
        soname="".join(texts(_DT_SONAME)[:1]),
        rpath="".join(texts(_DT_RPATH)[:1]),
        runpath="".join(texts(_DT_RUNPATH)[:1]),
        interpreter=interpreter,
    )


def _segments(data: Bytes, bits: int, order: str) -> Iterator[tuple[int, int, int, int]]:
    """Each program header: its type, offset in the file, address in memory, and size in the file."""
    wide = bits == 64
    start = struct.unpack_from(order + ("Q" if wide else "I"), data, 32 if wide else 28)[0]
    size, count = struct.unpack_from(order + "HH", data, 54 if wide else 42)
    for index in range(count):
        place = start + index * size
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(order + "IIQQQQ", data, place)
        else:
            kind, offset, address, _, length = struct.unpack_from(order + "IIIII", data, place)
        yield kind, offset, address, length


def _tags(data: Bytes, offset: int, size: int, bits: int, order: str) -> Iterator[tuple[int, int]]:
    """The dynamic section's tags with their values."""
    pair = struct.Struct(order + ("qQ" if bits == 64 else "iI"))
    for place in range(offset, offset + size - pair.size + 1, pair.size):
        tag, value = pair.unpack_from(data, place)
        if tag == _DT_NULL:
            return
        yield tag, value


def _offset(address: int, segments: list[tuple[int, int, int, int]]) -> int:
    """Where in the file lies what the program finds at an address."""
    for kind, offset, start, size in segments:
        if kind == _PT_LOAD and start <= address < start + size:
            return address - start + offset
    raise ValueError("an address outside the file")


def _text(data: Bytes, start: int) -> str:
    end = data.find(b"\0", start, start + _LONGEST)
    if start < 0 or start >= len(data) or end < 0:
        raise ValueError("a text without an end")
    return data[start:end].decode("utf-8", "surrogateescape")
