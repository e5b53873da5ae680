"""Puts packages' files together as one tree: /usr merged, folders once, conflicts settled, nothing outside the root."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.assemble.entry import Entry
from pipeline.errors import AssembleError

MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32")
"""Top folders that are links into /usr (Debian Policy 9.1.1; DEP-17)."""
_MAX_LINKS = 40


class Below:
    """The unpacked layers below, highest first: looked into for what an added layer must agree with."""

    def __init__(self, roots: Sequence[Path] = ()) -> None:
        self._roots = list(reversed(roots))

    def find(self, path: str) -> Path | None:
        """The file, folder or link at a path; a link in the last place is not followed."""
        for root in self._roots:
            place = root / path
            if place.is_symlink() or place.exists():
                return place
        return None

    def read(self, path: str) -> bytes:
        """A file's bytes; empty when there is none."""
        place = self.find(path)
        return place.read_bytes() if place and place.is_file() and not place.is_symlink() else b""

    def link(self, path: str) -> str | None:
        """Where a symbolic link points; None for all else."""
        place = self.find(path)
        return str(place.readlink()) if place and place.is_symlink() else None

    def files(self, folder: str) -> dict[str, bytes]:
        """The regular files right in a folder, by name."""
        return {name: data for name in self.names(folder) if (data := self.read(f"{folder}/{name}"))}

    def names(self, folder: str) -> list[str]:
        """What lies in a folder, in any of the layers."""
        return sorted({p.name for root in self._roots if (root / folder).is_dir() for p in (root / folder).iterdir()})

    def tree(self, folder: str) -> dict[str, bytes]:
        """The regular files anywhere below a folder, by their path from the root."""
        found = {f"{folder}/{name}": data for name, data in self.files(folder).items()}
        for name in self.names(folder):
            place = self.find(f"{folder}/{name}")
            if place and place.is_dir() and not place.is_symlink():
                found |= self.tree(f"{folder}/{name}")
        return found

    @property
    def merged(self) -> bool:
        """Whether /bin and its like are links here (or will be, with nothing below)."""
        place = self.find("bin")
        return place is None or place.is_symlink()


@dataclass(frozen=True, slots=True)
class Placed:
    """What stands at a path of the tree."""

    type: str
    link: str
    owner: str


class Tree:
    """The layer in the making. Entries come back from `place` once, in the order to be written."""

    def __init__(self, below: Below) -> None:
        self.below = below
        self.placed: dict[str, Placed] = {}
        self._merged = below.merged
        self._parents: dict[str, str] = {"": ""}

    def start(self) -> Iterator[Entry]:
        """The links of a merged /usr and where they lead."""
        if not self._merged or self.below.find("usr/bin"):
            return
        for name in ("usr", "usr/bin", "usr/sbin", "usr/lib"):
            yield from self.place(Entry(name, "dir", 0o755))
        for name in MERGED[:3]:
            yield from self.top_link(name)

    def top_link(self, name: str) -> Iterator[Entry]:
        if name not in self.placed and not self.below.find(name):
            self.placed[name] = Placed("symlink", f"usr/{name}", "")
            self._parents.clear()
            self._parents[""] = ""
            yield Entry(name, "symlink", 0o777, link=f"usr/{name}")

    def finish(self) -> Iterator[Entry]:
        """Links for the folders that only some architectures have."""
        if self._merged:
            for name in MERGED[3:]:
                if self.placed.get(f"usr/{name}"):
                    yield from self.top_link(name)

    def merged(self, path: str) -> str:
        """`usr/bin/sh` of `bin/sh`."""
        top, slash, rest = path.partition("/")
        return f"usr/{top}/{rest}" if slash and self._merged and top in MERGED else path

    def place(self, entry: Entry) -> Iterator[Entry]:
        """The entry where it belongs, folders above it first; nothing when the place is taken."""
        path = self.resolve(entry.path)
        if not path or (self._merged and path in MERGED) or path in self.placed:
            return
        if entry.type == "symlink" and self._points_at_itself(path, entry.link):
            return
        if self._folder_below(path, entry.type):
            return
        yield from self._folders_above(path)
        self.placed[path] = Placed(entry.type, entry.link, entry.owner)
        yield replace(entry, path=path) if path != entry.path else entry

    def resolve(self, path: str) -> str:
        """The path with links in its folders followed, as a program that unpacked here would have been led."""
        folder, _, name = self.merged(path).rpartition("/")
        parent = self._folder(folder, 0)
        return f"{parent}/{name}" if parent else name

    def exists(self, path: str) -> bool:
        """Whether something stands at a path, here or below; a link in the last place counts as it is."""
        return path in self.placed or self.below.find(path) is not None

    def target(self, path: str) -> str | None:
        """What a path leads to once every link is followed, in this tree or below; None when nothing is there."""
        current = path.lstrip("/")
        for _ in range(_MAX_LINKS):
            current = self.resolve(current)
            link = self._link(current)
            if link is None:
                return current if self.exists(current) else None
            current = _joined(posixpath.dirname(current), link)
        return None

    def _link(self, path: str) -> str | None:
        placed = self.placed.get(path)
        if placed:
            return placed.link if placed.type == "symlink" else None
        return self.below.link(path)

    def _folder(self, folder: str, depth: int) -> str:
        if folder in self._parents:
            return self._parents[folder]
        if depth > _MAX_LINKS:
            raise AssembleError(f"/{folder}: too many levels of symbolic links")
        above, _, name = folder.rpartition("/")
        parent = self._folder(above, depth + 1)
        path = f"{parent}/{name}" if parent else name
        link = self._link(path)
        if link is not None:
            path = self._folder(self.merged(_joined(parent, link)), depth + 1)
        self._parents[folder] = path
        return path

    def _folders_above(self, path: str) -> Iterator[Entry]:
        folder = posixpath.dirname(path)
        if not folder or folder in self.placed:
            return
        yield from self._folders_above(folder)
        place = self.below.find(folder)
        if place and place.is_dir():
            # Written again as it is: a layer that leaves it out would let the reader choose mode and owner.
            status = place.stat()
            entry = Entry(folder, "dir", stat.S_IMODE(status.st_mode))
        else:
            entry = Entry(folder, "dir", 0o755)
        self.placed[folder] = Placed("dir", "", "")
        yield entry

    def _folder_below(self, path: str, kind: str) -> bool:
        """As dpkg does, a folder and a link to one that are there already stay what they are."""
        below = self.below.find(path)
        if below is None:
            return False
        return below.is_symlink() if kind == "dir" else kind == "symlink" and below.is_dir() and not below.is_symlink()

    def _points_at_itself(self, path: str, link: str) -> bool:
        """`/bin/which -> /usr/bin/which` says nothing once /usr is merged."""
        return self.merged(_joined(posixpath.dirname(path), link)) == path


def _joined(folder: str, link: str) -> str:
    """A link's text as a path from the root; `..` stops there."""
    return posixpath.normpath(posixpath.join("/", folder, link)).lstrip("/")


def checked_path(name: str, file: str) -> str:
    """A tar member's name relative to the root, empty for the root. AssembleError for one that could leave it."""
    path = name.removeprefix("./").rstrip("/")
    parts = path.split("/")
    if name.startswith("/") or ".." in parts or "\0" in path or "" in parts[1:]:
        raise AssembleError(
            f"{file} is refused: it would write to {name[:200]!r}", remedy="the package is broken or malicious"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in path):
        raise AssembleError(f"{file} is refused: the name {path[:200]!r} is not UTF-8", remedy="the package is broken")
    return "" if path == "." else path
