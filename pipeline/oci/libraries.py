"""Which shared libraries the programs of an image need and do not find: what ld.so(8) would say, without running it."""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

DRIVER = ("libcuda.so*", "libcudadebugger.so*", "libnvidia-*.so*", "libnvcuvid.so*", "libnvoptix.so*")
"""Libraries that come with a machine's driver and are put into the container when it starts."""

_MULTIARCH = {
    (64, 62): ("x86_64-linux-gnu",),
    (32, 62): ("x86_64-linux-gnux32",),
    (32, 3): ("i386-linux-gnu",),
    (64, 183): ("aarch64-linux-gnu",),
    (32, 40): ("arm-linux-gnueabihf", "arm-linux-gnueabi"),
    (64, 21): ("powerpc64le-linux-gnu",),
    (64, 22): ("s390x-linux-gnu",),
    (64, 243): ("riscv64-linux-gnu",),
}
ARCHITECTURES = {62: "amd64", 3: "386", 183: "arm64", 40: "arm", 21: "ppc64le", 22: "s390x", 243: "riscv64"}
_SITE = re.compile(r"^(?P<site>.*/(?:site|dist)-packages/)(?P<top>[^/]+)")


@dataclass(frozen=True, slots=True)
class Elf:
    """What the dynamic linker reads of an ELF file. `machine` is e_machine; paths and names are as they stand there."""

    bits: int
    little: bool
    machine: int
    needed: tuple[str, ...] = ()
    soname: str = ""
    rpath: str = ""
    runpath: str = ""
    interpreter: str = ""

    @property
    def abi(self) -> tuple[int, bool, int]:
        """Objects with another value cannot be loaded into one process."""
        return self.bits, self.little, self.machine

    def to_json(self) -> dict[str, Any]:
        value = {name: getattr(self, name) for name in ("bits", "little", "machine", "soname", "rpath", "runpath")}
        value |= {"needed": list(self.needed), "interpreter": self.interpreter}
        return {name: part for name, part in value.items() if part not in ("", [])}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Elf:
        return Elf(**{**value, "needed": tuple(value.get("needed", ()))})


@dataclass(frozen=True, slots=True)
class Contents:
    """What one layer holds: the paths of its members (with whiteouts), its links by path, and its ELF files.

    Paths have no leading slash. `links` holds a symbolic link's text; a hard link is told by `hardlinks`. `objects`
    maps a path to the file's facts and its owner, the package that brought it.
    """

    paths: Iterable[str]
    links: Mapping[str, str] = field(default_factory=dict)
    objects: Mapping[str, tuple[Elf, str]] = field(default_factory=dict)
    hardlinks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Missing:
    """A library that an object needs and the image lacks: its name, the object's path in the image, and its owner."""

    soname: str
    path: str
    owner: str


def missing(
    layers: Sequence[Contents],
    *,
    architecture: str = "",
    library_path: Sequence[str] = (),
    ld_so_conf: Sequence[str] = (),
    ignore: Sequence[str] = (),
    known: Callable[[str, Elf], bool] = lambda _soname, _asking: False,
) -> list[Missing]:
    """What cannot be found of what the objects of `layers` (lowest first) need, sorted by library, then by path.

    `library_path` is the image's LD_LIBRARY_PATH, `ld_so_conf` the folders that its /etc/ld.so.conf names, `ignore`
    globs of library names or of paths; `known(name, asking)` tells what is there though no layer shows it. Objects for
    another `architecture` (an OCI name) are passed over, as are those of .deb packages, for which dpkg's dependencies
    answer. Wheels may load libraries in advance, so one in the same top-level package folder or in a `*.libs` folder
    beside it counts as found.
    """
    image = _Image(layers)
    found: set[Missing] = set()
    for path, (elf, owner) in image.objects.items():
        if owner.endswith(".deb") or (architecture and ARCHITECTURES.get(elf.machine, architecture) != architecture):
            continue
        for name in elf.needed:
            if any(fnmatch.fnmatchcase(name, glob) or fnmatch.fnmatchcase(path, glob) for glob in (*DRIVER, *ignore)):
                continue
            folders = _search(elf, posixpath.dirname("/" + path), library_path, ld_so_conf)
            if not (known(name, elf) or image.finds(name, elf, folders) or image.preloads(name, elf, path)):
                found.add(Missing(name, path, owner))
    return sorted(found, key=lambda each: (each.soname, each.path))


def _search(elf: Elf, origin: str, library_path: Sequence[str], ld_so_conf: Sequence[str]) -> Iterator[str]:
    """The folders where ld.so looks for what an object needs, in its order."""
    triplets = _MULTIARCH.get((elf.bits, elf.machine), ())
    lib = "lib64" if elf.bits == 64 else "lib"
    own = elf.runpath or elf.rpath
    inner = [part for part in own.split(":") if part]
    for part in inner if not elf.runpath else ():
        yield _expanded(part, origin, lib)
    yield from library_path
    for part in inner if elf.runpath else ():
        yield _expanded(part, origin, lib)
    yield from ld_so_conf
    for folder in ("/lib", "/usr/lib"):
        yield from (f"{folder}/{triplet}" for triplet in triplets)
    yield from ("/lib", "/usr/lib")
    if elf.bits == 64:
        yield from ("/lib64", "/usr/lib64")


def _expanded(part: str, origin: str, lib: str) -> str:
    """A search path with ld.so's words replaced (ld.so(8), "Dynamic string tokens")."""
    for word, value in (("ORIGIN", origin), ("LIB", lib)):
        part = part.replace("${" + word + "}", value).replace("$" + word, value)
    return part


class _Image:
    """The layers as one file system, as far as finding libraries takes."""

    def __init__(self, layers: Sequence[Contents]) -> None:
        self.objects: dict[str, tuple[Elf, str]] = {}
        self._links: dict[str, str] = {}
        for layer in layers:
            self._add(layer)
        self._beside: dict[tuple[str, str], list[tuple[str, Elf]]] = {}
        for path, (elf, _) in self.objects.items():
            if match := _SITE.match(path):
                for name in {elf.soname, posixpath.basename(path)} - {""}:
                    self._beside.setdefault((match["site"], name), []).append((match["top"], elf))

    def _add(self, layer: Contents) -> None:
        """Puts a layer on top (image-spec, layer.md: "Whiteouts")."""
        for path in layer.paths:
            folder, name = posixpath.split(path)
            if name == ".wh..wh..opq":
                self._remove(folder, below_only=True)
            elif name.startswith(".wh."):
                self._remove(posixpath.join(folder, name.removeprefix(".wh.")))
            else:
                self.objects.pop(path, None)
                self._links.pop(path, None)
        self._links.update(layer.links)
        self.objects.update(layer.objects)
        for path, target in layer.hardlinks.items():
            if target in self.objects:
                self.objects[path] = self.objects[target]

    def _remove(self, path: str, *, below_only: bool = False) -> None:
        known: tuple[dict[str, Any], ...] = (self.objects, self._links)
        for table in known:
            for each in [each for each in table if each.startswith(path + "/") or (each == path and not below_only)]:
                del table[each]

    def finds(self, name: str, asking: Elf, folders: Iterable[str]) -> bool:
        """Whether one of the folders has the library, for the same kind of machine."""
        places = (name,) if "/" in name else (f"{folder}/{name}" for folder in folders)
        return any(
            (real := self._real(place)) in self.objects and self.objects[real][0].abi == asking.abi for place in places
        )

    def preloads(self, name: str, asking: Elf, path: str) -> bool:
        """Whether the same top-level package folder, or a `*.libs` folder beside it, has the library."""
        match = _SITE.match(path)
        if not match:
            return False
        known = self._beside.get((match["site"], name), ())
        return any(elf.abi == asking.abi and (top == match["top"] or top.endswith(".libs")) for top, elf in known)

    def _real(self, path: str) -> str:
        """A path without symbolic links; it need not be there."""
        rest, done, left = path.split("/"), "", 40
        while rest and left:
            part, *rest = rest
            if part in ("", "."):
                continue
            if part == "..":
                done = posixpath.dirname(done)
                continue
            done = f"{done}/{part}" if done else part
            if (text := self._links.get(done)) is not None:
                left -= 1
                done = "" if text.startswith("/") else posixpath.dirname(done)
                rest = [*text.split("/"), *rest]
        return done
