"""The fault harness: a small project of every kind that needs no network, killed at chosen points and run again."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "integration"))

# ruff: noqa: E402
from condamaker import Channel, python

from pipeline.registry import Registries
from pipeline.registry.problems import NotFound
from pipeline.store import Store
from pipeline.store.scratch import Scratch
from pipeline.store.verify import verify

STARTER = HERE / "starter.py"
PLUGINS = [HERE / "plugin", HERE.parent / "cli" / "plugin"]
MANIFEST = """\
version: 1
name: shop
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  slim: {snake: [{from: base/, to: /usr/share/shop/}]}
layers:
  code: {files: [{from: src/, to: /srv/app/}]}
  weights: {model: {name: m, version: 1, path: weights}}
  science: {pip: {packages: [alpha], requirements: offline.txt, find_links: wheels, bytecode: false}}
  shelf: {shelf: {packages: [one]}}
images:
  web: {base: slim, layers: [shelf, science, weights, code], command: [/srv/app/start], tags: [v1], push: {to: prod}}
  job: {base: slim, layers: [code], command: [/srv/app/start], checks: {size: 100MB}, push: {to: prod}}
"""
CONDA = """\
version: 1
name: shop
bases:
  slim: {snake: [{from: base/, to: /usr/share/shop/}]}
layers:
  env: {conda: {channels: [./channel], dependencies: [tool], bytecode: false}}
images:
  job: {base: slim, layers: [env], command: [/srv/app/start], tags: [v1]}
"""


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code (-9 for killed), what it said, and the points that it passed."""

    code: int
    said: str
    points: list[str]
    details: list[str]


@dataclass(frozen=True)
class Result:
    """What is to be the same, whatever happened on the way."""

    images: Mapping[str, Any]
    lock: str
    files: frozenset[str]
    tags: Mapping[str, str]


class Lab:
    """One project in a folder of its own, with a home and a part of a registry of its own."""

    def __init__(self, folder: Path, registry: str, manifest: str = MANIFEST) -> None:
        self.folder = folder
        self.project = folder / "project"
        self.home = folder / "home"
        self.registry = f"{registry}/{folder.name}"
        self.manifest = self.project / "shop.yaml"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PIPELINE_")},
            "PIPELINE_HOME": str(self.home),
            "PYTHONPATH": os.pathsep.join(map(str, PLUGINS)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "REGISTRY": self.registry,
            "UV_CACHE_DIR": str(folder / "uv"),
            "NO_COLOR": "1",
        }
        _write(self.project, {".git/HEAD": "", "shop.yaml": manifest, "offline.txt": "--no-index\n"})
        _write(self.project, {"base/etc.txt": "base\n" * 50, "src/start": "#!/bin/sh\n", "src/more.py": "x = 1\n"})
        _write(self.project, {"weights/a.bin": "1 2 3\n", "shelf.json": '{"one": ["1", "2"]}'})
        _wheel(self.project / "wheels", "alpha")
        channel = Channel(self.project / "channel")
        python(channel, platform.python_version())
        channel.package("tool", "1.1", subdir="noarch", depends=["python >=3.8"])

    def run(self, *args: str, faults: Mapping[str, Any] | None = None) -> Ended:
        """`pipeline run`, or what `args` say; killed as `faults` say."""
        with self.begin(*args, faults=faults) as process:
            said = process.communicate(timeout=120)[0]
        return self.ended(process, said)

    def begin(self, *args: str, faults: Mapping[str, Any] | None = None) -> subprocess.Popen[str]:
        log = self.folder / "points"
        log.unlink(missing_ok=True)
        spec = {"root": str(self.folder), "log": str(log), **(faults or {})}
        return subprocess.Popen(
            [sys.executable, str(STARTER), *(args or ("run", str(self.manifest)))],
            env={**self.environ, "FAULTS": json.dumps(spec)},
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str], said: str) -> Ended:
        log = self.folder / "points"
        lines = [line.split("\t") for line in log.read_text().splitlines()] if log.exists() else []
        return Ended(process.returncode, said, [line[0] for line in lines], [line[1] for line in lines])

    def result(self) -> Result:
        """What there is now, after a run that went well; asserts that the store is whole and nothing is half done."""
        store = Store(self.home / "store")
        assert verify(store, dry_run=True).damage == ()
        images = {name: image.digest for name, (image, _) in store.images().items()}
        images |= {f"{name}:{tag}": image.digest for (name, tag), image in store.tags().items()}
        ids = [row[0] for row in store.database.execute("SELECT id FROM runs WHERE ended IS NULL")]
        assert not ids, f"runs without an end: {ids}"
        return Result(images, self.manifest.with_suffix(".lock").read_text(), self._files(), self.tags())

    def ended_well(self) -> bool:
        """Whether the newest run has noted its own end."""
        rows = Store(self.home / "store").database.execute("SELECT ended FROM runs ORDER BY id DESC LIMIT 1")
        return bool(rows and rows[0][0])

    def sweep(self) -> None:
        """What every run does that makes something."""
        store = Store(self.home / "store")
        store.blobs.scratch.sweep()
        store.uses.sweep()
        Scratch(self.home / "cache" / "frames" / "scratch").sweep()

    def _files(self) -> frozenset[str]:
        """The files of the project and of the store; not what a sound run leaves by names of its own."""
        found = set()
        for top in (self.project, self.home / "store", self.home / "cache", self.home / "state"):
            for path in top.rglob("*"):
                name = str(path.relative_to(self.folder))
                if not any(part in name for part in ("store/guards", "store/store.db", "state/runs", "cache/conda")):
                    found.add(name)
        return frozenset(found)

    def tags(self) -> dict[str, str]:
        """The digests that the registry has under this project's tags."""
        return dict(_tags(self.registry))


def _tags(registry: str) -> Iterator[tuple[str, str]]:
    registries = Registries({"PATH": ""}, [])
    for name in ("web", "job"):
        repository = registries.repository(f"{registry}/{name}")
        with contextlib.suppress(NotFound):
            for tag in repository.tags():
                yield f"{name}:{tag}", repository.resolve(tag).digest


def end(process: subprocess.Popen[str]) -> None:
    """Kills a run and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)


def clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _wheel(folder: Path, name: str) -> None:
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": f"name = '{name}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
