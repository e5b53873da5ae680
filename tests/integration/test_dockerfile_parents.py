"""Dockerfiles on images of a registry whose tags move, in the real engine: the lock says what is built on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import docker_server
import registry_server
from small_image import IMAGE, small_image

from pipeline.cli._door import run
from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about
from pipeline.engine.model import Dockerfile

MANIFEST = """\
version: 1
name: shop
build: {network: host, ca_bundle: none}
registries: {here: {address: "${env:REGISTRY}", username: bob, password: "${env:REGISTRY_PASSWORD}"}}
bases: {own: {dockerfile: {path: Dockerfile, args: {BASE: "${env:BASE}"}}}}
images: {web: {base: own, command: [sh]}}
"""
TEXT = "ARG BASE\nFROM ${BASE} AS start\nCOPY own /own\nRUN cat /which > /seen\n"
Project = Callable[[Mapping[str, str | bytes]], Path]


class Shop:
    """A project whose Dockerfile starts from `base:1` of a registry that asks for a password, or of the engine."""

    def __init__(self, folder: Path, docker: docker_server.RealDocker, registry: str) -> None:
        self.folder, self.registry = folder, registry
        self.engine = DockerEngine(about(docker.address))
        self.environ = {**os.environ, "DOCKER_HOST": docker.address, "REGISTRY": registry}
        self.environ |= {"REGISTRY_PASSWORD": "s3cret-of-bob", "BASE": f"{registry}/base:1"}

    def __call__(self, *args: str) -> str:
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True), io.StringIO()
        code = run(args, environ=self.environ, out=out, err=err)
        assert isinstance(out.buffer, io.BytesIO)
        said = out.buffer.getvalue().decode()
        assert code == 0, err.getvalue() + said
        assert "s3cret" not in said + err.getvalue()
        return said + err.getvalue()

    def make(self, name: str, which: str) -> None:
        """An image in the engine that holds /which."""
        scratch = self.folder / "made"
        scratch.mkdir(exist_ok=True)
        (scratch / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo {which} > /which\n")
        wanted = Dockerfile(scratch / "Dockerfile", scratch, network="host")
        self.engine.tag(self.engine.build(wanted, lambda _line: None, lambda: False), name)

    def publish(self, which: str) -> None:
        """Moves the tag in the registry, and leaves nothing in the engine."""
        name = f"{self.registry}/base:1"
        self.make(name, which)
        login = {"username": "bob", "password": "s3cret-of-bob"}
        said = self.engine.api.push(name, auth_config=login)
        assert "error" not in said, said
        self.engine.forget(name)
        self.engine.api.prune_images({"dangling": False})
        self.engine.load([small_image()])

    def seen(self) -> str:
        """What the image was built on."""
        self("build", str(self.folder / "shop.yaml"))
        return self("image", "cat", "web", "/seen").strip()


@pytest.fixture
def shop(project: Project) -> Iterator[Shop]:
    folder = project({"shop.yaml": MANIFEST, "Dockerfile": TEXT, "own": "1"})
    with docker_server.running() as docker, registry_server.running({"bob": "s3cret-of-bob"}) as registry:
        shop = Shop(folder, docker, registry.address)
        shop.engine.load([small_image()])
        yield shop


def test_a_tag_that_moved_counts_once_the_lock_is_told(shop: Shop) -> None:
    shop.publish("one")
    assert shop.seen() == "one"
    shop.publish("two")
    (shop.folder / "own").write_text("2")
    assert shop.seen() == "one", "it is built anew, on what the lock says"
    said = shop("lock", str(shop.folder / "shop.yaml"), "--upgrade", "own")
    assert "base:1" in said and "sha256:" in said
    assert shop.seen() == "two"
    assert "pipeline.local/from" not in str(shop.engine.api.images())


def test_an_image_of_the_engine_alone_counts_by_its_id(shop: Shop) -> None:
    shop.environ["BASE"] = "base.invalid/only:here"
    shop.make("base.invalid/only:here", "one")
    assert shop.seen() == "one"
    shop.make("base.invalid/only:here", "two")
    (shop.folder / "own").write_text("2")
    assert shop.seen() == "one"
    shop("lock", str(shop.folder / "shop.yaml"), "--upgrade", "own")
    assert shop.seen() == "two"
