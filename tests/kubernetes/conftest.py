"""A cluster in memory, and time that passes only when somebody waits."""

from __future__ import annotations

import pytest
from kubernetes_releases import Time

from pipeline.kubernetes.memory import MemoryCluster


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def cluster() -> MemoryCluster:
    return MemoryCluster()
