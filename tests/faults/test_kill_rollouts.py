"""Rollouts that are killed at each of their commit points: finished or put back, one service, and status says so."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
from docker_server import running
from faultlab import clear
from registry_server import free_port
from servicelab import ServiceLab
from test_kill_points import commit_points, tags_put

from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about

Make = Callable[..., ServiceLab]
Count = Callable[[str, int], None]
ENGINES = ("none", "docker")
# Who dies: the run, what it has started in its group as well, or the service, too.
HOW = ("run", "group", "service")
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def docker() -> Iterator[DockerEngine]:
    with running() as server:
        yield DockerEngine(about(server.address))


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path, registry: str) -> Iterator[Make]:
    made: list[ServiceLab] = []

    def one(engine: str, module: str = "gunicorn") -> ServiceLab:
        docker = request.getfixturevalue("docker") if engine == "docker" else None
        lab = ServiceLab(tmp_path / f"s{next(_NUMBERS)}", registry, free_port(), docker, module)
        made.append(lab)
        return lab

    yield one
    for lab in made:
        lab.stop()
        lab.kill_service()
        if lab.docker:
            for found in lab.docker.api.containers(all=True):
                lab.docker.api.remove_container(found["Id"], force=True)
            for image in lab.docker.api.images():
                lab.docker.api.remove_image(image["Id"], force=True)
        clear(lab.folder)


class Rollouts:
    """A laboratory whose service goes from one revision to another and back, and is killed on its way."""

    def __init__(self, one: ServiceLab) -> None:
        self.lab = one
        self.revisions: dict[str, str] = {}
        self.points: Sequence[str] = ()
        for who in ("first", "second"):
            one.revise(who)
            ended = one.run()
            assert ended.code == 0, ended.said
            live = one.live()
            assert live
            self.revisions[live.revision] = who
            self.points = ended.points
        assert "nothing to do" in one.run().said

    def kill(self, point: str, who: str, how: str, **env: str) -> bool:
        """Kills a run that would make `who` live; whether it came so far. What status then says has to be true."""
        one = self.lab
        one.revise(who, **env)
        killed = one.run(faults={"name": point, "group": how == "group"})
        if killed.code != -9:
            return False
        if how == "service":
            one.kill_service()
        one.settle()
        seen, live, answer = one.observe(), one.live(), one.answer()
        if seen.state == "running":
            assert live and live.revision == seen.revision, f"{point}: {seen}"
            assert self.revisions.get(seen.revision, who) == answer, f"{point}: {seen}"
        else:
            assert not answer, f"{point}: {seen}, and {answer} answers"
        return True

    def goes_on(self, point: str, who: str) -> None:
        """The next run makes `who` live, whatever was left, and starts nothing that is there already. One that has
        something to do clears away what was left.
        """
        one = self.lab
        one.revise(who)
        before = one.live()
        again = one.run()
        assert again.code == 0, f"{point}: {again.said}"
        now = one.live()
        assert now and one.answer() == self.revisions[now.revision] == who, point
        assert one.verified() == now.revision
        if before and before.revision == now.revision:
            assert now == before, f"{point}: started again"
        if "nothing to do" not in again.said:
            assert one.left_over() == [], point
        assert tags_put(again) == [], point


def rollout_points(points: Sequence[str]) -> list[str]:
    """The places of a rollout, and of noting that it is done."""
    return [
        name
        for name in dict.fromkeys(points)
        if any(part in name for part in ("targets/", "stages/release", "stages/verified", "stages/scoring", "COMMIT"))
    ]


def sampled(points: Sequence[str], every: int) -> list[str]:
    """Of these points some, and each just after or before a program is started or the engine is asked."""
    asked = [name for name in points if "subprocess" in name or "POST" in name or "DELETE" in name]
    return [name for name in points if name in asked or points.index(name) % every == 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_rollout_killed_half_way_is_finished_or_put_back(make: Make, figure: Count, engine: str) -> None:
    """Every other time the manifest goes back to what was live before."""
    rollouts = Rollouts(make(engine))
    points = sampled(rollout_points(commit_points(rollouts.points)), 4)
    live, survived = "second", 0
    for number, point in enumerate(points):
        other = "first" if live == "second" else "second"
        survived += rollouts.kill(point, other, HOW[number % 3])
        live = live if number % 2 else other
        rollouts.goes_on(point, live)
    assert survived > len(points) * 0.8
    figure(f"kills in rollouts, {_where(engine)}", survived)


@pytest.mark.long
@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("engine", "module"), [("none", "gunicorn"), ("none", "plain"), ("docker", "gunicorn")])
def test_a_rollout_killed_at_every_point(
    make: Make, figure: Count, engine: str, module: str, how: str, back: bool
) -> None:
    rollouts = Rollouts(make(engine, module))
    live, survived = "second", 0
    for point in dict.fromkeys(rollouts.points):
        other = "first" if live == "second" else "second"
        survived += rollouts.kill(point, other, how)
        live = live if back else other
        rollouts.goes_on(point, live)
    figure(f"kills in rollouts, {_where(engine)}", survived)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_release_that_does_not_pass_and_is_killed_leaves_the_verified_one(
    make: Make, figure: Count, engine: str
) -> None:
    one = make(engine)
    rollouts = Rollouts(one)
    points = _failing(one)
    survived = 0
    for number, point in enumerate(points[:: 3 if engine == "none" else 6]):
        survived += rollouts.kill(point, "third", HOW[number % 3], FAIL="3")
        if number % 2:
            assert one.run().code == 5
            assert one.answer() == "second", point
        rollouts.goes_on(point, "second")
    figure(f"kills in rollouts that do not pass, {_where(engine)}", survived)


def _failing(one: ServiceLab) -> list[str]:
    one.revise("third", FAIL="3")
    ended = one.run()
    assert ended.code == 5 and "is live again" in ended.said, ended.said
    return rollout_points(commit_points(ended.points))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_first_rollout_killed_half_way_is_finished(make: Make, figure: Count, engine: str) -> None:
    one = make(engine)
    rollouts = Rollouts(one)
    survived, points = 0, rollout_points(_first(one).points)
    for number, point in enumerate(points[:: 3 if engine == "none" else 6]):
        _forget(one)
        survived += rollouts.kill(point, "second", HOW[number % 3])
        rollouts.goes_on(point, "second")
    figure(f"kills in rollouts, {_where(engine)}", survived)


def _first(one: ServiceLab) -> Any:
    _forget(one)
    ended = one.run()
    assert ended.code == 0, ended.said
    return ended


def _forget(one: ServiceLab) -> None:
    """As if there had never been a service."""
    one.stop()
    if one.docker:
        one.docker.api.remove_container("shop-here")
        for image in one.docker.api.images():
            one.docker.api.remove_image(image["Id"], force=True)
    for folder in ("services", "verified"):
        rmtree(one.home / "state" / folder)


def _where(engine: str) -> str:
    return "in Docker" if engine == "docker" else "without an engine"
