"""A small project that needs no network, and a server for it: what tests of the server's core start from."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gitmaker import Origin

from pipeline.serve.core import Core
from pipeline.serve.reading import read

MANIFEST = """\
version: 1
name: {name}
{more}bases: {{none: {{layout: ../base}}}}
layers: {{code: {{files: [{{from: {name}.txt, to: /srv/}}]}}}}
images: {{{name}: {{base: none, layers: [code]}}}}
"""
CONFIG = "version: 1\nrepositories: {models: {url: origin, poll: 20s}}\n"


def layout() -> dict[str, bytes]:
    """An image of one small layer as an OCI image layout, by path below `base/`."""
    blobs: dict[str, bytes] = {}

    def put(data: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"base/blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{media}", "digest": f"sha256:{digest}", "size": len(data)}

    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as file:
        folder = tarfile.TarInfo("etc")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        file.addfile(folder)
    layer = put(tar.getvalue(), "layer.v1.tar")
    config = {"architecture": "amd64", "os": "linux", "config": {}}
    config["rootfs"] = {"type": "layers", "diff_ids": [layer["digest"]]}
    made = {"config": put(json.dumps(config).encode(), "config.v1+json"), "layers": [layer]}
    image = put(json.dumps({"schemaVersion": 2, **made}).encode(), "manifest.v1+json")
    index = json.dumps({"schemaVersion": 2, "manifests": [image]}).encode()
    return {**blobs, "base/index.json": index, "base/oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}


def manifest(name: str, text: str = "first", more: str = "") -> dict[str, str]:
    """The files of a manifest whose only layer has one text."""
    return {
        f"manifests/{name}.yaml": MANIFEST.format(name=name, more=more),
        f"manifests/{name}.txt": text,
    }


class Lab:
    """An origin with manifests, and servers on one home; time stands still until it is moved."""

    def __init__(self, folder: Path, files: Mapping[str, str | bytes], config: str = CONFIG) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.now = folder, 1_800_000_000.0
        self.origin = Origin(folder / "origin")
        self.origin.commit({**layout(), **files}, "First")
        self.config = folder / "serve.yaml"
        self.config.write_text(config)
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONDONTWRITEBYTECODE") if name in os.environ}
        self.environ = {**kept, "HOME": str(folder), "PIPELINE_HOME": str(folder / "home"), "LANG": "C.UTF-8"}
        self.said: list[str] = []

    def core(self, **more: Any) -> Core:
        settings = read(self.config, self.environ)
        return Core(settings, self.environ, lambda: self.now, self.said.append, **more)

    def settle(self, core: Core, seconds: float = 120.0) -> None:
        """Lets time go on, and does all that there is to do meanwhile."""
        end = self.now + seconds
        while self.now < end:
            if core.tick() is None:
                self.now += 5.0
