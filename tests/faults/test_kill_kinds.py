"""Kills at the commit points of kinds that need archives, channels, a registry's images, or a container engine."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_server import running
from faultlab import CONDA, Lab, Result, clear
from kindlabs import AptLab, DebLab, ImageLab
from test_kill_points import commit_points, survives

from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about
from pipeline.stages.parent import REPOSITORY

Make = Callable[[], Lab]
Count = Callable[[str, int], None]
_NUMBERS = itertools.count(1)
KINDS = {
    "debs and debian": DebLab,
    "conda": lambda folder, registry: Lab(folder, registry, CONDA),
    "image bases": ImageLab,
}


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path, registry: str) -> Iterator[Make]:
    """Makes projects of the kind that the test is given."""
    made: list[Path] = []

    def one() -> Lab:
        made.append(tmp_path / f"k{next(_NUMBERS)}")
        lab: Lab = KINDS[request.getfixturevalue("kind")](made[-1], registry)
        return lab

    yield one
    for folder in made:
        clear(folder)


def own_points(points: list[str], lab: Callable[..., Lab]) -> list[str]:
    """The commit points that a project of files, a model and wheels does not pass: those are tried elsewhere."""
    known = set(lab().run().points)
    return [name for name in commit_points(points) if name not in known]


def undisturbed(make: Make) -> tuple[list[str], Result]:
    one = make()
    first, again = one.run(), one.run()
    assert first.code == 0, first.said
    assert again.code == 0 and "nothing to do" in again.said, again.said
    return first.points, one.result()


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_each_commit_point_of_a_kind(make: Make, lab: Callable[..., Lab], figure: Count, kind: str) -> None:
    """Every other one: a kill takes more than a second."""
    points, expected = undisturbed(make)
    tried = own_points(points, lab)[::2]
    figure(f"kills at commit points of {kind}", sum(survives(make(), {"name": name}, expected) for name in tried))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["debs and debian", "image bases"])
def test_killed_at_every_point_of_a_kind(make: Make, figure: Count, kind: str) -> None:
    points, expected = undisturbed(make)
    kills = [
        {"name": name, "nth": nth + 1, "group": True} for name, count in Counter(points).items() for nth in range(count)
    ]
    figure(f"kills at every point of {kind}", sum(survives(make(), kill, expected) for kill in kills))


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with running() as server:
        yield DockerEngine(about(server.address))


@pytest.fixture
def commands(tmp_path: Path, registry: str, engine: DockerEngine) -> Iterator[Make]:
    """Makes projects with a layer of commands; afterwards their engine has no container, and its parent images only."""

    def one() -> Lab:
        # The engine is to get the image that the commands start from.
        for image in engine.api.images():
            engine.api.remove_image(image["Id"], force=True)
        return ImageLab(tmp_path / f"e{next(_NUMBERS)}", registry, engine.about().address)

    yield one
    assert engine.api.containers(all=True) == []
    names = [name for image in engine.api.images() for name in image["RepoTags"] or ["untagged"]]
    assert {name.partition(":")[0] for name in names} <= {REPOSITORY}
    clear(tmp_path)


def test_killed_while_commands_are_executed(commands: Make, lab: Callable[..., Lab], figure: Count) -> None:
    points, expected = undisturbed(commands)
    tried = [name for name in own_points(points, lab) if "engine/" in name or "execute" in name][::2]
    survived = 0
    for name in tried:
        survived += survives(one := commands(), {"name": name}, expected)
        clear(one.folder)
    figure("kills at commit points of commands in an engine", survived)


@pytest.mark.long
@pytest.mark.network
def test_killed_while_packages_are_installed(
    tmp_path: Path, registry: str, engine: DockerEngine, lab: Callable[..., Lab], figure: Count
) -> None:
    def make() -> Lab:
        return AptLab(tmp_path / f"a{next(_NUMBERS)}", registry, engine.about().address)

    points, expected = undisturbed(make)
    survived = 0
    for name in (name for name in own_points(points, lab) if "engine/" in name or "execute" in name or "dpkg" in name):
        survived += survives(one := make(), {"name": name}, expected)
        clear(one.folder)
    assert engine.api.containers(all=True) == []
    figure("kills at commit points of apt in an engine", survived)


@pytest.mark.long
@pytest.mark.parametrize("group", [True, False])
def test_killed_at_every_point_around_commands(commands: Make, figure: Count, group: bool) -> None:
    points, expected = undisturbed(commands)
    kills: list[dict[str, Any]] = [{"name": name, "group": group} for name in dict.fromkeys(points)]
    survived = 0
    for kill in kills:
        survived += survives(one := commands(), kill, expected)
        clear(one.folder)
    figure("kills at every point around commands", survived)
