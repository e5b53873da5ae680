"""The project's files for the kinds: paths guarded, digests from a stat index so that no file is read twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import ResolveError
from pipeline.store.database import Database

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
            ):
                return rows[0][1], info.st_size
            digest = _hash(path)
        except OSError as error:
            raise ResolveError(
                f"cannot read {path}: {error.strerror}", remedy="check that it exists and may be read"
            ) from error
        if self._database and self._now_ns() - max(info.st_mtime_ns, info.st_ctime_ns) > _RACY_NS:
            self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", str(path), stamp, digest)
        return digest, info.st_size

    def tree(self, relative: str, ignore: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        top = self.path(relative)
        if not top.is_dir():
            return [self._member(top, top.name)]
        wanted = _matcher(ignore)
        return [self._member(Path(path), rel) for path, rel in sorted(_walk(top, "", wanted), key=lambda pair: pair[1])]

    def _member(self, path: Path, rel: str) -> Mapping[str, Any]:
        if path.is_symlink():
            self._inside(os.path.relpath(path, self._base))
            return {"path": rel, "link": str(path.readlink())}
        if path.is_dir():
            return {"path": rel, "dir": True}
        if not path.is_file():
            raise ResolveError(
                f"{path} is neither a file, a folder nor a link", remedy="leave it out with an ignore rule"
            )
        digest, size = self._digest(path)
        return {"path": rel, "mode": 0o755 if path.stat().st_mode & 0o100 else 0o644, "size": size, "digest": digest}


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _walk(folder: Path, prefix: str, wanted: Callable[[str, bool], bool]) -> list[tuple[str, str]]:
    """(path, path below the top) of each file, link and empty folder that is wanted."""
    found: list[tuple[str, str]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            rel = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                inner = _walk(Path(entry.path), rel + "/", wanted)
                if inner or wanted(rel, True):
                    found += inner or [(entry.path, rel)]
            elif wanted(rel, False):
                found.append((entry.path, rel))
    return found


def _matcher(ignore: Sequence[str]) -> Callable[[str, bool], bool]:
    """Whether a path is kept, by rules as in a .dockerignore: later rules win, `!` brings back."""
    if not ignore:
        return lambda _path, _is_dir: True
    import pathspec

    # A .dockerignore rule is anchored at the top, one of git's without a slash is not (Docker build context docs).
    rules = [rule.strip() for rule in ignore if rule.strip() and not rule.startswith("#")]
    anchored = ["!/" + rule[1:].strip("/") if rule.startswith("!") else "/" + rule.strip("/") for rule in rules]
    spec = pathspec.PathSpec.from_lines("gitwildmatch", anchored)
    return lambda path, is_dir: not spec.match_file(path + "/" if is_dir else path)
