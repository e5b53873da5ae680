"""A project whose Dockerfile a registry builds: Azure's double takes the context, and what it makes is pushed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from acr_issuer import Issuer
from azure_double import CLIENT, REGISTRY, SECRET, TENANT, AzureDouble
from registry_server import RealRegistry

from pipeline.cli._door import run
from pipeline.digest import digest_of
from pipeline.facts import Platform
from pipeline.manifest.model import Registry, Secret
from pipeline.oci import image as documents
from pipeline.oci.descriptor import CONFIG, LAYER_GZIP, MANIFEST, Descriptor, Layer
from pipeline.registry import Registries
from pipeline.registry.transfers import push, tag
from pipeline.store import Store

MANIFEST_TEXT = """\
version: 1
name: remote
registries:
  prod: {{address: "{address}/ml", azure: {{tenant: {tenant}, client_id: {client}, client_secret: "${{env:SECRET}}"}}}}
build: {{engine: acr, registry: prod{more}}}
bases:
  heavy: {{dockerfile: {{{dockerfile}}}}}
layers:
  code: {{files: [{{from: src/, to: /srv/app/}}]}}
retry: {{attempts: 3, wait: 10ms}}
images:
  app: {{base: heavy, layers: [code], command: [/srv/app/start], push: {{to: prod}}}}
"""
LOG = [
    b"Downloading source code...\nStep 1/4 : FROM parent\n",
    b"Step 2/4",
    b" : ARG \x1b[1mVERSION\x1b[0m\nSuccessfully built\n",
]


class EntraOf(dict[str, str]):
    """The registry knows every token that the double of Entra gave for registries, as the pusher's."""

    def __init__(self, azure: AzureDouble) -> None:
        self._azure = azure
        self.tokens = azure.tokens

    def get(self, token: str, _default: object = None) -> str | None:  # type: ignore[override]
        return "pusher" if token in self._azure.tokens and "containerregistry.azure.net" in token else None


class RemoteProject:
    """The project, its registry, and Azure. `requests` are what builds were asked for, `contexts` the files sent."""

    def __init__(self, folder: Path, registry: RealRegistry, issuer: Issuer, azure: AzureDouble) -> None:
        self.folder = folder / "project"
        self.registry = registry
        self.azure = azure
        issuer.entra = EntraOf(azure)
        azure.registry_host = registry.address
        azure.resources[REGISTRY] = {"loginServer": registry.address}
        azure.built = self.built
        self.requests: list[dict[str, Any]] = []
        self.contexts: list[dict[str, bytes]] = []
        self.statuses = ["Running", "Succeeded"]
        self.tells_digest = True
        self.environ = {**os.environ, **azure.environ, "SECRET": SECRET, "PIPELINE_HOME": str(folder / "home")}
        self.environ.pop("CI", None)
        self.write(".git/HEAD", "ref")
        self.write("data.txt", "data\n")
        self.write("src/start", "#!/bin/sh\n")
        self.write(".dockerignore", "ignored.txt\n")
        self.write("ignored.txt", "x")
        self.write("Dockerfile", self.dockerfile("ARG VERSION\nCOPY data.txt /data/\nRUN make\n"))
        self.push_image("ml/parent", "1", {"etc/os-release": b"ID=debian\nVERSION_CODENAME=bookworm\n"})
        self.manifest("path: Dockerfile, args: {VERSION: 7}")

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def dockerfile(self, rest: str, name: str = "") -> str:
        """Text that no other test has, for what was built once is found in the registry by its key."""
        parent = f"{self.registry.address}/ml/parent:1"
        return f"# {self.folder}\nFROM {parent}{f' AS {name}' if name else ''}\n{rest}"

    def manifest(self, dockerfile: str, more: str = "", text: str = "") -> None:
        text = text or MANIFEST_TEXT
        names = {"address": self.registry.address, "tenant": TENANT, "client": CLIENT}
        self.write("pipeline.yaml", text.format(dockerfile=dockerfile, more=more, **names))

    def __call__(self, *args: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        words = [*args, str(self.folder / "pipeline.yaml")]
        code = run(words, environ={**self.environ, **(environ or {})}, out=out, err=err)
        return code, out.getvalue(), err.getvalue()

    def built(self, request: dict[str, Any], tar: tarfile.TarFile) -> tuple[list[str], list[bytes], Callable[[], str]]:
        """What a build does: makes an image of the file that the Dockerfile copies, and pushes it."""
        files = {info.name: tar.extractfile(info).read() for info in tar if info.isfile()}  # type: ignore[union-attr]
        self.requests.append(request)
        self.contexts.append(files)
        repository, _, name = request["imageNames"][0].partition(":")
        release = {"etc/os-release": b"ID=debian\nVERSION_CODENAME=bookworm\n"}

        def pushed() -> str:
            digest = self.push_image(repository, name, {**release, "data/data.txt": files.get("data.txt", b"")})
            return digest if self.tells_digest else ""

        return list(self.statuses), list(LOG), pushed

    def push_image(self, repository: str, name: str, files: Mapping[str, bytes]) -> str:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            for path, content in files.items():
                info = tarfile.TarInfo(path)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        store = Store(self.folder.parent / f"builder-{hashlib.sha256(raw.getvalue()).hexdigest()[:8]}")
        packed = gzip.compress(raw.getvalue(), mtime=0)
        blob = Descriptor(LAYER_GZIP, store.blobs.put(packed), len(packed))
        layer = Layer(blob, digest_of(raw.getvalue()))
        config, data = documents.described(documents.config(Platform(), {"Env": ["BUILT=1"]}, [layer]), CONFIG)
        store.blobs.put(data)
        image, data = documents.described(documents.manifest(config, [layer], {}), MANIFEST, Platform())
        store.blobs.put(data)
        given = [Registry("prod", self.registry.address, "pusher", Secret("s3cret-of-pusher"))]
        where = Registries({"HOME": "/nonexistent"}, given).repository(f"{self.registry.address}/{repository}")
        push(store, image, where)
        tag(store, image, where, [name])
        return str(image.digest)
