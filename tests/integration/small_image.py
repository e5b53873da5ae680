"""A small image made of this machine's own programs, for commands in a real engine."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile

import pytest

from pipeline.digest import digest_of

IMAGE = "tests.local/small:1"
PROGRAMS = ("sh", "cat", "chmod", "chown", "env", "head", "id", "ln", "mkdir", "rm", "sleep", "touch")


def small_image() -> bytes:
    """A `docker save` archive of one layer: a shell, a few programs and their libraries, two files and a folder."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", dereference=True) as tar:
        for name, mode in {"etc": 0o755, "tmp": 0o1777, "opt": 0o755, "opt/old": 0o755, "opt/emptied": 0o755}.items():
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)
        for name in ("etc/passwd", "opt/keep", "opt/old/file", "opt/emptied/a", "opt/emptied/b"):
            content = b"root:x:0:0:root:/root:/bin/sh\n"
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for path in sorted(with_libraries()):
            tar.add(path, path.lstrip("/"))
    content = layer.getvalue()
    config = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Labels": {}}}
    config["rootfs"] = {"type": "layers", "diff_ids": [digest_of(content)]}
    documents = {"config.json": json.dumps(config).encode(), "layer.tar": content}
    listing = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, data in {**documents, "manifest.json": json.dumps(listing).encode()}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def with_libraries() -> set[str]:
    """The programs as /bin/NAME, and what the dynamic linker says that they need."""
    found: set[str] = set()
    for name in PROGRAMS:
        program = shutil.which(name, path="/bin:/usr/bin")
        if program is None:
            pytest.skip(f"this machine has no {name}")
        found.add(f"/bin/{name}")
        linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        found |= set(re.findall(r"(/\S+) \(0x", linked))
    return found
