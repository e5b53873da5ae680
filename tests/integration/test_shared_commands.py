"""Commands and Dockerfiles run on one machine; another one, without an engine, takes what they made from the cache."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import docker_server
import registry_server
from publishing import PASSWORD, USER, Project
from small_image import IMAGE, small_image

from pipeline.engine.docker import DockerEngine
from pipeline.engine.find import about

MANIFEST = """\
version: 1
name: shared
registries: {{prod: {{address: "{address}/ml", username: bob, password: "${{env:BOB_PASSWORD}}"}}}}
cache: {{registry: prod}}
build: {{network: host, ca_bundle: none, engine: "${{env:ENGINE}}"}}
bases: {{own: {{dockerfile: {{path: base/Dockerfile}}}}}}
layers:
  made: {{run: {{commands: [head -c 100000 /dev/urandom > /opt/made]}}}}
  code: {{files: [{{from: src/, to: /srv/app/}}]}}
images: {{web: {{base: own, layers: [made, code], command: [sh], push: {{to: prod}}}}}}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def docker() -> Iterator[docker_server.RealDocker]:
    with docker_server.running() as server:
        DockerEngine(about(server.address)).load([small_image()])
        yield server


def machine(folder: Path, address: str, **environ: str) -> Project:
    made = Project(folder, address)
    made.manifest.write_text(MANIFEST.format(address=address))
    made.write("project/base/Dockerfile", f"FROM {IMAGE}\nCOPY data.txt /own\nRUN cat /own /opt/keep > /both\n")
    made.environ |= environ
    return made


def test_without_an_engine_what_commands_made_comes_from_the_cache(
    tmp_path: Path, docker: docker_server.RealDocker
) -> None:
    with registry_server.running({USER: PASSWORD}) as registry:
        first = machine(tmp_path / "a", registry.address, DOCKER_HOST=docker.address, ENGINE="docker")
        code, said = first.run()
        assert code == 0, said
        second = machine(tmp_path / "b", registry.address, ENGINE="none")
        shutil.copy(first.manifest.with_suffix(".lock"), second.manifest.with_suffix(".lock"))
        code, said = second.run("--frozen")
        assert code == 0, said
        assert "1 made" in said, "its own tag alone: " + said
        assert second.remote("web", "latest") == first.remote("web", "latest")
        # On the other's layer, of which a second execution would make another one.
        before = first.document("web", "latest")["layers"]
        second.write("project/src/more", "more\n")
        code, said = second.run()
        assert code == 0, said
        assert second.document("web", "latest")["layers"][:-1] == before[:-1]
