"""The project's files for the kinds: paths guarded, digests from a stat index so that no file is read twice."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ResolveError
from pipeline.store.database import Database
from pipeline.store.globs import keeper
from pipeline.store.seal import opened, sealed

CHUNK = 1 << 20
_RACY_NS = 2_000_000_000


class ProjectFiles:
    """Files of one project; `inside` is the guard that refuses paths which leave it."""

    def __init__(
        self, base: Path, inside: Callable[[str], Path], database: Database | None, now_ns: Callable[[], int]
    ) -> None:
        self._base = base
        self._inside = inside
        self._database = database
        self._now_ns = now_ns

    def path(self, relative: str) -> Path:
        return self._inside(relative)

    def text(self, relative: str) -> str:
        try:
            return self.path(relative).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ResolveError(
                f"cannot read {relative}: {error}", remedy="check that it is a readable UTF-8 file"
            ) from error

    def digest(self, relative: str) -> tuple[str, int]:
        return self._digest(self.path(relative))

    def _digest(self, path: Path) -> tuple[str, int]:
        """Size, times, inode and device stand for the content, as in git's index; a file touched in the last two
        seconds is not remembered, for a later write within the clock's tick would go unseen."""
        try:
            info = path.stat()
            stamp = f"{info.st_size} {info.st_mtime_ns} {info.st_ctime_ns} {info.st_ino} {info.st_dev}"
            if (
                self._database
                and (rows := self._database.execute("SELECT stamp, digest FROM files WHERE path = ?", str(path)))
                and rows[0][0] == stamp
                and (known := opened(f"{path} {stamp}", rows[0][1]))
            ):
                return known, info.st_size
            digest = _hash(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        changed = max(info.st_mtime_ns, info.st_ctime_ns)
        if self._database and not self._database.read_only and self._now_ns() - changed > _RACY_NS:
            kept = sealed(f"{path} {stamp}", digest)
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", str(path), stamp, kept)
        return digest, info.st_size

    def tree(self, relative: str, ignore: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        top = self.path(relative)
        if not top.is_dir():
            return [self._member(top, top.name)]
        found = _walk(top, "", *keeper(ignore))
        return [self._member(Path(path), rel) for path, rel in sorted(found, key=lambda pair: pair[1])]

    def kept(self, paths: Sequence[str], ignore: Sequence[str]) -> list[str]:
        kept, _ = keeper(ignore)
        return [path for path in paths if kept(path)]

    def _member(self, path: Path, rel: str) -> Mapping[str, Any]:
        try:
            info = path.lstat()
            link = str(path.readlink()) if stat.S_ISLNK(info.st_mode) else ""
        except OSError as error:
            raise _unreadable(path, error) from error
        if not _is_text(rel + link):
            raise ResolveError(
                f"the name of {os.fsencode(path)!r} is not UTF-8", remedy="rename the file, or ignore it"
            )
        if stat.S_ISLNK(info.st_mode):
            return self._link(path, rel, link)
        if stat.S_ISDIR(info.st_mode):
            return {"path": rel, "dir": True}
        if not stat.S_ISREG(info.st_mode):
            raise ResolveError(
                f"{path} is neither a file, a folder nor a link", remedy="leave it out with an ignore rule"
            )
        digest, size = self._digest(path)
        return {"path": rel, "mode": 0o755 if info.st_mode & 0o100 else 0o644, "size": size, "digest": digest}

    def _link(self, path: Path, rel: str, link: str) -> Mapping[str, Any]:
        if link.startswith("/"):
            raise ResolveError(
                f"{path} is a link to {link}, which is another place in the image",
                remedy="make the link relative, or leave it out with an ignore rule",
            )
        self._inside(os.path.relpath(path, os.path.realpath(self._base)))
        return {"path": rel, "link": link}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(path: Path, error: OSError) -> ResolveError:
    return ResolveError(f"cannot read {path}: {error.strerror}", remedy="check that it exists and may be read")


def _walk(folder: Path, prefix: str, kept: Callable[[str], bool], bring_back: bool) -> list[tuple[str, str]]:
    """(path, path below the top) of each file, link and empty folder that is kept; `bring_back` as `keeper` says."""
    found: list[tuple[str, str]] = []
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    for entry in entries:
        rel = prefix + entry.name
        if not entry.is_dir(follow_symlinks=False):
            if kept(rel):
                found.append((entry.path, rel))
        elif (wanted := kept(rel)) or bring_back:
            inner = _walk(Path(entry.path), rel + "/", kept, bring_back)
            found += inner or ([(entry.path, rel)] if wanted else [])
    return found
