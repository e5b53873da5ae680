"""Writes /etc/ld.so.cache, so that libraries in the folders of ld.so.conf are found, and all are found fast.

Format: glibc 2.32 and later, sysdeps/generic/dl-cache.h ("glibc-ld.so.cache1.1"), elf/cache.c, elf/dl-cache.c.
"""

from __future__ import annotations

import fnmatch
import functools
import posixpath
import re
import struct
from collections.abc import Iterable, Iterator, Mapping

from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.elf import Elf, inspect
from pipeline.assemble.entry import Entry
from pipeline.dpkg import MULTIARCH
from pipeline.oci.provided import ABI, CACHE, ELF_LIBC6, MAGIC

PATH = CACHE
LIBRARY = re.compile(r"(lib[^/]*|ld-[^/]*)\.so(\.[^/]*)?$")


def folders(tree: Tree, texts: Mapping[str, bytes], architecture: str) -> tuple[list[str], list[str]]:
    """The folders of ld.so.conf with what it includes, and those that the loader searches without it."""
    multiarch = MULTIARCH.get(architecture, "")
    always = [f"lib/{multiarch}", f"usr/lib/{multiarch}"] if multiarch else []
    always += ["lib64", "usr/lib64", "lib32", "usr/lib32", "lib", "usr/lib"]

    def real(names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(tree.resolve(f"{name}/x").rpartition("/")[0] for name in names))

    default = real(always)
    return [folder for folder in real(_configured("etc/ld.so.conf", texts, tree, 0)) if folder not in default], default


def _configured(path: str, texts: Mapping[str, bytes], tree: Tree, depth: int) -> Iterator[str]:
    text = (texts.get(path) or tree.below.read(path)).decode("utf-8", "replace")
    for line in text.splitlines() if depth < 8 else ():
        words = line.partition("#")[0].split()
        if words[:1] == ["include"]:
            for pattern in words[1:]:
                full = posixpath.join(posixpath.dirname(path), pattern).lstrip("/")
                below = [f"{posixpath.dirname(full)}/{name}" for name in tree.below.files(posixpath.dirname(full))]
                for name in sorted({*texts, *below}):
                    if fnmatch.fnmatch(name, full):
                        yield from _configured(name, texts, tree, depth + 1)
        elif words and words[0].startswith("/"):
            yield words[0].strip("/")


def cache_entry(
    tree: Tree, libraries: Mapping[str, Elf], texts: Mapping[str, bytes], architecture: str
) -> Iterator[Entry]:
    """The cache of a base. `libraries` maps the paths of real files, `texts` those of ld.so.conf and what it includes.

    A layer on top writes one when it has libraries, or names folders, beyond those that are searched without a cache.
    """
    extra, always = folders(tree, texts, architecture)
    known = dict(libraries)
    paths = list(tree.placed)
    if tree.below.find(PATH):
        if not any(path.rpartition("/")[0] in extra for path in libraries) and not any(
            t.startswith("etc/ld.") for t in texts
        ):
            return
        for folder in (*extra, *always):
            for name in tree.below.names(folder):
                path = f"{folder}/{name}"
                place = tree.below.find(path)
                if path not in tree.placed and LIBRARY.match(name) and place:
                    paths.append(path)
                    if not place.is_symlink() and place.is_file() and (facts := inspect(place)):
                        known[path] = facts
    data = cache(tree, paths, known, [*extra, *always])
    yield from tree.place(Entry(PATH, source=data, size=len(data)))


def cache(tree: Tree, paths: Iterable[str], libraries: Mapping[str, Elf], search: Iterable[str]) -> bytes:
    """The cache's bytes for those of `paths` that are libraries in a folder of `search`, or links to one."""
    order = {folder: index for index, folder in enumerate(search)}
    found: dict[tuple[str, int], tuple[int, str]] = {}
    little = True
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder not in order or not LIBRARY.match(name):
            continue
        library = libraries.get(tree.target(path) or "")
        flag = ABI.get((library.bits, library.machine)) if library else None
        if library is None or flag is None:
            continue
        soname = library.soname or name
        if name != soname and tree.exists(f"{folder}/{soname}"):
            # A link for the compiler, or a file that is known by the link with its soname.
            continue
        little = library.little
        key, place = (soname, flag | ELF_LIBC6), (order[folder], f"/{folder}/{name}")
        found[key] = min(found.get(key, place), place)
    return encode([(soname, flags, place[1]) for (soname, flags), place in found.items()], little)


def encode(entries: Iterable[tuple[str, int, str]], little: bool) -> bytes:
    """(soname, flags, path) in the order that the loader's binary search expects: descending."""
    order = "<" if little else ">"
    ordered = sorted(entries, key=_sort_key, reverse=True)
    header_size, entry_size = 48, 24
    start, strings, table = header_size + entry_size * len(ordered), bytearray(), b""
    for soname, flags, path in ordered:
        key = start + len(strings)
        strings += soname.encode() + b"\0"
        value = start + len(strings)
        strings += path.encode() + b"\0"
        table += struct.pack(f"{order}iIIIQ", flags, key, value, 0, 0)
    # Flags: 2 little, 3 big endian; no extensions.
    header = struct.pack(f"{order}20sIIB3xI12x", MAGIC, len(ordered), len(strings), 2 if little else 3, 0)
    return header + table + bytes(strings)


def _by_name_and_abi(left: tuple[str, int, str], right: tuple[str, int, str]) -> int:
    return compare(left[0], right[0]) or left[1] - right[1]


def compare(left: str, right: str) -> int:
    """_dl_cache_libcmp: as bytes, but runs of digits as numbers."""
    a, b, i, j = left.encode(), right.encode(), 0, 0
    while i < len(a):
        if 48 <= a[i] <= 57:
            if j >= len(b) or not 48 <= b[j] <= 57:
                return 1
            m, n = re.compile(rb"\d+").match(a, i), re.compile(rb"\d+").match(b, j)
            assert m and n
            if int(m[0]) != int(n[0]):
                return int(m[0]) - int(n[0])
            i, j = m.end(), n.end()
        elif j < len(b) and 48 <= b[j] <= 57:
            return -1
        elif j >= len(b) or a[i] != b[j]:
            return a[i] - (b[j] if j < len(b) else 0)
        else:
            i, j = i + 1, j + 1
    return -(b[j] if j < len(b) else 0)


_sort_key = functools.cmp_to_key(_by_name_and_abi)
