"""`pipeline status` of services elsewhere: what others changed or deleted there."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).parents[1] / "kubernetes"))

import pytest
from kubernetes_releases import Time, release, target_in

from pipeline.cli._services import Service
from pipeline.cli._shell import Shell
from pipeline.cli.score import score
from pipeline.cli.status import code_of, observed, tell
from pipeline.errors import OutOfReach
from pipeline.kubernetes.memory import MemoryCluster
from pipeline.stages import gate
from pipeline.targets.model import Target


def asked(cluster: MemoryCluster, *, check: bool = False, reached: bool = True) -> tuple[int, str]:
    """The exit code, and what was said."""
    target, out = target_in(cluster, Time()), io.StringIO()
    kept = target.verified() if reached and not cluster.away else None
    seen = observed([Service("shop-prod", cast(Target, target), verified=lambda: kept)])
    tell(Shell({}, out, out), seen)
    return code_of(seen, check), out.getvalue()


def told(cluster: MemoryCluster, reached: bool = True) -> str:
    return asked(cluster, reached=reached)[1]


def test_the_exit_code_says_what_cannot_be_told_and_with_check_what_is_not_well() -> None:
    cluster, time = MemoryCluster(), Time()
    target, wanted = target_in(cluster, time), release(replicas=2)
    gate.release(target, wanted, verified=target.verified(), clock=time, wait=time.wait)
    assert (asked(cluster)[0], asked(cluster, check=True)[0]) == (0, 0)
    cluster.edit("kubectl-scale", "Deployment", "shop-prod", {"spec": {"replicas": 1}})
    assert (asked(cluster)[0], asked(cluster, check=True)[0]) == (0, 10)
    cluster.refuses = lambda verb, kind: "no" if (verb, kind) == ("patch", "Deployment") else ""
    code, said = asked(cluster, check=True)
    assert code == 4
    assert "whether others have changed it cannot be told: the cluster forbids" in said
    assert asked(cluster)[0] == 0
    cluster.away = True
    code, said = asked(cluster)
    assert code == asked(cluster, check=True)[0] == 4
    assert "unknown" in said
    cluster.away, cluster.refuses = False, lambda _verb, _kind: ""
    target.stop()
    assert (asked(cluster)[0], asked(cluster, check=True)[0]) == (0, 10)
    assert code_of([], check=True) == 10


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


def test_a_rollout_that_was_killed_is_told_by_its_revision() -> None:
    cluster, time = MemoryCluster(), Time()
    target, one, two = target_in(cluster, time), release("one"), release("two")
    gate.release(target, one, verified=target.verified(), clock=time, wait=time.wait)
    target.rollout(two)
    code, said = asked(cluster, check=True)
    assert code == 10
    assert f"was changed: the revision: {two.revision}, which passed no checks → {one.revision}" in said
    assert "spec.template" not in said


def test_nobody_is_told_to_start_what_cannot_be_asked() -> None:
    cluster = MemoryCluster()
    cluster.away = True
    service = Service("shop-prod", cast(Target, target_in(cluster, Time())))
    with pytest.raises(OutOfReach, match=r"how shop-prod is cannot be told: .* does not answer"):
        score(Shell({}, io.StringIO(), io.StringIO()), service, [1])
