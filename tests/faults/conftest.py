"""What the fault tests share: a registry, laboratories, and the figures that the test run prints at its end."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faultlab import MANIFEST, Lab, clear
from registry_server import running

_COUNTS = itertools.count(1)


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    with running() as found:
        yield found.address


@pytest.fixture
def lab(tmp_path: Path, registry: str) -> Iterator[Callable[..., Lab]]:
    """Makes projects, each with a home and a place in the registry of its own; gone after the test."""
    made: list[Path] = []

    def make(manifest: str = MANIFEST) -> Lab:
        folder = tmp_path / f"t{next(_COUNTS)}"
        made.append(folder)
        return Lab(folder, registry, manifest)

    yield make
    for folder in made:
        clear(folder)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, int], None]:
    """Counts what was tried and survived."""

    def count(what: str, number: int) -> None:
        request.node.user_properties.append(("fault figure", (what, number)))

    return count
