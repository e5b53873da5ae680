"""What tests of Azure ML's files get."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from judging import Judge, judging


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """Azure ML's own libraries."""
    with judging(tmp_path_factory.mktemp("judge")) as found:
        yield found
