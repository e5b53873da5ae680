"""manifests/prod.yaml for real: built on Dockerfile.base, checked, pushed, served, and scored."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import docker_server
import registry_server
from production import PARENT, Project, events, load_parent, serving, sets

from pipeline.engine.ask import ask
from pipeline.manifest.model import Registry, Secret
from pipeline.registry import Registries

USER, PASSWORD = "bob", "s3cret-of-bob"
ROWS = {"data": [[59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]]}

pytestmark = [pytest.mark.network, pytest.mark.slow]


class Production(Project):
    """The example with an engine and a registry around it, and what its settings must be for that."""

    port = registry_server.free_port()
    more: dict[str, str]

    def run(self, **changed: str) -> tuple[int, str, str]:
        """`pipeline run manifests/prod.yaml`; `changed` are settings by their path, __ for dots."""
        given = {name.replace("__", "."): value for name, value in changed.items()}
        wanted = {**self.more, "targets.here.local.port": str(self.port), **given}
        return self("run", self.manifest("prod.yaml"), *sets(wanted), "--output", "json")

    def tag(self, name: str) -> str:
        """What the registry has under a tag."""
        address = self.environ["REGISTRY"]
        known = Registries({"PATH": ""}, [Registry("prod", address, USER, Secret(PASSWORD))])
        return known.repository(f"{address}/ml/diabetes/scoring").resolve(name).digest

    def stop(self) -> None:
        self("stop", self.manifest("prod.yaml"), *sets({"targets.here.local.port": str(self.port)}))


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Production]:
    with docker_server.running() as docker, registry_server.running({USER: PASSWORD}) as registry:
        project = Production(tmp_path / "project")
        project.environ |= {"DOCKER_HOST": docker.address, "REGISTRY": registry.address}
        project.environ |= {"REGISTRY_USER": USER, "REGISTRY_PASSWORD": PASSWORD}
        load_parent(project, docker.address)
        with serving(Path(__file__).parent) as address:
            args = {"BASE_IMAGE": PARENT, "CONDA_INSTALLER": f"{address}/conda_installer.sh"}
            project.more = {f"bases.conda.dockerfile.args.{name}": value for name, value in args.items()}
            try:
                yield project
            finally:
                project.stop()


def test_the_example_from_a_dockerfile_to_an_answer(production: Production) -> None:
    digest = built_pushed_and_served(production)
    has_nothing_left_to_do(production)
    holds_what_it_should_and_no_secret(production)
    is_refused_for_what_the_base_lacks(production, digest)


def built_pushed_and_served(production: Production) -> str:
    code, out, err = production.run()
    assert code == 0, err + out
    assert PASSWORD not in out + err
    report = events(out)[-1]["report"]
    where, _, digest = str(report["pushed"]["scoring"]).partition("@")
    assert where == f"{production.environ['REGISTRY']}/ml/diabetes/scoring"
    assert production.tag("v1") == production.tag("latest") == digest
    _, containers = ask(production.environ["DOCKER_HOST"], "/containers/json")
    assert [one["Labels"].get("pipeline.service") for one in containers] == ["production-here"]
    answer = scored(f"http://127.0.0.1:{production.port}")
    assert 25 < answer["predictions"][0] < 346
    return digest


def scored(address: str) -> dict[str, list[float]]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/score", json.dumps(ROWS).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        found: dict[str, list[float]] = json.loads(answer.read())
    return found


def has_nothing_left_to_do(production: Production) -> None:
    code, out, err = production.run()
    assert code == 0, err
    assert events(out)[-1]["report"]["made"] == 0


def holds_what_it_should_and_no_secret(production: Production) -> None:
    code, out, err = production("image", "show", "scoring:v1", "--output", "json")
    assert code == 0, err
    assert PASSWORD not in out and "BEGIN CERTIFICATE" not in out
    # The user and the variables that Dockerfile.base sets.
    assert '"1000"' in out and "CONDA_DIR=/opt/conda" in out
    _, files, _ = production("image", "files", "scoring:v1")
    assert "/opt/conda/bin/conda" in files and "/usr/bin/fusermount" in files
    # The folder is where BuildKit mounts them.
    assert "/run/secrets/" not in files
    assert "/usr/share/doc/python-packages.txt" in files


def is_refused_for_what_the_base_lacks(production: Production, live: str) -> None:
    code, out, err = production.run(bases__conda__requires__conda=">=99")
    assert code == 3
    said = out + err
    assert "conda" in said and "24.11.0" in said and "/opt/conda/conda-meta/conda-24.11.0-0.json" in said
    assert production.tag("v1") == live, "the tags stay where they are"
    assert scored(f"http://127.0.0.1:{production.port}"), "and the service goes on"
