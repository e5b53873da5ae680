"""Packer `deb`: Debian packages as one layer, unpacked without running their scripts, with what those would have made.

Inputs: distribution, suite, release, architecture, packages (locked: see indexes.debian), and for a layer on top
`below`, the packages of the layers below. Sources: mirror, security_mirror.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.assemble import deb_certs, deb_ldcache, elf
from pipeline.assemble.deb_alternatives import alternatives, script_commands
from pipeline.assemble.deb_notes import KEPT, Member, read
from pipeline.assemble.deb_opened import Package, opened
from pipeline.assemble.deb_status import Installed, database
from pipeline.assemble.deb_system import early, late
from pipeline.assemble.deb_tree import Below, Tree
from pipeline.assemble.deb_users import users
from pipeline.assemble.entry import Entry
from pipeline.assemble.frame import Frame, Framed, frame_key
from pipeline.assemble.work import Work
from pipeline.digest import CacheKey
from pipeline.recipe import Assemble

LARGE = 8 << 20
"""Bytes of a file that goes to the layer through a scratch file when its package is not in memory."""


@dataclass
class _Seen:
    """What is noted of the packages while they pass, for the files that are made at the end."""

    installed: list[Installed] = field(default_factory=list)
    commands: dict[str, list[list[str]]] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    libraries: dict[str, elf.Elf] = field(default_factory=dict)

    def below(self, folder: str) -> dict[str, bytes]:
        return {path: data for path, data in self.kept.items() if path.startswith(folder)}


def frames(recipe: Assemble, work: Work) -> Framed:
    """A frame for each package, and one for what is made of all; they depend on the packages alone.

    ResolveError and OutOfReach for packages that cannot be fetched; AssembleError for a package that is damaged or
    would write outside the image.
    """
    folders: list[Entry] = []
    return Framed(_frames(recipe, work, folders), lambda _paths: sorted(folders, key=lambda entry: entry.path))


def _frames(recipe: Assemble, work: Work, folders: list[Entry]) -> Iterator[Frame]:
    tree, seen = Tree(Below(work.roots() if recipe.needs_root else ())), _Seen()
    own = [*tree.start(), *early(tree)]
    for package in opened(recipe, work):
        placed = []
        for member, entry in _placed(package, tree, seen):
            if entry.type == "dir":
                folders.append(entry)
            else:
                placed.append((member, entry))
        yield Frame(_key(package, placed), partial(_entries, package, placed, work.scratch))
    seen.installed.sort(key=lambda package: package.name)
    own += [*_made(recipe.inputs, tree, seen), *tree.finish()]
    folders += [entry for entry in own if entry.type == "dir"]
    yield Frame(None, lambda: (entry for entry in own if entry.type != "dir"))


def _placed(package: Package, tree: Tree, seen: _Seen) -> Iterator[tuple[Member, Entry]]:
    """The package's members where they belong, with the folders above them, but without files' content."""
    notes = package.notes
    installed = Installed.of(notes.deb)
    seen.installed.append(installed)
    if "postinst" in notes.deb.control:
        seen.commands[notes.deb.name] = script_commands(notes.deb)
    for member in notes.members:
        installed.paths.append(member.path)
        link = tree.resolve(member.link) if member.type == "hardlink" else member.link
        wanted = Entry(
            member.path, member.type, member.mode, member.uid, member.gid, b"", member.size, link, package.file
        )
        for entry in tree.place(wanted):
            yield member, entry
            if entry.type == "file":
                _note(entry.path, member.path, package, installed, seen)


def _note(path: str, name: str, package: Package, installed: Installed, seen: _Seen) -> None:
    """Notes a file that is at `path` in the layer and called `name` in its package."""
    notes = package.notes
    if f"/{name}" in notes.md5:
        installed.md5[f"/{name}"] = notes.md5[f"/{name}"]
    if path.startswith(KEPT) and name in notes.kept:
        seen.kept[path] = notes.kept[name]
    elif name in notes.libraries:
        seen.libraries[path] = notes.libraries[name]


def _key(package: Package, placed: list[tuple[Member, Entry]]) -> CacheKey | None:
    """A package's frame follows from its bytes, and from where its members went."""
    if not package.sha256:
        return None
    where = [[entry.path, entry.type, entry.mode, entry.uid, entry.gid, entry.link] for _, entry in placed]
    return frame_key("deb", [package.sha256, package.file, where])


def _entries(package: Package, placed: list[tuple[Member, Entry]], scratch: Path) -> Iterator[Entry]:
    with package.data() as data:
        for member, entry in placed:
            if entry.type == "file":
                yield replace(entry, source=_content(member, data, package, scratch))
            else:
                yield entry


def _content(member: Member, data: IO[bytes], package: Package, scratch: Path) -> bytes | Path:
    if member.size <= LARGE or not hasattr(data, "name"):
        return read(member, data, package.file)
    target = scratch / f"{package.notes.deb.name}-{member.offset}"
    data.seek(member.offset)
    with target.open("wb") as out:
        left = member.size
        while left and (chunk := data.read(min(left, 1 << 20))):
            out.write(chunk)
            left -= len(chunk)
    return target


def _made(inputs: Mapping[str, Any], tree: Tree, seen: _Seen) -> Iterator[Entry]:
    """What the packages' scripts and triggers would have made of all packages together."""
    kept = seen.kept
    yield from alternatives(seen.commands, tree)
    yield from late(tree, inputs["distribution"], inputs["suite"], inputs["release"])
    masters = {path.rpartition("/")[2]: data for path, data in seen.below("usr/share/base-passwd/").items()}
    yield from users(seen.commands, seen.below("usr/lib/sysusers.d/"), tree, masters)
    yield from deb_certs.certificates({**seen.below(deb_certs.STORE), **seen.below(deb_certs.LOCAL)}, tree)
    yield from deb_ldcache.cache_entry(tree, seen.libraries, kept, inputs["architecture"])
    yield from database(seen.installed, tree)
