"""A project that builds and deploys with no network and no sandbox, and the command line to do it with."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli._door import run

MANIFEST = """\
version: 1
name: shop
bases:
  slim: {plain: [{from: base/, to: /usr/share/shop/}]}
layers:
  code: {files: [{from: src/, to: /srv/app/}]}
images:
  web:
    base: slim
    layers: [code]
    command: [/srv/app/start]
    tags: [v1]
targets:
  here: {remembered: {image: web, port: 8890}}
"""


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def steady(self) -> str:
        """The output with times and digests, which differ from run to run, in the same width replaced."""
        text = re.sub(r"\d+\.\d s\b", "0.0 s", self.out)
        return re.sub(r"sha256:[0-9a-f]{12}…", "sha256:<12 digits>…", text)


class Project:
    """A project folder, and `pipeline` called in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "PIPELINE_HOME": str(folder / "home")}

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def __call__(self, *args: str, environ: Mapping[str, str] | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        code = run(args, environ={**self.environ, **(environ or {})}, out=out, err=err)
        return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A project with one base, one layer, one image and one target, all of them offline, as the working folder."""
    monkeypatch.syspath_prepend(str(Path(__file__).with_name("plugin")))
    project = Project(tmp_path)
    project.write(".git/HEAD", "")
    project.write("pipeline.yaml", MANIFEST)
    project.write("base/etc.txt", "base\n")
    project.write("src/start", "#!/bin/sh\n")
    monkeypatch.chdir(tmp_path)
    yield project
    if target := sys.modules.get("offline_target"):
        target.LIVE.clear()
