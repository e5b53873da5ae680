"""Engines for the tests: a real Docker with a small image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about, connect

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from docker_server import RealDocker, running
from small_image import small_image


@pytest.fixture(scope="session")
def real() -> Iterator[RealDocker]:
    with running() as server:
        connect(about(server.address)).load([small_image()])
        yield server


@pytest.fixture
def docker(real: RealDocker) -> DockerEngine:
    engine = connect(about(real.address))
    assert isinstance(engine, DockerEngine)
    return engine
