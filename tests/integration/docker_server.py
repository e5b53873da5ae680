"""A real container engine for tests: Debian's docker.io, installed when need be, with a daemon of the tests' own.

Environment variables choose another one: TEST_DOCKER_PATH is the folder of the programs (dockerd, containerd, docker)
that are taken before those in PATH, TEST_DOCKER_OPTIONS are further words for dockerd, such as
`--feature containerd-snapshotter=true`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from debian_packages import installed

from pipeline.engine.ask import NoAnswer, ask

PROGRAM = "dockerd"
_PATIENCE = 120.0
"""Seconds that a daemon may take to begin or to end, on a machine that has much to do."""


@dataclass
class RealDocker:
    """A daemon that runs, without a bridge: containers have the host's network, or none."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"unix://{self.folder / 'sock'}"

    def kill(self) -> None:
        """Ends the daemon without a chance to clean up, and its containers with it."""
        self.process.kill()
        self.process.wait()


def search_path() -> str:
    """Where programs are looked for; the chosen engine's come first."""
    return os.pathsep.join(filter(None, (os.environ.get("TEST_DOCKER_PATH"), os.environ.get("PATH", os.defpath))))


@cache
def program() -> str:
    """The daemon's program; skips the test where it cannot run."""
    if os.geteuid() != 0:
        pytest.skip("a Docker daemon for the tests needs root")
    return installed(PROGRAM, "docker.io", search_path())


@contextlib.contextmanager
def running(*more: str) -> Iterator[RealDocker]:
    """A daemon with its own storage, and with these options; it and its containers are ended afterwards."""
    daemon = program()
    # A socket's path may have no more than 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="docker-"))
    server = RealDocker(folder, _start(daemon, folder, more))
    try:
        _wait(server)
        yield server
    finally:
        _stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def _start(daemon: str, folder: Path, more: Sequence[str]) -> subprocess.Popen[bytes]:
    options = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
    options += [f"--host=unix://{folder}/sock", "--bridge=none", "--iptables=false", "--shutdown-timeout=1"]
    options += [*shlex.split(os.environ.get("TEST_DOCKER_OPTIONS", "")), *more]
    environ = {**os.environ, "PATH": search_path()}
    with (folder / "log").open("wb") as log:
        return subprocess.Popen([daemon, *options], stdout=log, stderr=log, env=environ, start_new_session=True)


def _wait(server: RealDocker) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if server.process.poll() is not None:
            said = (server.folder / "log").read_text(errors="replace").strip().splitlines() or ["nothing"]
            pytest.skip(f"a Docker daemon cannot be started here: {said[-1][-300:]}")
        with contextlib.suppress(NoAnswer):
            if ask(server.address, "/version")[0] == 200:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(timeout=0.05)
    pytest.skip("the Docker daemon does not answer")


def _stop(server: RealDocker) -> None:
    if server.process.poll() is None:
        server.process.terminate()
        try:
            server.process.wait(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()
    # What a killed daemon leaves: its containerd, and a process for each container; all name its folder.
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and f"{server.folder}/".encode() in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)
    for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
        if (point := line.split()[1]).startswith(str(server.folder)):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)
