"""One member of a layer: what every packer yields and the layer writer packs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MTIME = 315532800
"""The modification time of every member of every layer: 1980-01-01, the earliest that zip files can carry."""

EntryType = Literal["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A member of a layer.

    `path` is relative to the image's root, without leading `./` or trailing `/`. `mode` holds the permission bits only.
    A file's content is `source`: bytes, or the path of a file on this machine of exactly `size` bytes. `link` is a
    symbolic link's text, or a hard link's path in the layer. `owner` names the package that brought the member (a
    wheel's or a .deb's file name). `xattrs` are extended attributes, such as file capabilities. Times are the writer's
    business.
    """

    path: str
    type: EntryType = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    source: bytes | Path = b""
    size: int = 0
    link: str = ""
    owner: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
