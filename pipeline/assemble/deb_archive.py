"""Opens .deb files: the ar archive, its control files, and the tar of what it installs; a few are opened ahead.

Format: deb(5). Nothing of a package is run.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from pipeline.compression import damage, reader, suffix_kind
from pipeline.dpkg import stanza
from pipeline.errors import AssembleError
from pipeline.store.tarmembers import Members

AHEAD = 2
"""Threads that decompress, which the libraries do outside the interpreter's lock; as many .debs wait at most."""
IN_MEMORY = 24 << 20
"""Bytes of a package's unpacked files that are held in memory; a larger one goes through a scratch file."""
MAX_CONTROL = 16 << 20
MAX_DATA = 16 << 30
"""Bytes that a package's control files and its files may unpack to."""
_HEADER = 60


@dataclass
class Deb:
    """An opened .deb: `control` maps its control files to their text, `fields` is the one named `control`."""

    file: str
    control: Mapping[str, bytes]
    fields: Mapping[str, str]
    data: IO[bytes] = field(repr=False)

    @property
    def name(self) -> str:
        return self.fields["Package"]

    @property
    def version(self) -> str:
        return self.fields.get("Version", "")

    def text(self, name: str) -> str:
        """A control file as text; empty when the package has none."""
        return self.control.get(name, b"").decode("utf-8", "replace")

    def members(self) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
        """What the package installs, in its order, with the stream to read each file's bytes from."""
        try:
            for member in Members(self.data):
                yield member, self.data
        except tarfile.TarError as error:
            raise _damaged(self.file, "file", error) from None


def open_ahead(files: Sequence[tuple[str, Path]], scratch: Path) -> Iterator[Deb]:
    """The .debs (display name and path) in their order, decompressed by threads before they are asked for."""
    waiting: deque[Future[Deb]] = deque()
    remaining = iter(files)
    with ThreadPoolExecutor(AHEAD, "deb") as pool:
        try:
            while True:
                while len(waiting) <= AHEAD and (each := next(remaining, None)):
                    waiting.append(pool.submit(open_deb, each[1], each[0], scratch))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def open_deb(path: Path, file: str, scratch: Path) -> Deb:
    """One .deb. AssembleError for a file that is none, or is damaged."""
    try:
        with path.open("rb") as raw:
            parts = _parts(raw, file)
            control = _control(raw, parts, file)
            return Deb(file, control, control_fields(control, file), _data(raw, parts, file, scratch))
    except OSError as error:
        raise AssembleError(f"cannot read {file}: {error.strerror or error}") from None


def read_control(path: Path, file: str) -> dict[str, bytes]:
    """A .deb's control files alone."""
    with path.open("rb") as raw:
        return _control(raw, _parts(raw, file), file)


def _parts(raw: IO[bytes], file: str) -> dict[str, tuple[int, int]]:
    """The ar members' names, offsets and sizes."""
    if raw.read(8) != b"!<arch>\n":
        raise AssembleError(f"{file} is not a .deb")
    parts: dict[str, tuple[int, int]] = {}
    whole = raw.seek(0, io.SEEK_END)
    raw.seek(8)
    while len(header := raw.read(_HEADER)) == _HEADER:
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), header[48:58].strip()
        if not size.isdigit() or header[58:] != b"`\n" or raw.tell() + int(size) > whole:
            raise AssembleError(f"{file} is damaged: a wrong archive header")
        parts[name] = (raw.tell(), int(size))
        raw.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    return parts


def _open_part(raw: IO[bytes], parts: Mapping[str, tuple[int, int]], start: str, file: str) -> IO[bytes]:
    for name, (offset, size) in parts.items():
        if name.startswith(start):
            raw.seek(offset)
            return reader(io.BytesIO(raw.read(size)), suffix_kind(name))
    raise AssembleError(f"{file} has no {start}")


def _control(raw: IO[bytes], parts: Mapping[str, tuple[int, int]], file: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        members = Members(io.BytesIO(_open_part(raw, parts, "control.tar", file).read(MAX_CONTROL)))
        for member in members:
            name = member.name.removeprefix("./")
            content = members.content(member) if "/" not in name and not member.issparse() else None
            if content:
                found[name] = content.read()
    except tarfile.TarError as error:
        raise _damaged(file, "control", error) from None
    except damage() as error:
        raise _damaged(file, "control", error) from None
    return found


def _damaged(file: str, part: str, error: BaseException) -> AssembleError:
    return AssembleError(
        f"{file}: its {part} archive is damaged: {error}", remedy="report it to the archive it is from"
    )


def _data(raw: IO[bytes], parts: Mapping[str, tuple[int, int]], file: str, scratch: Path) -> IO[bytes]:
    try:
        stream = _open_part(raw, parts, "data.tar", file)
        start = stream.read(IN_MEMORY)
        if len(start) < IN_MEMORY:
            return io.BytesIO(start)
        # Without a name from the start: it is gone with its last reader, however that ends.
        spill = tempfile.TemporaryFile(dir=scratch)  # noqa: SIM115
        spill.write(start)
        while chunk := stream.read(1 << 20):
            spill.write(chunk)
            if spill.tell() > MAX_DATA:
                raise AssembleError(f"{file} is refused: it unpacks to more than {MAX_DATA >> 30} GiB")
        spill.seek(0)
        return spill
    except damage() as error:
        raise _damaged(file, "file", error) from None


def control_fields(control: Mapping[str, bytes], file: str) -> dict[str, str]:
    """The fields of the control file named `control`. AssembleError when they do not name the package."""
    fields = stanza(control.get("control", b"").decode("utf-8", "replace").strip())
    if not fields.get("Package"):
        raise AssembleError(f"{file} does not say which package it is")
    return fields


def replaces(fields: Mapping[str, str]) -> set[str]:
    """The names of packages whose files this one may take over (Debian Policy 7.6.1)."""
    return {part.split("(")[0].split(":")[0].strip() for part in fields.get("Replaces", "").split(",") if part.strip()}


def read_fields(path: Path, file: str) -> dict[str, str]:
    """The control fields of a .deb alone."""
    return control_fields(read_control(path, file), file)
