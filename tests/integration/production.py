"""What manifests/prod.yaml needs around it: an engine, a registry, an image to start from, and a conda installer."""

from __future__ import annotations

import contextlib
import functools
import http.server
import io
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cli._door import run
from pipeline.engine.find import about, connect
from pipeline.facts import Facts, Platform
from pipeline.stages.surroundings import surroundings

ROOT = Path(__file__).parents[2]
PARENT = "tests.local/debian:bookworm"
_PARENT = """\
version: 1
name: parent
bases:
  debian:
    debian:
      suite: bookworm
      essential: true
      packages: [python3, python3-pip-whl, python3-setuptools-whl]
layers:
  sources: {files: [{from: sources.list, to: /etc/apt/}]}
images:
  parent: {base: debian, layers: [sources]}
"""


@dataclass
class Project:
    """A copy of the repository's manifests, and the environment to run them in."""

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def __post_init__(self) -> None:
        (self.folder / ".git").mkdir(parents=True)
        for name in ("manifests", "models"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=shutil.ignore_patterns("*.lock"))
        shutil.copy(ROOT / "Dockerfile.base", self.folder)
        self.environ["PIPELINE_HOME"] = str(self.folder.parent / "home")

    def __call__(self, *args: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = run(args, environ=self.environ, out=out, err=err)
        return code, out.getvalue(), err.getvalue()

    def manifest(self, name: str) -> str:
        return str(self.folder / "manifests" / name)

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)


def load_parent(project: Project, address: str) -> None:
    """Makes an image of Debian packages, which apt in it can add to, and gives it to the engine at `address`."""
    debian = Facts(Platform(), "debian", "12")
    _, files = surroundings(project.environ, "none", project.folder, debian, has_sources=False)
    project.write("sources.list", next(text.decode() for path, text in files.items() if path.endswith("sources.list")))
    manifest, archive = project.write("parent.yaml", _PARENT), project.folder / "parent.tar"
    for command in (["build", manifest], ["image", "export", "parent", str(archive), "--tag", PARENT]):
        code, _, err = project(*command)
        assert code == 0, err
    with archive.open("rb") as file:
        connect(about(address)).load(iter(functools.partial(file.read, 1 << 20), b""))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a web server, on this machine alone, that serves a folder."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


def sets(values: Mapping[str, str]) -> list[str]:
    """`--set` for each."""
    return [word for name, value in values.items() for word in ("--set", f"{name}={value}")]


def events(out: str) -> list[dict[str, Any]]:
    """What `--output json` printed."""
    return [json.loads(line) for line in out.splitlines()]
