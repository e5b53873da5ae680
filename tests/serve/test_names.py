"""A name is one manifest's: who has it keeps it, on the whole server, and nobody else changes its services."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gitmaker import ENVIRON, Origin
from newsroom import Newsroom
from watchlab import Lab, manifest

from pipeline.serve.actions import actions
from pipeline.serve.git.clone import Clone
from pipeline.serve.model import Entry, Job, Reason, Tracked
from pipeline.serve.names import TWICE, conflicts
from pipeline.serve.performing import Kit, perform
from pipeline.serve.settings import Repository, Settings
from pipeline.serve.watch import Watch

HAND = Reason("hand", "by hand")
NAMES = ("models", "site")


class Two(Lab):
    """A server that watches `models` and `site`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.site = Origin(folder / "site")
        settings = Repository(name="site", url=str(self.site.folder))
        clone = Clone(settings, self.state, ENVIRON)
        self.beside = Watch(settings, clone, None, self.book, self.queue, watched=NAMES)

    def _watch(self) -> Watch:
        host: Any = self.host
        return Watch(self.repository, self.clone, host, self.book, self.queue, watched=NAMES)

    def both(self) -> None:
        self.now += 60
        self.watch.do(self.now)
        self.beside.do(self.now)

    def waiting(self) -> list[str]:
        return [f"{job.action} {job.manifest.id}" for job in self.queue.open() if job.state == "waiting"]


@pytest.fixture
def two(tmp_path: Path) -> Two:
    return Two(tmp_path)


def test_a_name_counts_in_all_repositories(two: Two) -> None:
    two.commit({"manifests/shop.yaml": manifest("shop")})
    two.site.commit({"manifests/web.yaml": manifest("shop"), "manifests/b.yaml": manifest("b")})
    two.both()
    assert two.waiting() == ["run models/manifests/shop.yaml", "run site/manifests/b.yaml"]
    (failed,) = [job for job in two.queue.jobs(10) if job.state == "failed"]
    assert failed.manifest.id == "site/manifests/web.yaml"
    assert "as manifests/shop.yaml of the repository models is" in str(failed.told["text"])
    two.finish()
    two.site.commit({"src/x": "a commit that concerns it"})
    two.both()
    assert two.waiting() == ["run site/manifests/b.yaml"]


@pytest.mark.parametrize("how", [{"manifests/shop.yaml": manifest("other")}, {"manifests/shop.yaml": None}])
def test_a_name_that_is_free_again_runs_who_waited_for_it(two: Two, how: dict[str, str | None]) -> None:
    two.commit({"manifests/shop.yaml": manifest("shop"), "manifests/c.yaml": manifest("c")})
    two.both()
    tip = two.site.commit({"manifests/web.yaml": manifest("shop")})
    two.both()
    two.both()
    two.finish()
    two.commit(how)
    two.both()
    two.both()
    (job,) = [job for job in two.queue.open() if job.manifest.repository == "site"]
    assert (job.manifest.path, job.commit) == ("manifests/web.yaml", tip)
    assert job.reason.text.startswith("its name is free now")


def test_who_had_the_name_keeps_it_though_it_cannot_be_read(lab_names: list[Entry]) -> None:
    broken, new = lab_names
    assert [one.path for one in conflicts([broken, new], [broken])] == ["manifests/a.yaml"]


@pytest.fixture
def lab_names() -> list[Entry]:
    broken = Entry(Tracked("models", "manifests/z.yaml"), "shop", "1", (), error="manifests/z.yaml:1:1: no YAML")
    return [broken, Entry(Tracked("models", "manifests/a.yaml"), "shop", "2", ())]


def test_a_commit_with_two_of_a_name_does_not_hide_the_failure_of_one(tmp_path: Path) -> None:
    room = Newsroom(tmp_path)
    dup = Tracked("models", "manifests/dup.yaml")
    room.entry(Tracked("models", "manifests/shop.yaml"), "shop")
    room.book.put_entry(Entry(dup, "shop", "1", (), error=f"{TWICE} 'shop', as manifests/shop.yaml is"))
    room.ran("failed", f"{TWICE} 'shop'", manifest=dup)
    room.ran("done", "done in 4 s", manifest=Tracked("models", "manifests/shop.yaml"))
    room.step()
    assert {(state, context) for _, state, context in room.states()} == {
        ("failure", "pipeline/manifests/dup.yaml"),
        ("success", "pipeline/shop"),
    }
    assert "manifests/dup.yaml failed" in room.channel.titles


def test_nobody_runs_by_hand_what_has_the_name_of_another(two: Two) -> None:
    two.commit({"manifests/shop.yaml": manifest("shop"), "manifests/dup.yaml": manifest("shop")})
    two.both()
    two.finish()
    dup = next(one.manifest for one in two.book.entries("models") if one.error)
    job = two.queue.add(Job(0, dup, "run", HAND))
    two.queue.take()
    ended = perform(kit(two), job)
    assert (ended.state, ended.exit_code) == ("failed", 2)
    assert "give one of them another name" in str(ended.told["text"])


def test_what_moved_to_another_repository_is_not_stopped(two: Two) -> None:
    two.policies(prune=True)
    before = two.commit({"manifests/shop.yaml": FULL, "manifests/c.yaml": manifest("c")})
    two.both()
    two.finish()
    two.commit({"manifests/shop.yaml": None})
    two.site.commit({"manifests/shop.yaml": FULL})
    two.both()
    stop = next(job for job in two.queue.open() if job.action == "stop")
    assert stop.commit == before
    while (job := two.queue.take()) and job.id != stop.id:
        two.queue.end(job.id, "done", 0, {})
    ended = perform(kit(two), stop)
    assert (ended.state, ended.told["text"]) == ("done", "shop is back (manifests/shop.yaml): nothing was stopped")


FULL = """\
version: 1
name: shop
bases: {none: {image: "python:3"}}
images: {web: {base: none}}
targets: {here: {local: {image: web, port: 8890}}}
"""


class NoCommands:
    """Whoever runs one is wrong."""

    def run(self, *_: Any) -> int:
        raise AssertionError("a command was run")

    ask = run


def kit(two: Two) -> Kit:
    repositories = {"models": two.repository, "site": Repository("site", "unused")}
    settings = Settings(path=two.state / "serve.yaml", repositories=repositories)
    gits: Any = {"models": two.clone}
    logs, done = two.state / "jobs", actions()
    commands: Any = NoCommands()
    return Kit(settings, {}, two.queue, two.book, gits, {}, commands, logs, done, lambda: two.now)


def renamed(two: Two, **policies: bool) -> list[Job]:
    two.policies(**policies)
    two.commit({"manifests/shop.yaml": FULL})
    two.both()
    two.finish()
    two.commit({"manifests/shop.yaml": FULL.replace("name: shop", "name: store")})
    two.both()
    return two.queue.open()


def test_with_prune_what_runs_under_a_former_name_is_stopped_first(two: Two) -> None:
    stop, run = renamed(two, prune=True)
    before = two.origin.git("rev-parse", "HEAD~1")
    assert (stop.action, stop.commit, run.action) == ("stop", before, "run")
    assert stop.reason.text.startswith("no more called 'shop' since commit ")
    two.queue.take()
    stopped: list[list[str]] = []

    class Commands(NoCommands):
        def run(self, words: list[str], *_: Any) -> int:
            stopped.append(words[:3])
            return 0

    commands: Any = Commands()
    ended = perform(replace(kit(two), commands=commands), stop)
    assert (ended.state, ended.told["text"]) == ("done", "stopped here")
    assert stopped == [["stop", "manifests/shop.yaml", "here"]]
    assert two.book.entry(stop.manifest) is not None


@pytest.mark.parametrize("policies", [{}, {"prune": True, "approve": True}])
def test_a_former_name_stops_nothing_without_prune_or_before_approval(two: Two, policies: dict[str, bool]) -> None:
    assert "stop" not in [job.action for job in renamed(two, **policies)]


def test_names_that_change_places_stop_nothing(two: Two) -> None:
    two.policies(prune=True)
    two.commit({"manifests/a.yaml": manifest("x"), "manifests/b.yaml": manifest("y")})
    two.both()
    two.finish()
    two.commit({"manifests/a.yaml": manifest("y"), "manifests/b.yaml": manifest("x")})
    two.both()
    assert two.waiting() == ["run models/manifests/a.yaml", "run models/manifests/b.yaml"]
