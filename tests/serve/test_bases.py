"""Looking behind bases: what moved becomes one rebuild for each manifest that stands on it, and that once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from movingbase import Base, serving
from servelab import Lab

from pipeline.errors import OutOfReach, UsageError
from pipeline.lock.diff import Change
from pipeline.serve.bases import Bases, moved, reason, step
from pipeline.serve.book import Tick
from pipeline.serve.looks import Kit
from pipeline.serve.model import Job
from pipeline.serve.once import run_once

MANIFEST = """\
version: 1
name: {name}
bases: {{slim: {{image: "{address}"}}}}
layers: {{code: {{files: [{{from: {name}.txt, to: /srv/}}]}}}}
images: {{{name}: {{base: slim, layers: [code]}}}}
"""


def entry(digest: str) -> dict[str, Any]:
    return {"kind": "image", "request": "r", "locked": {"reference": "base:latest", "digest": digest}}


def lock(digest: str) -> str:
    return json.dumps({"version": 2, "packer": "1", "entries": {"bases.slim linux/amd64": entry(digest)}})


class Commands:
    """`pipeline lock --diff` of locks that a test has moved: what stands in `now`."""

    def __init__(self) -> None:
        self.now = "sha256:aaa"
        self.asked: list[str] = []
        self.ends: dict[str, tuple[int, str, str]] = {}

    def ask(self, words: list[str], _environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
        self.asked.append(words[1])
        assert words[0] == "lock" and "bases.*" in words and "--diff" in words
        if words[1] in self.ends:
            return self.ends[words[1]]
        was = json.loads((folder / words[1]).with_suffix(".lock").read_text())["entries"]
        found = []
        for id_, one in was.items():
            if one["locked"]["digest"] != self.now:
                old, new = (f"base:latest@{digest[7:19]}" for digest in (one["locked"]["digest"], self.now))
                found.append({"entry": id_, "name": "image", "old": old, "new": new, "note": ""})
        found.append({"entry": "layers.code", "name": "one.txt", "old": "a", "new": "b", "note": ""})
        return 0, json.dumps({"changed": bool(found), "changes": [], "differences": found}), ""


class Bench:
    def __init__(self, folder: Path, locks: Mapping[str, str], every: float = 3600.0) -> None:
        files = {f"manifests/{name}.yaml": MANIFEST.format(name=name, address="base:latest") for name in locks}
        files |= {f"manifests/{name}.lock": text for name, text in locks.items() if text}
        self.lab = Lab(folder, {**files, **{f"manifests/{name}.txt": "x" for name in locks}})
        self.core = self.lab.core()
        self.core.pushed("models")
        self.core.rota.tick(self.lab.now)
        while job := self.core.queue.take():
            self.core.queue.end(job.id, "done", 0, {})
        self.commands = Commands()
        self.every(every)

    def every(self, seconds: float) -> None:
        """As after a restart with this interval."""
        core, repository = self.core, self.core.settings.repositories["models"]
        repository = replace(repository, policies=replace(repository.policies, bases=seconds))
        commands: Any = self.commands
        kit = Kit({"models": repository}, core.gits, commands, core.book, core.queue, core.environ)
        self.duty = Bases(kit)
        self.duty.do(self.lab.now)

    def to(self, seconds: float) -> None:
        """Time goes on in steps of a minute."""
        end = self.lab.now + seconds
        while self.lab.now < end:
            self.lab.now += 60.0
            while (due := self.duty.due(self.lab.now)) is not None and due <= self.lab.now:
                self.duty.do(self.lab.now)

    def rebuilds(self) -> list[Job]:
        return [job for job in self.core.queue.jobs(50)[::-1] if job.action == "rebuild"]

    def end(self, state: Any = "done") -> None:
        while job := self.core.queue.take():
            self.core.queue.end(job.id, state, 0, {})


OLD = lock("sha256:aaa")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "lab", {"one": OLD, "two": OLD, "other": lock("sha256:aab"), "new": ""})
    yield made
    made.core.close()


def test_what_moved_is_rebuilt_with_that_as_the_reason(bench: Bench) -> None:
    bench.commands.now = "sha256:aab"
    bench.to(3600)
    jobs = bench.rebuilds()
    assert [job.manifest.path for job in jobs] == ["manifests/one.yaml", "manifests/two.yaml"]
    assert {(job.reason.cause, job.reason.text) for job in jobs} == {("base", "base slim: base:latest aaa → aab")}
    assert {tuple(job.asked["upgrade"]) for job in jobs} == {("slim",)}


def test_newer_packages_alone_are_a_cause_of_their_own() -> None:
    old, new = "3.0.15-1", "3.0.16-1"
    packages = [Change("bases.slim linux/amd64", name, old, new) for name in ("libssl3", "openssl")]
    assert reason(packages).cause == "packages"
    assert reason(packages).text == "packages of base slim: libssl3 3.0.15-1 → 3.0.16-1 and 1 more"
    image = Change("bases.cuda linux/amd64", "image", "cuda:12@3f9c", "cuda:12@77ab")
    assert reason([*packages, image]).cause == "base"


def test_manifests_whose_locks_say_the_same_are_looked_at_once(bench: Bench) -> None:
    bench.to(3600)
    assert sorted(bench.commands.asked) == ["manifests/one.yaml", "manifests/other.yaml"]
    bench.to(3600)
    assert len(bench.commands.asked) == 4


def test_the_same_is_asked_for_once_and_again_when_that_failed(bench: Bench) -> None:
    bench.commands.now = "sha256:aab"
    bench.to(3600)
    bench.end("failed")
    bench.to(3600)
    assert len(bench.rebuilds()) == 4
    # It is proposed by now, and waits to be merged.
    bench.end("done")
    bench.to(3 * 3600)
    assert len(bench.rebuilds()) == 4
    bench.commands.now = "sha256:aac"
    bench.to(3600)
    assert len(bench.rebuilds()) == 7


def test_a_restart_in_between_looks_at_the_rest(bench: Bench) -> None:
    bench.commands.now = "sha256:aac"
    bench.lab.now += 60.0
    bench.duty.do(bench.lab.now)
    bench.lab.now += 3600.0
    bench.duty.do(bench.lab.now)
    bench.duty.do(bench.lab.now)
    assert len(bench.commands.asked) == 1
    bench.every(3600.0)
    bench.to(60)
    assert {job.manifest.path for job in bench.rebuilds()} == {
        f"manifests/{name}.yaml" for name in ("one", "two", "other")
    }
    assert bench.duty.due(bench.lab.now) == bench.lab.now + 60.0


def test_one_that_is_wrong_does_not_keep_those_like_it(bench: Bench) -> None:
    bench.commands.now = "sha256:aab"
    bench.commands.ends["manifests/one.yaml"] = (2, "", "error: manifests/one.yaml:3: wrong\n")
    bench.to(3600)
    assert [job.manifest.path for job in bench.rebuilds()] == ["manifests/one.yaml", "manifests/two.yaml"]


def test_a_registry_out_of_reach_is_told_and_tried_with_the_next_look(bench: Bench) -> None:
    bench.commands.now = "sha256:aab"
    for name in ("one", "two"):
        bench.commands.ends[f"manifests/{name}.yaml"] = (4, "", "error: 127.0.0.1:1 does not answer\n  start it\n")
    with pytest.raises(OutOfReach, match="does not answer"):
        bench.to(3600)
    bench.to(600)
    assert bench.rebuilds() == []
    bench.commands.ends = {}
    bench.to(3600)
    assert len(bench.rebuilds()) == 2


def test_never_means_never(bench: Bench) -> None:
    bench.every(0.0)
    assert bench.duty.due(bench.lab.now) is None
    assert bench.core.book.ticks() == {}


def test_the_interval_holds_when_it_is_changed_or_time_is_set_back() -> None:
    tick = step(None, "bases models", 600.0, 1000.0)
    assert (tick.fired, tick.due) == (0.0, 1600.0)
    assert step(tick, "bases models", 600.0, 1200.0) == tick
    assert step(tick, "bases models", 60.0, 1200.0).due == 1260.0
    assert step(Tick("bases models", "600", 9000.0, 9600.0), "bases models", 600.0, 1000.0).due == 1600.0


def test_what_the_lock_does_not_answer_is_no_move() -> None:
    rows = [
        {"entry": "bases.slim linux/amd64", "name": "", "old": "", "new": "", "note": "new, 52 packages"},
        {"entry": "layers.libs linux/amd64", "name": "numpy", "old": "1", "new": "2", "note": ""},
    ]
    assert moved(0, json.dumps({"differences": rows}), "") == []


def test_what_failed_says_so() -> None:
    with pytest.raises(UsageError, match=r"m\.yaml:1: wrong"):
        moved(2, "", "error: m.yaml:1: wrong\n")


def test_a_tag_that_moved_for_the_real_command_line(tmp_path: Path) -> None:
    with serving() as base:
        _follows(tmp_path, base)


def _follows(folder: Path, base: Base) -> None:
    files = {"manifests/one.yaml": MANIFEST.format(name="one", address=base.address), "manifests/one.txt": "x"}
    config = "version: 1\nrepositories: {models: {url: origin, poll: 20s, rebuild: apply, bases: 10m}}\n"
    lab = Lab(folder / "lab", files, config)
    lab.origin.git("config", "receive.denyCurrentBranch", "updateInstead")
    core = lab.core()
    lab.settle(core, 120)
    assert [job.action for job in core.queue.jobs(9)] == ["run", "run"]
    digest = base.push("second")
    lab.settle(core, 700)
    again, rebuild = core.queue.jobs(2)
    assert (rebuild.action, rebuild.state, rebuild.reason.cause) == ("rebuild", "done", "base")
    assert digest[7:19] in rebuild.reason.text and digest in lab.origin.git("show", "main:manifests/one.lock")
    assert (again.action, again.told["made"]) == ("run", 0)
    lab.settle(core, 700)
    assert core.queue.jobs(1)[0].id == again.id
    core.close()


def test_one_pass_of_sync_looks_behind_all_bases(tmp_path: Path) -> None:
    with serving() as base:
        files = {}
        for name in ("one", "two"):
            text = MANIFEST.format(name=name, address=base.address).replace("slim", f"base-{name}")
            files |= {f"manifests/{name}.yaml": text, f"manifests/{name}.txt": "x"}
        # One after another: a checkout that is pushed to takes no two pushes at once.
        config = "version: 1\nruns: 1\nrepositories: {models: {url: origin, rebuild: apply, bases: 10m}}\n"
        lab = Lab(tmp_path / "lab", files, config)
        lab.origin.git("config", "receive.denyCurrentBranch", "updateInstead")
        for _ in range(3):
            passed(lab)
        base.push("second")
        lab.now += 700.0
        assert passed(lab) == ["rebuild one done", "rebuild two done"]


def passed(lab: Lab) -> list[str]:
    """What one `pipeline sync` does."""
    core = lab.core()
    found = run_once(core, ["models"])
    core.close()
    assert not found.troubles
    return sorted(f"{job.action} {Path(job.manifest.path).stem} {job.state}" for job in found.ended)
