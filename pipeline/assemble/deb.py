"""Packer `deb`: Debian packages as one layer, unpacked without running their scripts, with what those would have made.

Inputs: distribution, suite, release, architecture, packages (locked: see indexes.debian), and for a layer on top
`below`, the packages of the layers below. Sources: mirror, security_mirror.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pipeline.assemble import deb_certs, deb_ldcache, elf
from pipeline.assemble.deb_alternatives import alternatives, script_commands
from pipeline.assemble.deb_archive import Deb, open_ahead, replaces
from pipeline.assemble.deb_status import Installed, database
from pipeline.assemble.deb_system import early, late
from pipeline.assemble.deb_tree import Below, Tree, checked_path
from pipeline.assemble.deb_users import users
from pipeline.assemble.entry import Entry
from pipeline.assemble.work import Work
from pipeline.dpkg import ArchiveSettings
from pipeline.errors import AssembleError
from pipeline.recipe import Assemble

LARGE = 8 << 20
"""Bytes of a file that goes to the layer through a scratch file when its package is not in memory."""
_KEPT = (deb_certs.STORE, deb_certs.LOCAL, "usr/share/base-passwd/", "usr/lib/sysusers.d/", "etc/ld.so.conf")


@dataclass
class _Seen:
    """What is noted of the packages while they pass, for the files that are made at the end."""

    installed: list[Installed] = field(default_factory=list)
    commands: dict[str, list[list[str]]] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    libraries: dict[str, elf.Elf] = field(default_factory=dict)

    def below(self, folder: str) -> dict[str, bytes]:
        return {path: data for path, data in self.kept.items() if path.startswith(folder)}


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The layer's members, in an order that depends on the packages alone.

    ResolveError and OutOfReach for packages that cannot be fetched; AssembleError for a package that is damaged or
    would write outside the image.
    """
    inputs = recipe.inputs
    tree = Tree(Below(work.roots() if recipe.needs_root else ()))
    seen = _Seen()
    yield from tree.start()
    yield from early(tree)
    for deb in open_ahead(_ordered(_files(recipe, work)), work.scratch):
        yield from _package(deb, tree, seen, work.scratch)
    seen.installed.sort(key=lambda package: package.name)
    yield from _made(inputs, tree, seen)
    yield from tree.finish()


def _files(recipe: Assemble, work: Work) -> list[tuple[str, Path, str]]:
    """Display name, path and package name of each .deb."""
    inputs = recipe.inputs
    sources: Mapping[str, Any] = recipe.sources
    settings = ArchiveSettings(
        inputs["distribution"],
        inputs["suite"],
        mirror=sources.get("mirror", ""),
        security_mirror=sources.get("security_mirror", ""),
    )
    packages = sorted(inputs["packages"], key=lambda package: package["name"])
    paths = work.indexes.debian.fetch(packages, settings, inputs["architecture"])
    return [(p["file"].rpartition("/")[2], path, p["name"]) for p, path in zip(packages, paths, strict=True)]


def _ordered(files: Sequence[tuple[str, Path, str]]) -> list[tuple[str, Path]]:
    """By name, but a package that replaces files of another goes before it: the first to bring a file keeps it."""
    names = [name for _, _, name in files]
    after = {name: replaces(path, file) & set(names) for file, path, name in files}
    done: dict[str, None] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        if name in done or name in trail:
            return
        for other in names:
            if name in after[other]:
                visit(other, (*trail, name))
        done[name] = None

    for name in names:
        visit(name, ())
    place = {name: (file, path) for file, path, name in files}
    return [place[name] for name in done]


def _package(deb: Deb, tree: Tree, seen: _Seen, scratch: Path) -> Iterator[Entry]:
    installed = Installed.of(deb)
    seen.installed.append(installed)
    if "postinst" in deb.control:
        seen.commands[deb.name] = script_commands(deb)
    conffiles = set(installed.conffiles())
    for member, data in deb.members():
        path = checked_path(member.name, deb.file)
        if not path:
            continue
        installed.paths.append(path)
        for entry in tree.place(_entry(member, path, data, deb, scratch, tree)):
            yield entry
            if entry.type == "file":
                _note(entry, path, conffiles, installed, seen)
    deb.data.close()


def _entry(member: tarfile.TarInfo, path: str, data: IO[bytes], deb: Deb, scratch: Path, tree: Tree) -> Entry:
    mode, uid, gid = member.mode & 0o7777, member.uid, member.gid
    if member.isdir():
        return Entry(path, "dir", mode, uid, gid, owner=deb.file)
    if member.issym():
        return Entry(path, "symlink", 0o777, uid, gid, link=member.linkname, owner=deb.file)
    if member.islnk():
        target = tree.resolve(checked_path(member.linkname, deb.file))
        return Entry(path, "hardlink", mode, uid, gid, link=target, owner=deb.file)
    if not member.isfile():
        raise AssembleError(f"{deb.file} is refused: {path} is a device or a pipe", remedy="no package may bring one")
    source = _content(member, data, deb, scratch)
    return Entry(path, "file", mode, uid, gid, source, member.size, owner=deb.file)


def _content(member: tarfile.TarInfo, data: IO[bytes], deb: Deb, scratch: Path) -> bytes | Path:
    data.seek(member.offset_data)
    if member.size <= LARGE or not hasattr(data, "name"):
        content = data.read(member.size)
        if len(content) != member.size:
            raise AssembleError(f"{deb.file}: its file archive ends early")
        return content
    target = scratch / f"{deb.name}-{member.offset_data}"
    with target.open("wb") as out:
        left = member.size
        while left and (chunk := data.read(min(left, 1 << 20))):
            out.write(chunk)
            left -= len(chunk)
    return target


def _note(entry: Entry, path: str, conffiles: set[str], installed: Installed, seen: _Seen) -> None:
    if f"/{path}" in conffiles:
        data = entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()
        installed.md5[f"/{path}"] = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if entry.path.startswith(_KEPT) and isinstance(entry.source, bytes):
        seen.kept[entry.path] = entry.source
    elif deb_ldcache.LIBRARY.match(entry.path.rpartition("/")[2]) and (facts := elf.inspect(entry.source)):
        seen.libraries[entry.path] = facts


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
