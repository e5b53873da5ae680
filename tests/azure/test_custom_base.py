"""A custom base as Azure ML's documents build one, by a real engine: four arguments, a user, and no cache left."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker_server
import pytest
from small_image import IMAGE, small_image

from pipeline.cli._door import run
from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about

MANIFEST = """\
version: 1
name: custom
build: {network: host, ca_bundle: none}
bases:
  own:
    dockerfile:
      path: Dockerfile
      args: {CONDA_VERSION: 4.7.12, PYTHON_VERSION: "3.7", AZUREML_SDK_VERSION: 1.13.0, INFERENCE_SCHEMA_VERSION: 1.1.0}
layers:
  tool:
    run:
      commands: [id -u > /opt/who, touch /var/cache/tool/kept, touch /opt/tool]
      cache: [/var/cache/tool]
  code: {files: [{from: src/, to: /var/azureml-app/}]}
images: {web: {base: own, layers: [tool, code], command: [sh]}}
"""
DOCKERFILE = f"""\
FROM {IMAGE}
ARG CONDA_VERSION
ARG PYTHON_VERSION
ARG AZUREML_SDK_VERSION
ARG INFERENCE_SCHEMA_VERSION
RUN echo $CONDA_VERSION $PYTHON_VERSION $AZUREML_SDK_VERSION $INFERENCE_SCHEMA_VERSION > /versions
RUN mkdir -p /var/cache/big && touch /var/cache/big/file && rm -r /var/cache/big
RUN chown 1000 /tmp
USER 1000
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[docker_server.RealDocker]:
    with docker_server.running() as server:
        yield server


@pytest.fixture
def built(project: Callable[[Mapping[str, str | bytes]], Path], docker: docker_server.RealDocker) -> Callable[..., str]:
    """The command line, after the project was built."""
    folder = project({"p.yaml": MANIFEST, "Dockerfile": DOCKERFILE, "src/score.py": "x = 1\n"})
    DockerEngine(about(docker.address)).load([small_image()])
    environ = {**os.environ, "DOCKER_HOST": docker.address}

    def called(*words: str) -> str:
        raw, err = io.BytesIO(), io.StringIO()
        out = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
        assert run(list(words), environ=environ, out=out, err=err) == 0, err.getvalue()
        return raw.getvalue().decode()

    called("build", str(folder / "p.yaml"))
    return called


def test_row_19_the_four_arguments_of_the_dockerfile_are_settings(built: Callable[..., str]) -> None:
    assert built("image", "cat", "web", "/versions") == "4.7.12 3.7 1.13.0 1.1.0\n"


def test_row_20_layers_are_put_on_a_base_whose_user_is_not_root(built: Callable[..., str]) -> None:
    """The image runs as the base's user; commands of later layers may still write where only root can."""
    assert '"1000"' in built("image", "show", "web", "--output", "json")
    assert built("image", "cat", "web", "/opt/who") == "0\n"
    assert built("image", "cat", "web", "/var/azureml-app/score.py") == "x = 1\n"


def test_row_21_no_package_cache_is_left_in_a_layer(built: Callable[..., str]) -> None:
    files = built("image", "files", "web").splitlines()
    assert "/opt/tool" in files
    assert not [path for path in files if path.startswith(("/var/cache/tool/", "/var/cache/big"))]
