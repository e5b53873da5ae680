"""The target `local` in a real Docker: the same verbs as without, and what only an engine can do."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conformance import ServingConformance

from pipeline.digest import digest_of
from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about
from pipeline.errors import OutOfReach, RolloutError
from pipeline.facts import Platform
from pipeline.oci import image as documents
from pipeline.targets import _ports
from pipeline.targets._docker import REPOSITORY, DockerRuntime
from pipeline.targets._status import engine_of, record
from pipeline.targets.local import LocalTarget
from pipeline.targets.local import target as local_target
from pipeline.targets.model import Release

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from docker_server import RealDocker, running

if TYPE_CHECKING:
    from conftest import Shelf

Until = Callable[[Callable[[], Any]], Any]


@pytest.fixture(scope="module")
def real() -> Iterator[RealDocker]:
    with running() as server:
        yield server


@pytest.fixture
def environ(real: RealDocker) -> dict[str, str]:
    return {"DOCKER_HOST": real.address}


@pytest.fixture
def made(tmp_path: Path, image: Shelf, environ: dict[str, str]) -> Callable[..., LocalTarget]:
    """Targets of one service, by their settings."""

    def make(**spec: Any) -> LocalTarget:
        spec = {"health": {"timeout": 10}, **spec}
        return local_target("tests-here", spec, state=tmp_path / "state", roots=image.roots, environ=environ)

    return make


@pytest.fixture
def target(made: Callable[..., LocalTarget], engine: DockerEngine) -> Iterator[LocalTarget]:
    yield made()
    for found in engine.api.containers(all=True):
        engine.api.remove_container(found["Id"], force=True)


@pytest.fixture
def engine(real: RealDocker) -> DockerEngine:
    return DockerEngine(about(real.address))


def in_docker(release: Release, **settings: Any) -> Release:
    """The release with the whole config that an image of the store has."""
    config = documents.config(Platform(), release.config["config"], release.layers)
    return replace(release, config=config, settings={**release.settings, **settings})


@pytest.fixture
def releases(image: Shelf, port: int) -> tuple[Release, Release]:
    return in_docker(image.release(port, env={"WHO": "one"})), in_docker(image.release(port, env={"WHO": "two"}))


class TestDockerTarget(ServingConformance):
    """The conformance suite."""


def live(target: LocalTarget, release: Release, until: Until) -> Any:
    target.rollout(release)
    return until(lambda: (now := target.observe()).state == "running" and now)


def test_it_says_what_runs_it_and_answers(target: LocalTarget, releases: tuple[Release, Release], until: Until) -> None:
    observed = live(target, releases[0], until)
    assert observed.detail.startswith("in Docker ")
    with urllib.request.urlopen(observed.address) as answer:
        assert json.load(answer)["env"] == "one"


def test_the_container_is_named_for_the_service_and_limited(
    target: LocalTarget, engine: DockerEngine, releases: tuple[Release, Release], until: Until
) -> None:
    live(target, in_docker(releases[0], memory="128MiB", cpus=0.5), until)
    found = engine.api.inspect_container("tests-here")
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert (found["HostConfig"]["Memory"], found["HostConfig"]["NanoCpus"]) == (128 << 20, 500_000_000)
    live(target, in_docker(releases[1], restart="on-failure"), until)
    assert len(engine.api.containers(all=True)) == 1
    found = engine.api.inspect_container("tests-here")
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "on-failure"


def test_images_of_releases_before_the_last_one_are_removed(
    target: LocalTarget, engine: DockerEngine, image: Shelf, port: int, until: Until
) -> None:
    for who in ("one", "two", "three", "four"):
        found = in_docker(image.release(port))
        config = {**found.config, "config": {**found.config["config"], "Labels": {"who": who}}}
        live(target, replace(found, config=config, image=digest_of(who.encode())), until)
    left = [engine.api.inspect_image(one["Id"])["Config"]["Labels"] for one in engine.api.images(REPOSITORY)]
    assert {"who": "three"} in left and {"who": "four"} in left
    assert {"who": "one"} not in left and {"who": "two"} not in left


def test_one_that_ends_at_once_is_told_although_it_is_restarted(
    target: LocalTarget, image: Shelf, port: int, until: Until
) -> None:
    target.rollout(in_docker(image.release(port, env={"FAIL": "3"})))
    # Between two starts: while one goes on, nobody knows how the one before ended.
    observed = until(lambda: (now := target.observe()).detail == "it ended with exit code 3" and now)
    assert observed.state == "failed"
    assert "the end is near" in list(target.logs())


def test_a_taken_port_leaves_what_runs_alone(
    target: LocalTarget, releases: tuple[Release, Release], until: Until
) -> None:
    live(target, releases[0], until)
    with _ports.bind("127.0.0.1", 0) as other, pytest.raises(RolloutError, match="is taken"):
        target.rollout(replace(releases[1], port=other.getsockname()[1]))
    assert target.observe().revision == releases[0].revision


def test_a_container_of_others_is_not_touched(
    target: LocalTarget, engine: DockerEngine, releases: tuple[Release, Release], until: Until
) -> None:
    live(target, releases[0], until)
    taken = engine.api.inspect_container("tests-here")["Config"]["Image"]
    engine.api.remove_container("tests-here", force=True)
    engine.api.create_container(taken, name="tests-here")
    with pytest.raises(RolloutError, match="no service of pipeline"):
        target.rollout(releases[0])


def test_a_service_moves_between_engine_and_namespaces(
    made: Callable[..., LocalTarget],
    target: LocalTarget,
    engine: DockerEngine,
    releases: tuple[Release, Release],
    until: Until,
) -> None:
    without = made(engine="none")
    assert live(without, releases[0], until).detail == ""
    assert live(target, releases[1], until).detail.startswith("in Docker")
    assert live(without, releases[0], until).detail == ""
    assert engine.api.containers(all=True) == [], "nothing is left where it ran"
    assert target.observe().revision == releases[0].revision
    without.stop()


def test_what_is_removed_leaves_neither_container_nor_image(
    target: LocalTarget, engine: DockerEngine, releases: tuple[Release, Release], until: Until
) -> None:
    def there() -> set[str]:
        """What other services have in this engine is not this one's to remove."""
        return {one["Id"] for one in engine.api.images(REPOSITORY) if one["RepoTags"]}

    before = there()
    live(target, releases[0], until)
    target.remove()
    assert target.observe().state == "absent"
    assert engine.api.containers(all=True) == []
    assert there() <= before
    target.remove()
    live(target, releases[1], until)


def test_limits_need_an_engine(made: Callable[..., LocalTarget], releases: tuple[Release, Release]) -> None:
    with pytest.raises(RolloutError, match="memory and gpus"):
        made(engine="none").rollout(in_docker(releases[0], memory="1GB", gpus="all"))


def test_an_engine_that_is_gone_is_said(tmp_path: Path, image: Shelf, releases: tuple[Release, Release]) -> None:
    with running() as server:
        environ = {"DOCKER_HOST": server.address}
        gone = local_target("tests-gone", {}, state=tmp_path / "state", roots=image.roots, environ=environ)
        record(tmp_path / "state/services/tests-gone", about(server.address))
        assert gone.observe().state == "absent"
    assert engine_of(tmp_path / "state/services/tests-gone") is not None
    with pytest.raises(OutOfReach):
        gone.rollout(releases[0])
    assert gone.observe().state == "failed"
    assert "does not answer" in gone.observe().detail


def test_names_of_services_become_names_of_containers(tmp_path: Path, environ: dict[str, str]) -> None:
    runtime = DockerRuntime(
        "a b/ü-1", tmp_path, about(environ["DOCKER_HOST"]), lambda _layer: (), lambda _layers: tmp_path
    )
    assert runtime._name == "a_b__-1"
    assert runtime.inspect() is None
