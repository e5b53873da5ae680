"""Merges unpacked layers into one folder by copying, for kernels and file systems that refuse an overlay."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline.store.roots import remove_tree

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_FICLONE = 0x40049409


def merge(layers: Sequence[Path], target: Path) -> None:
    """Copies `layers`, lowest first, over each other into the empty folder `target`; whiteouts are carried out.

    Blocks are shared with the original where the file system can (ioctl_ficlone(2)).
    """
    for layer in layers:
        _Copy().folder(layer, target)


class _Copy:
    """One layer being copied; remembers what has several names."""

    def __init__(self) -> None:
        self._links: dict[tuple[int, int], Path] = {}

    def folder(self, source: Path, target: Path) -> None:
        with os.scandir(source) as entries:
            members = sorted(entries, key=lambda entry: not entry.name.startswith(_WHITEOUT))
        if _is_opaque(source):
            _empty(target)
        for member in members:
            if member.name == _OPAQUE:
                continue
            if member.name.startswith(_WHITEOUT):
                _remove(target / member.name.removeprefix(_WHITEOUT))
            else:
                self._member(Path(member.path), target / member.name, member.stat(follow_symlinks=False))
        _same(source, target, source.stat())

    def _member(self, source: Path, target: Path, info: os.stat_result) -> None:
        if stat.S_ISDIR(info.st_mode):
            if target.is_symlink() or not target.is_dir():
                _remove(target)
                target.mkdir()
            self.folder(source, target)
            return
        _remove(target)
        if stat.S_ISCHR(info.st_mode) and not info.st_rdev:
            return
        first = self._links.setdefault((info.st_dev, info.st_ino), target)
        if first is not target:
            target.hardlink_to(first)
            return
        if stat.S_ISREG(info.st_mode):
            _content(source, target)
        elif stat.S_ISLNK(info.st_mode):
            target.symlink_to(source.readlink())
        else:
            os.mknod(target, info.st_mode, info.st_rdev)
        _same(source, target, info)


def _content(source: Path, target: Path) -> None:
    import fcntl

    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new, _FICLONE, old.fileno())
        except OSError:
            shutil.copyfileobj(old, new, 1 << 20)


def _same(source: Path, target: Path, info: os.stat_result) -> None:
    """Gives `target` the owner, the mode and the time of `source`."""
    if os.geteuid() == 0:
        os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        target.chmod(stat.S_IMODE(info.st_mode))
        with contextlib.suppress(OSError):
            for name in os.listxattr(source):
                if not name.endswith("overlay.opaque"):
                    os.setxattr(target, name, os.getxattr(source, name))
    os.utime(target, ns=(info.st_mtime_ns, info.st_mtime_ns), follow_symlinks=False)


def _is_opaque(folder: Path) -> bool:
    if (folder / _OPAQUE).exists():
        return True
    try:
        return os.getxattr(folder, "user.overlay.opaque") == b"y"
    except OSError:
        return False


def _empty(folder: Path) -> None:
    for child in folder.iterdir():
        _remove(child)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
