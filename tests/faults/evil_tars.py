# ruff: noqa: E501
"""Tars that no honest tool writes: every header field, extension and order that a reader may stumble over."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from typing import Any

import zstandard

Chance = random.Random
BLOCK = 512
END = bytes(2 * BLOCK)
GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
STATUS = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n"


def header(
    name: bytes = b"f",
    size: bytes | int = 0,
    kind: bytes = b"0",
    link: bytes = b"",
    mode: bytes = b"0000644",
    uid: bytes = b"0000000",
    mtime: bytes = b"00000000000",
    magic: bytes = b"ustar\x0000",
    device: tuple[bytes, bytes] = (b"0000000", b"0000000"),
    checksum: int | None = None,
    rest: bytes = b"",
) -> bytes:
    """One ustar header block with its fields as they are given."""
    number = b"%011o" % size if isinstance(size, int) else size
    block = bytearray(BLOCK)
    fields = [
        (0, 100, name), (100, 8, mode), (108, 8, uid), (116, 8, uid), (124, 12, number), (136, 12, mtime),
        (148, 8, b"        "), (156, 1, kind), (157, 100, link), (257, 8, magic), (329, 8, device[0]), (337, 8, device[1]),
        (345, 155, rest),
    ]  # fmt: skip
    for start, length, value in fields:
        block[start : start + length] = value[:length].ljust(length, b"\0")
    block[148:156] = b"%06o\0 " % (sum(block) if checksum is None else checksum)
    return bytes(block)


def member(name: bytes, data: bytes = b"", **fields: Any) -> bytes:
    fields.setdefault("size", len(data))
    return header(name, **fields) + padded(data)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header (pax, "Extended Header") of these records."""
    body = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        length += len(str(length + len(str(length))))
        body += b"%d %b=%b\n" % (length, key, value)
    return member(b"././@PaxHeader", body, kind=kind)


def large(number: int) -> bytes:
    """A number of 12 bytes in base 256, as GNU tar writes what octal digits cannot hold."""
    return (b"\x80" if number >= 0 else b"\xff") + (number & (1 << 88) - 1).to_bytes(11, "big")


def good(chance: Chance) -> list[bytes]:
    """The members of a small Debian, as any base has them."""
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    found = [
        member(b"etc/", kind=b"5", mode=b"0000755"),
        member(b"etc/os-release", b"ID=debian\nVERSION_ID=12\n"),
        member(b"usr/bin/", kind=b"5"),
        member(b"usr/bin/python3.11", elf + chance.randbytes(200), mode=b"0000755"),
        member(b"usr/bin/python3", kind=b"2", link=b"python3.11"),
        member(b"usr/bin/same", kind=b"1", link=b"usr/bin/python3.11"),
        member(b"var/lib/dpkg/status", STATUS),
    ]
    return found[: chance.randint(0, len(found))] if chance.random() < 0.2 else found


def evil(chance: Chance, outside: str) -> bytes:
    """One or a few members of a kind that should not be; `outside` is a folder that nothing may be written to."""
    return chance.choice(_EVILS)(chance, outside.encode())


def _name(chance: Chance, outside: bytes) -> bytes:
    up = b"../" * chance.randint(1, 9)
    names = [
        up + outside.lstrip(b"/") + b"/x", outside + b"/x", b"etc/../../x", b"./" + up + b"x", b"", b"/", b".", b"..", b"//",
        b"a//b/", b"etc/./x", b"\xff\xfe", b"a\nb", b"a\x00b", b"etc", b"usr/bin/python3/x", b"etc/os-release/x", b" ",
        b".wh.", b".wh..wh..opq", b"etc/.wh.os-release", b".wh..wh.x", b"etc/.wh...", b".wh.etc", b"usr/.wh..", b"\\..\\x",
        b"dev/null", b"proc/self/mem", b"usr/bin/same", "é/ü".encode(), b"a" * 100, b"d/" * 49, b"%s%n", b"-rf", b"C:x",
    ]  # fmt: skip
    return chance.choice(names)


def _odd_name(chance: Chance, outside: bytes) -> bytes:
    kind = chance.choice([b"0", b"0", b"5", b"2", b"1", b"6", b"7", b"\0"])
    return member(_name(chance, outside), b"evil" if kind == b"0" else b"", kind=kind, link=_name(chance, outside))


def _through_link(chance: Chance, outside: bytes) -> bytes:
    target = chance.choice([outside, b"../" * 12 + outside.lstrip(b"/"), b"..", b"/", b"l", b"/proc/self/cwd"])
    links = member(b"l", kind=b"2", link=target) + member(b"m", kind=b"2", link=b"l")
    last = chance.choice([b"l/x", b"m/x", b"l", b"m/../x"])
    return links + member(last, b"evil", kind=chance.choice([b"0", b"5", b"1"]), link=b"l/canary")


def _hard_link(chance: Chance, outside: bytes) -> bytes:
    target = chance.choice(
        [b"missing", b"h", outside + b"/canary", b"../" * 12 + outside.lstrip(b"/") + b"/canary", b"etc", b""]
    )
    return member(b"h", kind=b"1", link=target, size=chance.choice([0, 0, 5, 10**9])) + member(
        b"h2", kind=b"1", link=b"h"
    )


def _device(chance: Chance, _outside: bytes) -> bytes:
    numbers = [b"0000000", b"7777777", b"garbage", b"\x80" + b"\xff" * 7, b"-1"]
    return member(
        b"dev/x", kind=chance.choice([b"3", b"4", b"6"]), device=(chance.choice(numbers), chance.choice(numbers))
    )


def _unknown(chance: Chance, _outside: bytes) -> bytes:
    kind = chance.choice([b"S", b"V", b"M", b"D", b"N", b"Z", b"\xff", b"g", b"x", b"L", b"K", b"X", b"A"])
    return member(b"u", chance.choice([b"", b"abc", chance.randbytes(600)]), kind=kind)


def _number(chance: Chance, _outside: bytes) -> bytes:
    odd = chance.choice([
        b"77777777777", large(2**40), large(2**87), large(-1), large(-(2**40)), large(-512), b"garbage", b"-1", b" 12 ", b"9",
        b"\x80" + b"\xff" * 11, b"", b"1e9",
    ])  # fmt: skip
    field = chance.choice(["size", "size", "size", "mtime", "uid", "mode"])
    kind = chance.choice([b"0", b"0", b"5", b"2"])
    return member(b"n", b"evil", kind=kind, link=b"x", **{field: odd})


def _pax(chance: Chance, outside: bytes) -> bytes:
    records = [
        (b"size", b"-1"), (b"size", b"-512"), (b"size", b"99999999999999"), (b"size", b"9" * 60), (b"size", b"x"), (b"size", b""),
        (b"mtime", b"nan"), (b"mtime", b"inf"), (b"mtime", b"-inf"), (b"mtime", b"1e400"), (b"mtime", b"-1e18"), (b"mtime", b"x"),
        (b"uid", b"-5"), (b"uid", b"9" * 30), (b"gid", b"4294967296"), (b"uid", b"1.5"), (b"path", _name(chance, outside)),
        (b"linkpath", outside + b"/canary"), (b"path", b"p" * 100_000), (b"path", b"\xff\xfe"), (b"path", b"a/" * 3000 + b"b"),
        (b"hdrcharset", b"BINARY"), (b"GNU.sparse.major", b"1"), (b"GNU.sparse.map", b"0,1,x"), (b"GNU.sparse.size", b"-9"),
        (b"GNU.sparse.realsize", b"99999999999999999"), (b"GNU.sparse.name", outside + b"/x"), (b"GNU.sparse.numblocks", b"9" * 9),
        (b"SCHILY.xattr.user.x", b"v"), (b"SCHILY.xattr.trusted.overlay.opaque", b"y"), (b"SCHILY.xattr.", b""), (b"", b""),
        (b"SCHILY.xattr.user." + b"n" * 400, b"v" * 70_000), (b"SCHILY.xattr.security.capability", b"garbage"), (b"path", b"a\0b"),
    ]  # fmt: skip
    kind = chance.choice([b"x", b"x", b"x", b"g", b"X"])
    return pax(*chance.sample(records, chance.choice([1, 1, 2, 3])), kind=kind) + member(b"p", b"evil")


def _pax_garbage(chance: Chance, _outside: bytes) -> bytes:
    body = chance.choice([
        b"garbage", b"5 a=b\n", b"999 path=x\n", b"0 path=x\n", b"-3 path=x\n", b"11 path=xx\n" + b"\0" * 30, b"12 path=\xff\xff\n",
        b"9" * 4000 + b" a=b\n", b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", b"\n", b"6 a=b\n" * 500,
    ])  # fmt: skip
    return member(b"pax", body, kind=chance.choice([b"x", b"g"])) + member(b"p", b"1\n0\n99999999999\n")


def _sparse(chance: Chance, _outside: bytes) -> bytes:
    table = b"".join(
        b"%011o\0%011o\0" % (chance.choice([0, 512, 8**11 - 1]), chance.choice([0, 512, 8**11 - 1])) for _ in range(4)
    )
    block = bytearray(header(b"s", 1024, b"S"))
    block[386 : 386 + len(table)] = table
    block[482:483] = chance.choice([b"\0", b"\1"])
    block[483:495] = chance.choice([b"77777777777\0", large(-1), large(2**80), b"garbage".ljust(12, b"\0")])
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    old = bytes(block) + bytes(1024)
    new = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"99999999999"))
    new += member(b"s", chance.choice([b"1\n0\n9999999\n", b"99999999\n", b"garbage\n", b"-1\n", b""]))
    return chance.choice([old, new])


def _long(chance: Chance, outside: bytes) -> bytes:
    kind = chance.choice([b"L", b"K"])
    whole = member(b"././@LongLink", _name(chance, outside) + b"\0", kind=kind) + member(b"x", b"evil")
    endless = header(b"././@LongLink", chance.choice([8**11 - 1, 10**9, 70 << 20]), kind)
    return chance.choice(
        [whole, endless, endless + bytes(5 * BLOCK), member(b"././@LongLink", b"n" * 50_000, kind=kind)]
    )


def _chain(chance: Chance, _outside: bytes) -> bytes:
    one = chance.choice([pax((b"path", b"x")), member(b"L", b"n\0", kind=b"L"), pax((b"a", b"b"), kind=b"g")])
    return one * chance.choice([3, 200, 3000]) + member(b"c")


def _twice(chance: Chance, _outside: bytes) -> bytes:
    kinds = [b"0", b"5", b"2", b"1", b"6", b"3"]
    pieces = [member(b"t", kind=chance.choice(kinds), link=b"etc/os-release") for _ in range(chance.randint(2, 5))]
    return b"".join(pieces) + member(b"t/below/x", b"evil") + member(b"t/.wh..wh..opq")


def _many(chance: Chance, _outside: bytes) -> bytes:
    return b"".join(member(b"many/%d" % number, b"x") for number in range(chance.choice([300, 2000])))


def _checksum(chance: Chance, _outside: bytes) -> bytes:
    return member(
        b"c",
        b"evil",
        checksum=chance.choice([0, 1, 8**6 - 1]),
        magic=chance.choice([b"ustar\x0000", b"", b"ustar  \0"]),
    )


def _zeros(_chance: Chance, _outside: bytes) -> bytes:
    return member(b"bomb", bytes(24 << 20))


_EVILS: list[Callable[[Chance, bytes], bytes]] = [
    _odd_name, _odd_name, _through_link, _hard_link, _device, _unknown, _number, _number, _pax, _pax, _pax_garbage, _sparse,
    _long, _chain, _twice, _many, _checksum, _zeros,
]  # fmt: skip


def tar(chance: Chance, outside: str, members: list[bytes] | None = None) -> bytes:
    """A tar with a few evil members among good ones; now and then cut short or with bytes altered."""
    pieces = good(chance) if members is None else list(members)
    for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
        pieces.insert(chance.randint(0, len(pieces)), evil(chance, outside))
    end = chance.choice([END, END, END, b"", bytes(BLOCK), END + b"more", END * 20])
    return broken(b"".join(pieces) + end, chance, often=0.25)


def broken(data: bytes, chance: Chance, often: float = 1.0) -> bytes:
    """Bytes with some altered, or the end missing."""
    if not data or chance.random() > often:
        return data
    if chance.random() < 0.4:
        return data[: chance.randrange(len(data))]
    altered = bytearray(data)
    for _ in range(chance.choice([1, 1, 4, 30])):
        altered[chance.randrange(len(altered))] = chance.randrange(256)
    return bytes(altered)


def compressed(data: bytes, chance: Chance) -> tuple[bytes, str]:
    """A layer's blob and its media type, which now and then is not its own."""
    media = chance.choice([GZIP, ZSTD, PLAIN])
    if media == GZIP:
        data = gzip.compress(data, 1)
    elif media == ZSTD:
        data = zstandard.ZstdCompressor(level=1).compress(data)
    lies = chance.random() < 0.04
    return broken(data, chance, often=0.1), chance.choice([GZIP, ZSTD, PLAIN, "x/y"]) if lies else media
