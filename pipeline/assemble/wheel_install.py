"""One unpacked wheel as the files it installs: where each goes, its mode, scripts, and a RECORD that fits.

Follows the PyPA specifications "Binary distribution format", "Recording installed projects" and "Entry points".
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.assemble.entry import Entry
from pipeline.errors import AssembleError

INSTALLER = b"pipeline\n"
# What uv, pip and other installers write beside a wheel's own files, and signatures that an installed RECORD breaks.
_NOT_THE_WHEELS = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json", "RECORD.jws", "RECORD.p7s"}
_SCRIPT = """\
#!{executable}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({call}())
"""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an image keeps Python packages, as absolute paths in it. `python` is the minor version, such as 3.11."""

    prefix: str
    site: str
    python: str
    executable: str

    def place(self, scheme: str, project: str) -> str:
        """The folder of an installation scheme (sysconfig, "Installation paths"), relative to the image's root."""
        prefix = self.prefix.strip("/")
        folders = {
            "purelib": self.site.strip("/"),
            "platlib": self.site.strip("/"),
            "scripts": posixpath.join(prefix, "bin"),
            "data": prefix,
            "headers": posixpath.join(prefix, f"include/python{self.python}", project),
        }
        if scheme not in folders:
            raise AssembleError(
                f"{project} has files for the unknown scheme {scheme}", remedy="report it to its makers"
            )
        return folders[scheme]


def install(file: str, folder: Path, layout: Layout) -> list[Entry]:
    """The files that the wheel `file`, unpacked in `folder`, installs."""
    name, version = file.split("-")[:2]
    info = _info(folder, name, version, file)
    project = info.removesuffix(".dist-info").rsplit("-", 1)[0]
    data, site = info.removesuffix("dist-info") + "data", layout.place("purelib", project)
    recorded = _record(folder / info / "RECORD")
    found: dict[str, tuple[Entry, str]] = {}
    for path, source in _walk(folder):
        if path.startswith(info + "/") and path[len(info) + 1 :] in _NOT_THE_WHEELS:
            continue
        if "__pycache__/" in path and path not in recorded:
            continue
        target, script = f"{site}/{path}", False
        if path.startswith(data + "/"):
            scheme, _, rest = path[len(data) + 1 :].partition("/")
            target, script = posixpath.join(layout.place(scheme, project), rest), scheme == "scripts"
        entry = _entry(target, source, file)
        fingerprint = _checked(entry, recorded.get(path), path, file)
        entry = _script(entry, layout.executable) if script else entry
        found[target] = (entry, _fingerprint(entry.source) if isinstance(entry.source, bytes) else fingerprint)
    for entry in [*_entry_points(folder / info, layout, file), _made(f"{site}/{info}/INSTALLER", INSTALLER, file)]:
        found[entry.path] = (entry, _fingerprint(entry.source))
    record = _made(f"{site}/{info}/RECORD", _written_record(found, f"{site}/{info}/RECORD", site), file)
    return [*(entry for entry, _ in found.values()), record]


def _info(folder: Path, name: str, version: str, file: str) -> str:
    """The .dist-info folder; its name may be spelled a little differently from the wheel's."""
    if (folder / f"{name}-{version}.dist-info").is_dir():
        return f"{name}-{version}.dist-info"
    found = sorted(each.name for each in folder.glob("*.dist-info"))
    if len(found) != 1:
        raise AssembleError(
            f"{file} has {len(found)} .dist-info folders", remedy="choose another version of the package"
        )
    return found[0]


def _walk(folder: Path, below: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every regular file below `folder` with its relative path."""
    with os.scandir(folder / below) as found:
        for each in found:
            path = below + each.name
            if each.is_dir(follow_symlinks=False):
                yield from _walk(folder, path + "/")
            elif each.is_file(follow_symlinks=False):
                yield path, each


def _record(path: Path) -> dict[str, tuple[str, str]]:
    """What a wheel's RECORD says of each file: its hash (`sha256=...`) and its size."""
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return {row[0].replace("\\", "/"): (row[1], row[2]) for row in csv.reader(lines) if len(row) >= 3}
    except (OSError, ValueError, csv.Error):
        return {}


def _entry(target: str, source: os.DirEntry[str], owner: str) -> Entry:
    if not target.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in target):
        raise AssembleError(f"the name {target!r} of {owner} is not UTF-8", remedy="choose another version")
    stat = source.stat(follow_symlinks=False)
    mode = 0o755 if stat.st_mode & 0o111 else 0o644
    return Entry(target, mode=mode, source=Path(source.path), size=stat.st_size, owner=owner)


def _checked(entry: Entry, recorded: tuple[str, str] | None, path: str, file: str) -> str:
    """The file's fingerprint for RECORD. Raises when a file in the cache is not what the wheel brought.

    uv installs by hard links elsewhere, and an edit there changes the cache. A file with one name cannot have been
    reached that way, and its size is compared for nothing; only one with several names is read.
    """
    if not recorded or not recorded[0]:
        return ","
    assert isinstance(entry.source, Path)
    # A size is optional; one that is no number tells nothing.
    sound = not re.fullmatch(r"[0-9]{1,18}", recorded[1]) or int(recorded[1]) == entry.size
    if sound and recorded[0].startswith("sha256=") and entry.source.stat().st_nlink > 1:
        with entry.source.open("rb") as content:
            sound = _encoded(hashlib.file_digest(content, "sha256").digest()) == recorded[0]
    if not sound:
        raise AssembleError(
            f"{path} of {file} was changed in uv's cache",
            remedy=f"remove it there: uv cache clean {file.split('-')[0]}",
        )
    return f"{recorded[0]},{entry.size}"


def _script(entry: Entry, executable: str) -> Entry:
    """A script for PATH: executable, and with `#!python` replaced by the image's interpreter."""
    assert isinstance(entry.source, Path)
    with entry.source.open("rb") as content:
        first = content.readline()
        if not first.startswith((b"#!python", b"#!pythonw")):
            return replace(entry, mode=0o755)
        text = b"#!" + executable.encode() + b"\n" + content.read()
    return replace(entry, mode=0o755, source=text, size=len(text))


def _entry_points(info: Path, layout: Layout, owner: str) -> Iterator[Entry]:
    """A script for each console and GUI entry point."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    try:
        parser.read_string((info / "entry_points.txt").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (ValueError, configparser.Error) as error:
        raise AssembleError(f"{owner} has entry points that cannot be read: {' '.join(str(error).split())}") from error
    for section in ("console_scripts", "gui_scripts"):
        for name, value in sorted(parser.items(section)) if parser.has_section(section) else ():
            module, _, call = value.split("[")[0].strip().partition(":")
            module, call = module.strip(), call.strip()
            words = [*module.split("."), *call.split(".")]
            if "/" in name or name in ("", ".", "..") or not all(word.isidentifier() for word in words):
                raise AssembleError(f"{owner} has an entry point that cannot be made: {name} = {value}")
            text = _SCRIPT.format(executable=layout.executable, module=module, name=call.split(".")[0], call=call)
            yield replace(_made(posixpath.join(layout.place("scripts", ""), name), text.encode(), owner), mode=0o755)


def _made(path: str, content: bytes, owner: str) -> Entry:
    return Entry(path, source=content, size=len(content), owner=owner)


def _written_record(found: dict[str, tuple[Entry, str]], record: str, site: str) -> bytes:
    """RECORD as installed: paths relative to the folder for packages, sorted, itself without a hash."""
    inside = site + "/"
    rows = []
    for path, (_, fingerprint) in found.items():
        # Nearly all are below: a hundredth of the time that relpath takes.
        relative = path[len(inside) :] if path.startswith(inside) else posixpath.relpath(path, site)
        rows.append((relative, *fingerprint.split(",")))
    rows.append((posixpath.relpath(record, site), "", ""))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(sorted(rows))
    return text.getvalue().encode()


def _fingerprint(content: bytes | Path) -> str:
    assert isinstance(content, bytes)
    return f"{_encoded(hashlib.sha256(content).digest())},{len(content)}"


def _encoded(digest: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
