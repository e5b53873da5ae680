"""Dockerfiles in the real engine, and what `docker save` gives back, in the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from small_image import IMAGE, small_image

from pipeline.digest import digest_of
from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about
from pipeline.engine.model import Dockerfile
from pipeline.errors import CommandFailed, StoreError
from pipeline.store import Store
from pipeline.store.image_files import ImageFiles
from pipeline.store.saved import take_saved

Project = Callable[[Mapping[str, str | bytes]], Path]
TEXT = f"""\
FROM {IMAGE} AS one
ARG WHO
COPY a /opt/a
RUN echo hello $WHO > /opt/b; rm /opt/keep
FROM one AS two
ENV A=b
RUN echo never > /opt/c
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_dockerfile_becomes_layers_of_the_store(docker: DockerEngine, project: Project, store: Store) -> None:
    folder = project({"Dockerfile": TEXT, "a": "1"})
    wanted = Dockerfile(folder / "Dockerfile", folder, {"WHO": "you"}, target="one", network="host")
    said: list[str] = []
    layers, config = take_saved(docker.save(docker.build(wanted, said.append, lambda: False)), store)
    assert any("echo hello" in line for line in said)
    files = ImageFiles(store, layers)
    assert (files.read("/opt/a"), files.read("/opt/b")) == (b"1", b"hello you\n")
    assert (files.read("/opt/keep"), files.read("/opt/c")) == (None, None)
    assert config["rootfs"]["diff_ids"] == [layer.diff_id for layer in layers]


def test_without_buildkit_it_is_the_same(docker: DockerEngine, project: Project, store: Store) -> None:
    """As in Podman; what its own ignore file names is not copied."""
    folder = project(
        {"Dockerfile": f"FROM {IMAGE}\nCOPY . /opt/\n", "a": "1", "b": "2", "Dockerfile.dockerignore": "#\nb\n"}
    )
    engine = DockerEngine(replace(docker.about(), name="Podman"))
    built = engine.build(Dockerfile(folder / "Dockerfile", folder, network="host"), lambda _: None, lambda: False)
    files = ImageFiles(store, take_saved(docker.save(built), store)[0])
    assert (files.read("/opt/a"), files.read("/opt/b")) == (b"1", None)


class Answers(BaseHTTPRequestHandler):
    """An engine that builds; `asked` are the parameters."""

    asked: ClassVar[dict[str, list[str]]] = {}

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer({"ApiVersion": "1.41", "Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.update(parse_qs(urlsplit(self.path).query))
        self._answer({"aux": {"ID": "sha256:1"}})

    def log_message(self, *words: object) -> None:
        pass


def test_a_dockerfile_is_named_once(project: Project) -> None:
    """Of several parameters of one name Podman takes the last."""
    folder = project({"Dockerfile": "FROM scratch\n"})
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        engine = DockerEngine(about(f"tcp://127.0.0.1:{server.server_port}"))
        try:
            built = engine.build(Dockerfile(folder / "Dockerfile", folder), lambda _: None, lambda: False)
        finally:
            server.shutdown()
    assert built == "sha256:1"
    assert len(Answers.asked["dockerfile"]) == 1


def test_a_build_that_fails_shows_its_end(docker: DockerEngine, project: Project) -> None:
    folder = project({"Dockerfile": f"FROM {IMAGE}\nRUN echo so far; exit 3\n"})
    with pytest.raises(CommandFailed, match="build failed") as caught:
        docker.build(Dockerfile(folder / "Dockerfile", folder, network="host"), lambda _: None, lambda: False)
    assert any("so far" in line for line in caught.value.log)


def test_a_secret_may_be_as_large_as_a_bundle_of_certificates(docker: DockerEngine, project: Project) -> None:
    text = f"FROM {IMAGE}\nRUN --mount=type=secret,id=s head -c 9 /run/secrets/s\n"
    folder, said = project({"Dockerfile": text}), list[str]()
    secret = "certified" * 20_000
    docker.build(Dockerfile(folder / "Dockerfile", folder, {}, "", {"s": secret}, "host"), said.append, lambda: False)
    assert any("certified" in line for line in said)


def test_a_layer_may_be_smaller_than_a_block_where_it_is_compressed(store: Store) -> None:
    whole = gzip.compress(small_layer(), mtime=0)
    assert len(whole) < 512
    config = {"config": {}, "rootfs": {"type": "layers", "diff_ids": [digest_of(small_layer())]}}
    listing = [{"Config": "c", "RepoTags": None, "Layers": ["blobs/l"]}]
    documents = {"blobs/l": whole, "c": json.dumps(config).encode(), "manifest.json": json.dumps(listing).encode()}
    layers, _ = take_saved([packed(documents)], store)
    assert [layer.diff_id for layer in layers] == [digest_of(small_layer())]


def small_layer() -> bytes:
    return packed({"etc/motd": b"hello"})


def packed(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_is_taken_whole_or_not_at_all(store: Store) -> None:
    whole = small_image()
    layers, _ = take_saved([whole], store)
    assert all(store.has_layer(layer) for layer in layers)
    for damaged in (whole[:-20_000], b"", b"nothing" * 1000):
        with pytest.raises(StoreError):
            take_saved([damaged], store)
