"""A pull request of a fork, where such are planned: nothing of it is executed, and nothing is resolved for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gitmaker import Origin
from servelab import Lab, manifest
from watchlab import Lab as WatchLab

from pipeline.serve.core import Core
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.ports import Request

SHOP = Tracked("models", "manifests/shop.yaml")


def planned(core: Core, commit: str, **asked: object) -> Job:
    added = core.queue.add(
        Job(0, SHOP, "plan", Reason("pull-request", "7"), commit=commit, asked={"request": 7, **asked})
    )
    core.workers.one()
    job = core.queue.job(added.id)
    assert job is not None
    return job


def test_the_plan_of_a_forks_request_goes_by_the_lock_that_it_commits(tmp_path: Path) -> None:
    lab = Lab(tmp_path, manifest("shop"))
    core = lab.core()
    try:
        bare = lab.origin.head
        assert planned(core, bare).state == "done"
        refused = planned(core, bare, fork=True)
        assert refused.state == "failed"
        assert "there is no lock manifests/shop.lock" in str(refused.told["text"])
        core.children.ask(["lock", SHOP.path], lab.environ, lab.origin.folder)
        locked = lab.origin.commit({}, "Lock")
        assert planned(core, locked, fork=True).state == "done"
    finally:
        core.close()


def test_submodules_of_a_forks_request_are_not_fetched(tmp_path: Path) -> None:
    """Its `.gitmodules` may name what only this server may read."""
    inner = Origin(tmp_path / "inner")
    inner.commit({"private.txt": "private"})
    lab = Lab(tmp_path, manifest("shop"))
    lab.origin.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(inner.folder), "libs")
    commit = lab.origin.commit({}, "With a submodule")
    core = lab.core()
    try:
        for fork, found in ((True, 0), (False, 1), (True, 0)):
            planned(core, commit, fork=fork)
            assert len(list(core.state.glob("work/models/*/libs/private.txt"))) == found
    finally:
        core.close()


@pytest.mark.parametrize("fork", [True, False])
def test_a_plan_knows_that_its_request_is_a_forks(tmp_path: Path, fork: bool) -> None:
    lab = WatchLab(tmp_path, forks=True)
    lab.commit(manifest("shop"))
    lab.look()
    lab.finish()
    commit = lab.commit({"manifests/shop.txt": "other"})
    lab.origin.git("branch", "try")
    lab.origin.git("reset", "--hard", "--quiet", "HEAD~1")
    lab.host.open = [Request(7, commit, "main", "Try", "Bob", "https://h/7", fork)]
    lab.look()
    (job,) = lab.queue.open()
    assert job.asked.get("fork", False) == fork
