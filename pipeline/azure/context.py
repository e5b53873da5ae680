"""Packs what a Dockerfile may copy, and itself, into a tar.gz for a build elsewhere: as `az acr build` does."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any

from pipeline.compression import gzip_compressor
from pipeline.errors import ResolveError

LEFT_OUT = frozenset({".git", ".hg", ".svn", ".bzr", ".venv"})
"""Folders that no image is made of: history, and a virtual environment of this machine."""
_LEVEL = 1


def pack(
    members: Iterable[Mapping[str, Any]],
    folder: Path,
    dockerfile: tuple[str, str],
    out: Path,
    stop: Callable[[], None],
) -> int:
    """Writes the context to `out`, and gives its size. `members` are what the ignore file leaves of `folder`;
    `dockerfile` is a name in the context and its text. ResolveError for a file that changed or went meanwhile.
    """
    with out.open("wb") as file:
        gzip = _Gzip(file)
        with tarfile.open(fileobj=gzip, mode="w|", format=tarfile.PAX_FORMAT) as tar:  # type: ignore[call-overload]
            for member in members:
                stop()
                if LEFT_OUT.isdisjoint(member["path"].split("/")):
                    _add(tar, folder / member["path"], member)
            data = dockerfile[1].encode()
            info = tarfile.TarInfo(dockerfile[0])
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
        gzip.end()
    return out.stat().st_size


def _add(tar: tarfile.TarFile, path: Path, member: Mapping[str, Any]) -> None:
    info = tarfile.TarInfo(member["path"])
    try:
        info.mtime = int(path.lstat().st_mtime)
        if member.get("dir"):
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        elif "link" in member:
            info.type, info.linkname, info.mode = tarfile.SYMTYPE, member["link"], 0o777
            tar.addfile(info)
        else:
            info.size, info.mode = member["size"], member["mode"]
            with path.open("rb") as content:
                tar.addfile(info, content)
    except OSError as error:
        fact = f"cannot read {path}: {error.strerror or error}"
        raise ResolveError(fact, remedy="it changed while it was packed: run again") from error


class _Gzip:
    """Compresses what is written to it; tarfile's own compression is many times slower."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._compressor = gzip_compressor(_LEVEL)

    def write(self, data: bytes) -> int:
        self._file.write(self._compressor.compress(data))
        return len(data)

    def end(self) -> None:
        self._file.write(self._compressor.flush())
