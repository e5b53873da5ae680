"""What is left of repositories that left the settings: kept for a while, and then removed, unless something waits."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from servelab import CONFIG, Lab, manifest

from pipeline.serve.leavings import AFTER
from pipeline.serve.model import Job, Reason, Tracked

ANOTHER = "version: 1\nrepositories: {other: {url: origin, poll: 20s}}\n"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A server that has watched `models`, and whose settings name another repository by now."""
    made = Lab(tmp_path / "lab", manifest("one"))
    core = made.core()
    made.settle(core, 30)
    core.close()
    made.config.write_text(ANOTHER)
    return made


def left(lab: Lab) -> list[str]:
    state = lab.folder / "home" / "state" / "serve"
    return sorted(str(path.relative_to(state)) for path in state.glob("*/models*"))


def test_it_is_told_and_removed_after_a_while(lab: Lab) -> None:
    core = lab.core()
    core.rota.call("leavings", lab.now)
    assert left(lab) == ["git/models", "repos/models.git", "repos/models.lock", "work/models"]
    core.rota.call("leavings", lab.now + AFTER - 1)
    assert "repos/models.git" in left(lab)
    core.rota.call("leavings", lab.now + AFTER)
    assert left(lab) == []
    assert [line.split(":")[0] for line in lab.said if "any more" in line] == [
        "models is not in the settings any more",
        "the mirror and the checkouts of models, which is not in the settings any more, are removed",
    ]
    assert (core.state / "repos" / "other.lock").is_file()
    core.close()


def test_one_that_comes_back_is_as_if_it_had_never_left(lab: Lab) -> None:
    core = lab.core()
    core.rota.call("leavings", lab.now)
    core.close()
    lab.config.write_text(CONFIG)
    core = lab.core()
    core.rota.call("leavings", lab.now + AFTER)
    core.close()
    assert "repos/models.git" in left(lab)
    lab.config.write_text(ANOTHER)
    core = lab.core()
    core.rota.call("leavings", lab.now + AFTER + 1)
    core.close()
    assert "repos/models.git" in left(lab)


def test_nothing_goes_while_a_job_waits_or_a_git_writes(lab: Lab) -> None:
    core = lab.core()
    job = core.queue.add(Job(0, Tracked("models", "manifests/one.yaml"), "run", Reason("commit", "c"), "approval"))
    for at in (lab.now, lab.now + AFTER):
        core.rota.call("leavings", at)
    assert "repos/models.git" in left(lab)
    core.queue.cancel(job.id, "Ada")
    for open_ in core.queue.open():
        core.queue.cancel(open_.id, "Ada")
    guard = os.open(core.state / "repos" / "models.lock", os.O_RDWR)
    fcntl.flock(guard, fcntl.LOCK_EX)
    core.rota.call("leavings", lab.now + AFTER)
    assert "repos/models.git" in left(lab)
    os.close(guard)
    core.rota.call("leavings", lab.now + AFTER)
    assert left(lab) == []
    core.close()
