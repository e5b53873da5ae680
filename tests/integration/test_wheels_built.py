"""A package that must be compiled, from its sources to an import in the image, in a real engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sdistmaker import speed

sys.path.insert(0, str(Path(__file__).parent))

import docker_server
from production import Project, events

MANIFEST = """\
version: 1
name: compiled
build: {network: host, ca_bundle: auto}
bases: {debian: {debian: {suite: bookworm, essential: true, packages: [python3]}}}
layers:
  speed:
    pip:
      packages: [speed]
      find_links: dist
      build: true
      build_packages: [gcc, libc6-dev, python3-dev, python3-pip, python3-setuptools]
images: {web: {base: debian, layers: [speed], checks: {imports: [speed._speed]}, command: [python3]}}
"""

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with docker_server.running() as docker:
        made = Project(tmp_path / "project")
        made.environ |= {"DOCKER_HOST": docker.address}
        speed(made.folder / "dist")
        yield made


def test_a_package_without_a_wheel_is_compiled_and_imported(project: Project) -> None:
    manifest = project.write("compiled.yaml", MANIFEST)
    code, out, err = project("run", manifest, "--output", "json")
    assert code == 0, err + out
    _, files, _ = project("image", "files", "web")
    assert "/usr/local/lib/python3.11/dist-packages/speed/__pycache__/__init__.cpython-311.pyc" in files
    assert "/dist-packages/speed/_speed.cpython-311" in files
    assert not {line.split()[0] for line in files.splitlines()} & {
        "/usr/bin/gcc",
        "/usr/bin/pip",
        "/var/tmp/pipeline-wheels",
    }
    code, out, _ = project("run", manifest, "--output", "json")
    assert (code, events(out)[-1]["report"]["made"]) == (0, 0)
