"""manifests/base.yaml: the twin of Dockerfile.base, with a channel of small packages in place of conda-forge."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

import pytest
from condamaker import Channel, python

sys.path.insert(0, str(Path(__file__).parent))

from production import ROOT, Project, sets

VERSION = platform.python_version()
CHANNEL = {"layers.conda.conda.channels.0": "./channel"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path / "project")
    channel = Channel(made.folder / "manifests/channel")
    python(channel, VERSION)
    for name in ("conda", "pip"):
        channel.package(name, "24.11.0", subdir="noarch", depends=["python"])
    made.environ |= {"SUITE": "bookworm", "PYTHON_VERSION": ".".join(VERSION.split(".")[:2])}
    return made


@pytest.mark.network
def test_it_is_built_without_an_engine_and_has_what_it_requires(project: Project) -> None:
    manifest = project.manifest("base.yaml")
    code, out, err = project("build", manifest, *sets({**CHANNEL, "build.engine": "none"}))
    assert code == 0, err + out
    _, files, _ = project("image", "files", "serving-base")
    assert "/usr/bin/fusermount" in files and "/usr/bin/git" in files and "/opt/conda/conda-meta/conda-24" in files
    assert re.search("/opt/conda/lib/python.*/site-packages/azureml_inference_server_http/__init__.py", files)
    lacking = {"images.serving-base.requires.conda": ">=99"}
    code, _, err = project("build", manifest, *sets({**CHANNEL, **lacking}))
    assert code == 3 and "24.11.0" in err


def test_it_promises_what_the_dockerfile_promises() -> None:
    """The same packages and versions in both."""
    dockerfile = (ROOT / "Dockerfile.base").read_text(encoding="utf-8")
    twin = (ROOT / "manifests/base.yaml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"install -y --no-install-recommends \\\n\s+(.*?) \\\n", dockerfile)
    assert f"packages: [{', '.join(listed.split())}]" in twin
    for name in ("INFERENCE_SERVER_VERSION", "INFERENCE_SCHEMA_VERSION"):
        (version,) = re.findall(rf"^ARG {name}=(.*)$", dockerfile, re.MULTILINE)
        assert f"~={version}" in twin
    (minor,) = re.findall(r"^ARG PYTHON_VERSION=(.*)$", dockerfile, re.MULTILINE)
    assert f"PYTHON_VERSION:-{minor}}}" in twin
