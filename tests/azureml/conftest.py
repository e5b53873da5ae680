"""What tests of Azure ML's files get."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from judging import Judge, judging
from lab import PASSWORD, USER, Lab
from registry_server import RealRegistry, running
from servinglab import Registry

from pipeline.azureml import Workspace


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Azure ML's own libraries."""
    with judging(tmp_path_factory.mktemp("judge")) as found:
        yield found


@pytest.fixture(scope="session")
def registry() -> Iterator[RealRegistry]:
    """A registry that asks for a name and a password."""
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture(scope="session")
def base(registry: RealRegistry) -> str:
    """A base image in it."""
    return Registry(registry.address, USER, PASSWORD).push_base("azureml/base", "1", ("BASE=mine",))


@pytest.fixture
def lab(tmp_path: Path, registry: RealRegistry, base: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A project that is deployed from; its services are ended afterwards."""
    monkeypatch.chdir(tmp_path)
    yield Lab(tmp_path, registry, base)
    for found in Workspace.list().values():
        found[0].delete()
