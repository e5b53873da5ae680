"""The cluster in memory passes the suite of every cluster."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes_suite import ClusterSuite, Hands

from pipeline.kubernetes.memory import MemoryCluster


class TestMemoryCluster(ClusterSuite):
    @pytest.fixture
    def hands(self, cluster: MemoryCluster) -> Hands:
        def change(manager: str, kind: str, name: str, change: dict[str, Any]) -> object:
            return cluster.edit(manager, kind, name, change)

        return change
