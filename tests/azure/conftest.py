"""What Azure's tests share: a registry whose users a token server knows, and a double of Azure itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store import Store

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))

from acr_issuer import Issuer, registry_of
from azure_double import AzureDouble, doubled
from registry_server import RealRegistry


@pytest.fixture(scope="session")
def acr() -> Iterator[tuple[RealRegistry, Issuer]]:
    """A real registry, and the token server whose word it takes."""
    with registry_of() as found:
        yield found


@pytest.fixture
def issuer(acr: tuple[RealRegistry, Issuer]) -> Issuer:
    """The token server, as new."""
    acr[1].reset()
    return acr[1]


@pytest.fixture
def registry(acr: tuple[RealRegistry, Issuer], issuer: Issuer) -> RealRegistry:  # noqa: ARG001
    return acr[0]


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[AzureDouble]:
    with doubled(tmp_path) as double:
        yield double


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")
