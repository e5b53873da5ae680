"""What a run with nothing to do costs: the modules that it imports, with a real registry to ask."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))

from publishing import PASSWORD, USER
from registry_images import make_image
from registry_server import RealRegistry, running

from pipeline.cli._door import run
from pipeline.manifest.model import Registry, Secret
from pipeline.registry import Registries
from pipeline.registry.transfers import push, tag
from pipeline.store import Store

MOST_MODULES = 226
"""About half of them are ours."""

HEAVY = {
    *("httpx", "httpcore", "networkx", "jsonschema", "rich", "tenacity", "zstandard", "isal", "docker", "requests"),
    *("rattler", "debian", "pysequoia", "packaging", "asyncio", "concurrent", "email", "http", "importlib.metadata"),
    *("logging", "multiprocessing", "ssl", "stringprep", "subprocess", "tempfile", "shutil", "bz2", "lzma"),
}
EMPTY_TAR = bytes(10240)
MANIFEST = """\
version: 1
name: shop
registries:
  prod: {{address: "{address}/ml", username: bob, password: "${{env:BOB_PASSWORD}}"}}
bases:
  small: {{image: {{reference: "small:v1", registry: prod}}}}
layers:
  code: {{files: [{{from: src/, to: /srv/app/}}]}}
images:
"""
PROGRAM = """\
import io, json, os, sys
before = set(sys.modules)
from pipeline.cli._door import run
out = io.StringIO()
code = run(sys.argv[1:], environ=dict(os.environ), out=out, err=sys.stderr)
print(json.dumps({"code": code, "said": out.getvalue(), "modules": sorted(set(sys.modules) - before)}))
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture
def built(tmp_path: Path, registry: RealRegistry) -> tuple[Path, Mapping[str, str]]:
    """A manifest of 12 images, made and pushed; and the environment to run it in."""
    registries = Registries({"PATH": ""}, [Registry("prod", registry.address, USER, Secret(PASSWORD))])
    base, store = registries.repository(f"{registry.address}/ml/small"), Store(tmp_path / "other")
    image = make_image(store, [EMPTY_TAR])
    push(store, image, base)
    tag(store, image, base, ["v1"])
    names = [f"web{number}" for number in range(12)]
    lines = [f"  {name}: {{base: small, layers: [code], env: {{N: {name}}}, push: {{to: prod}}}}" for name in names]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "start").write_text("#!/bin/sh\n")
    manifest = tmp_path / "shop.yaml"
    manifest.write_text(MANIFEST.format(address=registry.address) + "\n".join(lines) + "\n")
    environ = {**os.environ, "PIPELINE_HOME": str(tmp_path / "home"), "BOB_PASSWORD": PASSWORD}
    said = io.StringIO()
    assert run(["run", str(manifest)], environ=environ, out=said, err=said) == 0, said.getvalue()
    return manifest, environ


def test_a_run_with_nothing_to_do_imports_little(built: tuple[Path, Mapping[str, str]]) -> None:
    manifest, environ = built
    command = [sys.executable, "-c", PROGRAM, "run", str(manifest)]
    ended = json.loads(subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout)
    assert ended["code"] == 0
    assert "nothing to do" in ended["said"]
    found = set(ended["modules"])
    assert sorted(found & HEAVY) == []
    assert "pipeline.registry.client" in found, "the registry was not asked"
    assert len(found) <= MOST_MODULES, "a run with nothing to do imports more than before: is it needed?"
