"""`pipeline status` of services elsewhere: what others changed or deleted there."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))

from kubernetes_releases import Time, release, target_in

from pipeline.cli._services import Service
from pipeline.cli._shell import Shell
from pipeline.cli.status import status
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.stages import gate
from pipeline.targets.model import Target


def told(cluster: MemoryCluster, reached: bool = True) -> str:
    target, out = target_in(cluster, Time()), io.StringIO()
    kept = target.verified()
    status(
        Shell({}, out, out), [Service("shop-prod", cast(Target, target), verified=lambda: kept if reached else None)]
    )
    return out.getvalue()


def test_a_record_that_was_deleted_is_told() -> None:
    cluster, time = MemoryCluster(), Time()
    target, wanted = target_in(cluster, time), release()
    gate.release(target, wanted, verified=target.verified(), clock=time, wait=time.wait)
    assert "was changed" not in told(cluster)
    cluster.delete("Secret", "shop-prod-releases")
    assert "shop-prod was changed: the record of what passed its checks is missing" in told(cluster)
    assert "was changed" not in told(cluster, reached=False)
    cluster.delete("Deployment", "shop-prod")
    assert "was changed" not in told(cluster)
