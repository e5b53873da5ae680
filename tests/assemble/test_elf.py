"""ELF files are read by the header alone, whichever machine they are for, and damaged ones are no error."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

from pipeline.assemble.elf import Elf, inspect


def elf(bits: int, order: str, machine: int, tags: list[tuple[int, int]], strings: bytes, interp: bytes = b"") -> bytes:
    """A minimal shared object: header, program headers, dynamic section, strings."""
    wide = bits == 64
    head, phdr, pair = (64, 56, "qQ") if wide else (52, 32, "iI")
    count = 2 + bool(interp)
    dynamic_at = head + phdr * count
    base = 0x10000
    strings_at = dynamic_at + struct.calcsize(order + pair) * (len(tags) + 2)
    dynamic = b"".join(struct.pack(order + pair, *tag) for tag in [*tags, (5, base + strings_at), (0, 0)])
    interp_at = strings_at + len(strings)
    total = interp_at + len(interp)
    segments = [(1, 0, total), (2, dynamic_at, len(dynamic)), *([(3, interp_at, len(interp))] if interp else [])]
    headers = b""
    for kind, offset, size in segments:
        if wide:
            headers += struct.pack(order + "IIQQQQQQ", kind, 4, offset, base + offset, 0, size, size, 8)
        else:
            headers += struct.pack(order + "IIIIIIII", kind, offset, base + offset, 0, size, size, 4, 4)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    address = "Q" if wide else "I"
    rest = struct.pack(
        order + f"HHI{address}{address}{address}IHHHHHH", 3, machine, 1, 0, head, 0, 0, head, phdr, count, 0, 0, 0
    )
    return ident + rest + headers + dynamic + strings + interp


STRINGS = b"\0libc.so.6\0libm.so.6\0libx.so.1\0$ORIGIN/../x.libs\0"
TAGS = [(1, 1), (1, 11), (14, 21), (29, 31)]


@pytest.mark.parametrize(("bits", "order", "machine"), [(64, "<", 62), (64, ">", 22), (32, "<", 3), (32, ">", 8)])
def test_every_class_and_byte_order(bits: int, order: str, machine: int, tmp_path: Path) -> None:
    data = elf(bits, order, machine, TAGS, STRINGS, b"/lib/ld.so\0")
    expected = Elf(
        bits,
        order == "<",
        machine,
        ("libc.so.6", "libm.so.6"),
        "libx.so.1",
        runpath="$ORIGIN/../x.libs",
        interpreter="/lib/ld.so",
    )
    assert inspect(data) == expected
    (tmp_path / "x.so").write_bytes(data)
    assert inspect(tmp_path / "x.so") == expected
    assert Elf.from_json(expected.to_json()) == expected


def test_a_real_program() -> None:
    found = inspect(Path(sys.executable).resolve())
    assert found is not None
    assert found.bits == struct.calcsize("P") * 8
    assert any(name.startswith("libc.so") for name in found.needed)


def test_what_is_no_elf_file_or_a_damaged_one_is_none(tmp_path: Path) -> None:
    data = elf(64, "<", 62, TAGS, STRINGS)
    whole = inspect(data)
    assert whole is not None
    for length in range(len(data)):
        assert inspect(data[:length]) in (None, whole)
    assert inspect(b"#!/bin/sh\n") is None
    assert inspect(b"\x7fELF" + b"\xff" * 300) is None
    (tmp_path / "empty").write_bytes(b"")
    assert inspect(tmp_path / "empty") is None


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.so"
    path.write_bytes(elf(64, "<", 62, TAGS, STRINGS))
    with path.open("r+b") as file:
        file.truncate(1 << 40)
    found = inspect(path)
    assert found is not None
    assert found.soname == "libx.so.1"
