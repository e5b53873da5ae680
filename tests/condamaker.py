"""Conda packages and channels made on the spot (conda documentation, "Package specification")."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

PLACEHOLDER = "/opt/anaconda1anaconda2anaconda3/_placehold_placehold_placehold_placehold_placehold"
TIME = 1_600_000_000


class Link(str):
    """A symbolic link's text, as a file's content."""


def _tar(files: Mapping[str, bytes | str | Link]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.mtime = TIME
            if isinstance(content, Link):
                info.type, info.linkname = tarfile.SYMTYPE, str(content)
                tar.addfile(info)
                continue
            data = _bytes(content)
            info.size, info.mode = len(data), 0o755 if "bin/" in path or "scripts/" in path else 0o644
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def _bytes(content: bytes | str) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _paths(files: Mapping[str, bytes | str | Link]) -> list[dict[str, Any]]:
    found = []
    for path, content in files.items():
        entry: dict[str, Any] = {"_path": path, "path_type": "softlink" if isinstance(content, Link) else "hardlink"}
        if not isinstance(content, Link):
            data = _bytes(content)
            entry |= {"sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}
            if PLACEHOLDER.encode() in data:
                mode = "binary" if b"\0" in data else "text"
                entry |= {"prefix_placeholder": PLACEHOLDER, "file_mode": mode}
        found.append(entry)
    return found


class Channel:
    """A channel in a folder: packages are added with their line of repodata.json."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def package(
        self,
        name: str,
        version: str = "1.0",
        files: Mapping[str, bytes | str | Link] | None = None,
        *,
        depends: Sequence[str] = (),
        build: str = "0",
        subdir: str = "linux-64",
        entry_points: Sequence[str] = (),
        bz2: bool = False,
    ) -> Path:
        """Makes a package; one for `noarch` holds Python modules below `site-packages/`."""
        content = dict(files or {f"share/{name}.txt": f"{name} {version}\n"})
        index: dict[str, Any] = {
            "name": name,
            "version": version,
            "build": build,
            "build_number": 0,
            "depends": list(depends),
            "subdir": subdir,
        }
        index |= {"noarch": "python"} if subdir == "noarch" else {}
        info = {
            "info/index.json": json.dumps(index),
            "info/paths.json": json.dumps({"paths": _paths(content), "paths_version": 1}),
            "info/about.json": "{}",
            "info/files": "".join(f"{path}\n" for path in content),
        }
        if subdir == "noarch":
            link = {"noarch": {"type": "python", "entry_points": list(entry_points)}, "package_metadata_version": 1}
            info["info/link.json"] = json.dumps(link)
        path = self.folder / subdir / f"{name}-{version}-{build}{'.tar.bz2' if bz2 else '.conda'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_old(info, content) if bz2 else _new(path.stem, info, content))
        self._index(path, index)
        # A channel always has this one.
        always = self.folder / "noarch/repodata.json"
        if not always.exists():
            always.parent.mkdir(exist_ok=True)
            always.write_text('{"packages": {}, "packages.conda": {}}')
        return path

    def _index(self, path: Path, record: Mapping[str, Any]) -> None:
        data, place = path.read_bytes(), path.parent / "repodata.json"
        known = json.loads(place.read_text()) if place.exists() else {"packages": {}, "packages.conda": {}}
        known |= {"info": {"subdir": path.parent.name}, "repodata_version": 1}
        hashes = {"sha256": hashlib.sha256(data).hexdigest(), "md5": hashlib.md5(data).hexdigest(), "size": len(data)}
        known["packages.conda" if path.suffix == ".conda" else "packages"][path.name] = {**record, **hashes}
        place.write_text(json.dumps(known))


def _old(info: Mapping[str, str], content: Mapping[str, bytes | str | Link]) -> bytes:
    return bz2.compress(_tar({**info, **content}))


def _new(stem: str, info: Mapping[str, str], content: Mapping[str, bytes | str | Link]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        members = {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{stem}.tar.zst": zstandard.compress(_tar(content)),
            f"info-{stem}.tar.zst": zstandard.compress(_tar(info)),
        }
        for member, data in members.items():
            archive.writestr(zipfile.ZipInfo(member), data)
    return buffer.getvalue()


def python(channel: Channel, version: str, **more: Any) -> None:
    """A package `python` with as much of an interpreter as layers look at."""
    minor = ".".join(version.split(".")[:2])
    files: dict[str, bytes | str | Link] = {
        f"bin/python{minor}": b"\x7fNOT\0" + PLACEHOLDER.encode() + b"/lib\0 the rest",
        "bin/python": Link(f"python{minor}"),
        f"lib/python{minor}/os.py": "sep = '/'\n",
    }
    channel.package("python", version, files, depends=["__glibc >=2.17", "libz >=1.2"], **more)
    channel.package("libz", "1.2.13", {"lib/libz.so.1": b"z", "etc/z.conf": f"root={PLACEHOLDER}/lib\n"}, bz2=True)
