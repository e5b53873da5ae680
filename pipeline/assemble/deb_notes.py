"""What a layer must know of a .deb beside the bytes of its files: noted when it is opened, kept with its frame."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from typing import IO, Any

from pipeline.assemble import deb_certs, deb_ldcache, elf
from pipeline.assemble.deb_archive import Deb, control_fields
from pipeline.assemble.deb_status import Installed
from pipeline.assemble.deb_tree import checked_path
from pipeline.assemble.entry import EntryType
from pipeline.errors import AssembleError

KEPT = (deb_certs.STORE, deb_certs.LOCAL, "usr/share/base-passwd/", "usr/lib/sysusers.d/", "etc/ld.so.conf")
"""What the files that a layer makes are made of, by the start of its path."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a package: as in its tar, `link` of a hard link a path; `offset` is where a file's bytes begin."""

    path: str
    type: EntryType
    mode: int
    uid: int
    gid: int
    size: int
    link: str
    offset: int


@dataclass
class Notes:
    """`deb` has no data; the others are by the members' paths: content that is wanted, and facts of libraries."""

    deb: Deb
    members: list[Member] = field(default_factory=list)
    md5: dict[str, str] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    libraries: dict[str, elf.Elf] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        # Latin-1 has a character for each byte.
        return {
            "file": self.deb.file,
            "control": {name: data.decode("latin-1") for name, data in self.deb.control.items()},
            "members": [[getattr(member, name) for name in Member.__slots__] for member in self.members],
            "md5": self.md5,
            "kept": {path: data.decode("latin-1") for path, data in self.kept.items()},
            "libraries": {path: facts.to_json() for path, facts in self.libraries.items()},
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Notes:
        control = {name: text.encode("latin-1") for name, text in value["control"].items()}
        return Notes(
            Deb(value["file"], control, control_fields(control, value["file"]), io.BytesIO()),
            [Member(*each) for each in value["members"]],
            value["md5"],
            {path: text.encode("latin-1") for path, text in value["kept"].items()},
            {path: elf.Elf.from_json(facts) for path, facts in value["libraries"].items()},
        )


def note(deb: Deb) -> Notes:
    """Reads an opened package once. AssembleError for one that is damaged or would write outside the image."""
    notes = Notes(Deb(deb.file, deb.control, deb.fields, io.BytesIO()))
    conffiles = set(Installed.of(deb).conffiles())
    for info, data in deb.members():
        path = checked_path(info.name, deb.file)
        if not path:
            continue
        member = _member(info, path, deb.file)
        notes.members.append(member)
        if member.type == "file":
            _note(member, data, f"/{path}" in conffiles, notes)
    return notes


def _member(info: tarfile.TarInfo, path: str, file: str) -> Member:
    mode, link = info.mode & 0o7777, ""
    kind: EntryType = "file"
    if info.isdir():
        kind = "dir"
    elif info.issym():
        kind, mode, link = "symlink", 0o777, info.linkname
    elif info.islnk():
        kind, link = "hardlink", checked_path(info.linkname, file)
    elif not info.isfile():
        raise AssembleError(f"{file} is refused: {path} is a device or a pipe", remedy="no package may bring one")
    size = info.size if kind == "file" else 0
    return Member(path, kind, mode, info.uid, info.gid, size, link, info.offset_data if kind == "file" else 0)


def _note(member: Member, data: IO[bytes], is_conffile: bool, notes: Notes) -> None:
    path = member.path
    # In a merged /usr what is in /lib will be in /usr/lib.
    is_kept = path.startswith(KEPT) or f"usr/{path}".startswith(KEPT)
    is_library = bool(deb_ldcache.LIBRARY.match(path.rpartition("/")[2]))
    if not (is_conffile or is_kept or is_library):
        return
    content = read(member, data, notes.deb.file)
    if is_conffile:
        notes.md5[f"/{path}"] = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if is_kept:
        notes.kept[path] = content
    elif facts := elf.inspect(content):
        notes.libraries[path] = facts


def read(member: Member, data: IO[bytes], file: str) -> bytes:
    """A file's bytes. AssembleError when the archive ends before."""
    data.seek(member.offset)
    content = data.read(member.size)
    if len(content) != member.size:
        raise AssembleError(f"{file}: its file archive ends early")
    return content
