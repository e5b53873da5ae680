"""What registries and engines cost: a push of one small layer, a command on a large parent, a base's requirements read.

With a docker-registry of its own (Debian's package), and the container engine that the user has; without them the rows
are left out, and the last line says which.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PARENT = 200 << 20
Take = Callable[[list[str], Path], float]
"""Runs `pipeline ARGUMENTS` with a home, and gives the seconds that it took."""

MANIFEST = """\
version: 1
name: shipping
build: {network: none, ca_bundle: none}
bases:
  debian: {debian: {suite: bookworm, packages: [python3], essential: true}}
  plain: {debian: {suite: bookworm, packages: [base-files, libc6]}}
layers:
  python: {debs: {packages: [python3, libstdc++6]}}
  large: {files: [{from: large, to: /opt/}]}
  code: {files: [{from: code, to: /opt/}]}
  command: {run: {commands: "echo ${number} > /opt/number"}}
images:
  shipped: {base: debian, layers: [large, code], command: [/bin/sh]}
  executed: {base: debian, layers: [large, command], command: [/bin/sh]}
  # As in the images of Python and of conda, no folder comes before that of its Python in PATH.
  parent: {base: plain, layers: [large, python], command: [/bin/sh], env: {PATH: "/usr/bin:/bin"}}
"""
READER = """\
version: 1
name: reader
registries:
  there: {address: "ADDRESS"}
bases:
  parent: {image: {reference: "parent:v1", registry: there}, requires: {os: debian, python: ">=3.11"}}
layers:
  numbers: {pip: {packages: [numpy==2.2.6], bytecode: false}}
images:
  bare: {base: parent, command: [/bin/sh]}
  read: {base: parent, layers: [numbers], command: [/bin/sh], push: {to: there, repository: read, tags: [v1]}}
"""


@dataclass(frozen=True)
class Registry:
    """A registry that runs, and the log of what it was asked."""

    address: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def stored(self) -> int:
        """Bytes of all blobs that it keeps."""
        return sum(file.stat().st_size for file in (self.folder / "data").rglob("data") if file.is_file())

    @contextlib.contextmanager
    def asked(self) -> Iterator[list[int]]:
        """Adds to the list, at the end of the block, the bytes that each request in it was answered with."""
        sizes: list[int] = []
        start = self.log.stat().st_size
        yield sizes
        # The line of a request is written after its answer.
        time.sleep(0.2)
        text = self.log.read_bytes()[start:].decode(errors="replace")
        sizes += [int(size) for size in re.findall(r'"(?:HEAD|GET|PUT|POST|PATCH) [^"]*" \d+ (\d+) ', text)]


@contextlib.contextmanager
def registry() -> Iterator[Registry]:
    """Debian's docker-registry on a free port."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name, socket.socket() as probe:
        folder = Path(name)
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        settings = (
            f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\nhttp: {{addr: '{address}', secret: x}}\n"
        )
        (folder / "config.yml").write_text("version: 0.1\nlog: {level: warn}\n" + settings)
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(["docker-registry", "serve", f"{folder}/config.yml"], stdout=log, stderr=log)
        try:
            _wait(address)
            yield Registry(address, folder)
        finally:
            server.terminate()
            server.wait()


def _wait(address: str) -> None:
    host, _, port = address.partition(":")
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"docker-registry does not listen on {address}")


def rows(take: Take, runs: int) -> Iterator[tuple[str, str, str, int]]:
    """(what, goal, figure, runs) of each row."""
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name:
        folder, home = Path(name), Path(name, "home")
        (folder / "large").write_bytes(os.urandom(PARENT))
        (folder / "code").write_text("0")
        (folder / "shipping.yaml").write_text(MANIFEST)
        take(["build", f"{folder}/shipping.yaml", "--image", "shipped", "--set", "number=0"], home)
        if shutil.which("docker-registry"):
            with registry() as there:
                yield from _pushed(take, runs, folder, home, there)
                yield from _read(take, runs, folder, there)
        else:
            print("no rows of registries: docker-registry is not installed", file=sys.stderr)
        if _engine():
            yield _executed(take, runs, folder, home)
        else:
            print("no row of commands: no container engine is in reach", file=sys.stderr)


def _pushed(take: Take, runs: int, folder: Path, home: Path, there: Registry) -> Iterator[tuple[str, str, str, int]]:
    reference = f"{there.address}/shipped:v1"
    take(["push", "shipping/shipped", reference], home)
    seconds, requests = [], []
    for number in range(1, runs + 1):
        (folder / "code").write_text(str(number))
        take(["build", f"{folder}/shipping.yaml", "--image", "shipped", "--set", "number=0"], home)
        with there.asked() as asked:
            seconds.append(take(["push", "shipping/shipped", reference], home))
        requests.append(len(asked))
    figure = f"{statistics.median(seconds):.2f} s, {statistics.median(requests):.0f} requests"
    yield "push of an image, of which only a small layer is new", "0.3 s, 10 requests", figure, runs


def _read(take: Take, runs: int, folder: Path, there: Registry) -> Iterator[tuple[str, str, str, int]]:
    """Each time in an empty store, and without a lock; the parent's large layer holds nothing that is asked for."""
    home = folder / "home"
    take(["build", f"{folder}/shipping.yaml", "--image", "parent", "--set", "number=0"], home)
    take(["push", "shipping/parent", f"{there.address}/parent:v1"], home)
    manifest = folder / "reader.yaml"
    manifest.write_text(READER.replace("ADDRESS", there.address))
    for command, what in (("build --image bare", "build"), ("run --image read", "with a new pip layer, pushed there")):
        seconds, moved, uploaded = [], [], []
        for number in range(runs):
            manifest.with_suffix(".lock").unlink(missing_ok=True)
            before = there.stored()
            with there.asked() as asked:
                seconds.append(take([*command.split(), str(manifest)], folder / f"home-{number}"))
            moved.append(sum(asked) / 1e6)
            uploaded.append((there.stored() - before) / 1e6)
            shutil.rmtree(folder / f"home-{number}")
        # Later runs push what the registry has.
        figure = f"{statistics.median(seconds):.2f} s, {statistics.median(moved):.0f} MB down, {uploaded[0]:.0f} MB up"
        yield f"requirements of a base in a registry, {PARENT >> 20} MiB of it elsewhere: {what}", "-", figure, runs


def _executed(take: Take, runs: int, folder: Path, home: Path) -> tuple[str, str, str, int]:
    def build() -> float:
        words = ["build", f"{folder}/shipping.yaml", "--image", "executed", "--set", f"number={time.monotonic_ns()}"]
        return take(words, home)

    build()
    seconds = statistics.median(build() for _ in range(runs))
    return "a command that takes no time, on a parent of 200 MiB", "1 s", f"{seconds:.2f} s", runs


def _engine() -> bool:
    from pipeline.engine.find import find
    from pipeline.errors import PipelineError

    try:
        return find(os.environ) is not None
    except PipelineError:
        return False
