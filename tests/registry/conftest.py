"""Registries for the tests: the real one, with passwords, and one in memory that asks for the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.registry import Registries
from pipeline.registry.memory import MemoryRegistry
from pipeline.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from registry_doubles import USERS, opened
from registry_server import RealRegistry, running


@pytest.fixture(scope="session")
def real() -> Iterator[RealRegistry]:
    with running(USERS) as registry:
        yield registry


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(params=["real", "memory"])
def registries(request: pytest.FixtureRequest) -> tuple[Registries, str]:
    """The same registry twice: Debian's, and the one in memory. With its address."""
    if request.param == "memory":
        return opened("registry.example.com", MemoryRegistry(USERS)), "registry.example.com"
    address = request.getfixturevalue("real").address
    return opened(address), address


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A repository that no other test uses."""
    return "t/" + "".join(c if c.isalnum() else "-" for c in request.node.name.lower()).strip("-").replace("--", "-")
