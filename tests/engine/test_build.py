"""Dockerfiles in the real engine, and what `docker save` gives back, in the store."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from small_image import IMAGE, small_image

from pipeline.digest import digest_of
from pipeline.engine.docker import DockerEngine
from pipeline.engine.model import Dockerfile, EngineError
from pipeline.errors import StoreError
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


def test_a_build_that_fails_shows_its_end(docker: DockerEngine, project: Project) -> None:
    folder = project({"Dockerfile": f"FROM {IMAGE}\nRUN echo so far; exit 3\n"})
    with pytest.raises(EngineError, match="build failed") as caught:
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
