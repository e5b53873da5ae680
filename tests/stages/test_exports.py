"""The lock in other tools' formats, read back by those tools' own libraries."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from condamaker import Channel, python
from packaging.requirements import Requirement

from pipeline.errors import ResolveError, UsageError
from pipeline.facts import Facts, Platform, Python
from pipeline.kinds import Held, build_kind
from pipeline.lock.model import Lock, LockEntry, entry_id, request_hash
from pipeline.run import open_bench
from pipeline.stages.bench import Bench
from pipeline.stages.exports import exports

VERSION = platform.python_version()
MINOR = ".".join(VERSION.split(".")[:2])
MANIFEST = """\
version: 1
name: shop
bases: {slim: {debian: {suite: bookworm, packages: [python3]}}}
layers:
  science: {pip: {packages: [beta], requirements: offline.txt, find_links: wheels}}
  env: {conda: {channels: [./channel], dependencies: [tool, {pip: [--no-index, --find-links wheels, alpha]}]}}
images: {web: {base: slim, layers: [science, env], command: [x]}}
"""
# Conda's own pattern of a line (conda/misc.py, `url_pat`).
LINE = re.compile(r"(.+)/([^/#]+(?:\.tar\.bz2|\.conda))#([0-9a-f]{32}|[0-9a-f]{64})")


def wheel(folder: Path, name: str, requires: str = "") -> None:
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"name = '{name}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)


@pytest.fixture
def bench(project: Any) -> Bench:
    folder = project({"shop.yaml": MANIFEST, "offline.txt": "--no-index\n"})
    wheel(folder / "wheels", "alpha")
    wheel(folder / "wheels", "beta", "Requires-Dist: alpha\n")
    channel = Channel(folder / "channel")
    python(channel, VERSION)
    channel.package("tool", "1.1", subdir="noarch", depends=["python >=3.8"])
    return open_bench(folder / "shop.yaml", os.environ, {})


def locked(bench: Bench, *platforms: str) -> Lock:
    """The lock of the manifest's layers for a base with a Python of this test's own version."""
    entries = {}
    for name, entry in bench.manifest.layers.items():
        kind, request = build_kind("layers", entry.kind), None
        for each in platforms or ("linux/amd64",):
            interpreter = Python(VERSION, "/usr/bin/python3", "/usr/local", "/usr/local/lib/site")
            facts = Facts(Platform.parse(each), "debian", "12", "2.36", interpreter)
            if name == "env" and each != "linux/amd64":
                continue
            request = kind.request(entry.spec, bench.files)
            answer = kind.resolve(entry.spec, request, facts, bench.indexes, Held())
            id_ = entry_id("layers", name, each, kind.needs(entry.spec, facts))
            entries[id_] = LockEntry(entry.kind, request_hash(request), answer)
    return Lock(entries)


def test_a_pylock_is_valid_and_installs(bench: Bench, tmp_path: Path) -> None:
    (made,) = exports(bench, locked(bench), "pylock", ["science"], "", tmp_path)
    assert made.name == "pylock.science.toml"
    value = tomllib.loads(made.text)
    pytest.importorskip("packaging.pylock").Pylock.from_dict(value).validate()
    assert value["requires-python"] == f"=={MINOR}.*"
    assert [(one["name"], one["version"]) for one in value["packages"]] == [("alpha", "1.0"), ("beta", "1.0")]
    file = value["packages"][0]["wheels"][0]
    assert not Path(file["path"]).is_absolute()
    assert (tmp_path / file["path"]).stat().st_size == file["size"]
    (tmp_path / made.name).write_text(made.text)
    target = tmp_path / "installed"
    from uv import find_uv_bin

    command = [find_uv_bin(), "pip", "install", "--offline", "--python", sys.executable, "--target", str(target)]
    subprocess.run([*command, "-r", made.name], cwd=tmp_path, check=True, capture_output=True)
    assert (target / "alpha.py").is_file() and (target / "beta.py").is_file()


def test_requirements_have_each_hash(bench: Bench, tmp_path: Path) -> None:
    lock = locked(bench)
    (made,) = exports(bench, lock, "requirements", ["science"], "", tmp_path)
    lines = made.text.replace(" \\\n", "").splitlines()[1:]
    wheels = next(iter(lock.entries.values())).locked["wheels"]
    assert [str(Requirement(line.partition("--hash")[0])) for line in lines] == ["alpha==1.0", "beta==1.0"]
    assert [line.rpartition("sha256:")[2] for line in lines] == [one["sha256"] for one in wheels]


def test_the_wheels_beside_conda_packages_are_exported(bench: Bench, tmp_path: Path) -> None:
    (made,) = exports(bench, locked(bench), "pylock", ["env"], "", tmp_path)
    assert [one["name"] for one in tomllib.loads(made.text)["packages"]] == ["alpha"]


def test_condas_explicit_list_has_packages_after_what_they_need(bench: Bench, tmp_path: Path) -> None:
    (made,) = exports(bench, locked(bench), "conda", [], "", tmp_path)
    head, _, body = made.text.partition("@EXPLICIT\n")
    assert "# platform: linux-64" in head.splitlines()
    assert "1 package of pip" in head
    found = [LINE.fullmatch(line) for line in body.splitlines()]
    assert all(found)
    names = [match[2].split("-")[0] for match in found if match]
    assert names.index("libz") < names.index("python") < names.index("tool")


def test_several_platforms_are_several_files(bench: Bench, tmp_path: Path) -> None:
    lock = locked(bench, "linux/amd64", "linux/arm64")
    names = [one.name for one in exports(bench, lock, "requirements", ["science"], "", tmp_path)]
    assert len(set(names)) == 2 and all("amd64" in name or "arm64" in name for name in names)
    (arm,) = exports(bench, lock, "pylock", ["science"], "linux/arm64", tmp_path)
    assert "platform_machine == 'aarch64'" in arm.text
    names = [one.name for one in exports(bench, lock, "pylock", ["science"], "", tmp_path)]
    assert all(re.fullmatch(r"pylock\.([^.]+)\.toml", name) for name in names)


def test_what_cannot_be_exported_says_why(bench: Bench, tmp_path: Path) -> None:
    lock = locked(bench)
    with pytest.raises(UsageError, match="no conda layer of that name and platform"):
        exports(bench, lock, "conda", ["science"], "", tmp_path)
    id_, entry = next(iter(lock.entries.items()))
    stale = Lock({id_: LockEntry(entry.kind, "other", entry.locked)})
    with pytest.raises(ResolveError, match="the lock's entry of science is out of date"):
        exports(bench, stale, "pylock", [], "", tmp_path)
    wheel(tmp_path / "project" / "wheels", "beta", "Summary: made again\n")
    with pytest.raises(ResolveError, match=r"no index has beta-1.0-py3-none-any.whl as it is locked"):
        exports(bench, lock, "pylock", ["science"], "", tmp_path)
