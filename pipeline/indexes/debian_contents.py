"""Finds the packages that hold shared libraries, in an archive's Contents indexes.

Format: Debian repository format, "Contents" indices: a path, white space, and the packages that have it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.compression import reader

CHUNK = 4 << 20
_MULTIARCH = re.compile(r"(usr/)?lib/[a-z0-9_]+-linux-gnu[a-z0-9]*/[^/]+$")
_PLAIN = re.compile(r"(usr/)?lib/[^/]+$")
_SONAME = re.compile(r"(?P<stem>.+?)(?:-(?P<inner>[0-9.]+))?\.so(?:\.(?P<major>[0-9]+))?")
Rank = tuple[int, bool, int, str]


def find_libraries(files: Sequence[Path], sonames: Iterable[str]) -> dict[str, str]:
    """Library file names to package names; what lies in a folder that the loader searches goes before all else."""
    wanted = sorted(set(sonames))
    if not wanted:
        return {}
    # Literal text from the start of the pattern: matching whole lines instead takes ten times as long.
    name = re.compile(
        rb"/(?P<name>" + b"|".join(re.escape(n.encode()) for n in wanted) + rb")[ \t]+(?P<packages>\S+)\n"
    )
    best: dict[str, Rank] = {}
    for file in files:
        for text in _pieces(file):
            for match in name.finditer(text):
                soname = match["name"].decode()
                path = text[text.rfind(b"\n", 0, match.start()) + 1 : match.end("name")].decode("utf-8", "replace")
                rank = min(_rank(path, soname, package) for package in match["packages"].decode().split(","))
                best[soname] = min(best.get(soname, rank), rank)
    return {soname: rank[-1] for soname, rank in sorted(best.items())}


def _rank(path: str, soname: str, package: str) -> Rank:
    """The loader's own folders first, then the package that Debian Policy 8.1 would name after the library."""
    # `libs/bar`, on Ubuntu `universe/libs/bar`: the section is not part of the name.
    name = package.rpartition("/")[2]
    folder = 0 if _MULTIARCH.match(path) else 1 if _PLAIN.match(path) else 2 + path.count("/")
    return (folder, name != _expected(soname), len(name), name)


def _expected(soname: str) -> str:
    """`libfoo2-1` for `libfoo2.so.1`: a hyphen keeps digits apart."""
    match = _SONAME.match(soname)
    if not match:
        return ""
    stem = match["stem"].lower().replace("_", "-")
    number = match["inner"] or match["major"] or ""
    return f"{stem}-{number}" if stem[-1:].isdigit() and number else stem + number


def _pieces(file: Path) -> Iterable[bytes]:
    """The decompressed text in whole lines, a few megabytes at a time."""
    with file.open("rb") as raw:
        kind = "xz" if raw.read(6) == b"\xfd7zXZ\x00" else "gz"
        raw.seek(0)
        stream, rest = reader(raw, kind), b""
        while chunk := stream.read(CHUNK):
            lines, newline, tail = (rest + chunk).rpartition(b"\n")
            yield lines + newline
            rest = tail
        yield rest + b"\n"
