"""Makes .deb files for tests."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path

import zstandard

COMPRESS = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstandard.ZstdCompressor().compress(data),
}


def tar(members: Mapping[str, object]) -> bytes:
    """A tar of members: bytes or text is a file, None a folder, `-> x` a link, `=> x` a hard link, or a TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, value in members.items():
            info, data = tarfile.TarInfo(name), b""
            info.mode = 0o644
            if isinstance(value, tarfile.TarInfo):
                info = value
                info.name = name
            elif value is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(value, str) and value.startswith("-> "):
                info.type, info.linkname = tarfile.SYMTYPE, value[3:]
            elif isinstance(value, str) and value.startswith("=> "):
                info.type, info.linkname = tarfile.LNKTYPE, value[3:]
            else:
                data = value.encode() if isinstance(value, str) else value  # type: ignore[assignment]
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def make_deb(
    path: Path,
    name: str,
    files: Mapping[str, object],
    control: Mapping[str, str] | None = None,
    compression: str = ".xz",
    **fields: str,
) -> Path:
    """A .deb with these files and control files, and `fields` in its control paragraph."""
    lines = {"Package": name, "Version": "1", "Architecture": "amd64", "Description": "a test", **fields}
    text = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in lines.items())
    compress = COMPRESS[compression]
    parts = {
        "debian-binary": b"2.0\n",
        f"control.tar{compression}": compress(
            tar({"./control": text, **{f"./{k}": v for k, v in (control or {}).items()}})
        ),
        f"data.tar{compression}": compress(tar(files)),
    }
    out = b"!<arch>\n"
    for part, data in parts.items():
        out += f"{part:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    path.write_bytes(out)
    return path
