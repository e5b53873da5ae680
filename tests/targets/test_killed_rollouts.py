"""Rollouts without an engine whose run is killed on the way: what was begun is finished, nothing begins twice."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.targets._service import NamespaceRuntime
from pipeline.targets.model import Release

if TYPE_CHECKING:
    from conftest import Shelf

Until = Callable[[Callable[[], Any]], Any]

# A run with nothing around it; `interpreter` is what its supervisor is started with.
_RUN = """
import pickle, sys
from pipeline.targets._service import NamespaceRuntime

state, layers, release, interpreter = pickle.load(sys.stdin.buffer)
sys.executable = interpreter or sys.executable
NamespaceRuntime(state, lambda layer: layers[layer.diff_id], grace=20).start(release, "127.0.0.1")
"""
# Holds the supervisor back, before it has begun, until somebody writes to the pipe `go`.
_HOLDING = """#!/bin/sh
case "$*" in *_supervise.py*) echo > {folder}/held; read -r _ < {folder}/go;; esac
exec {python} "$@"
"""


class Machine:
    """The state folder of one service, and the processes that belong to it."""

    def __init__(self, folder: Path, image: Shelf) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.runtime = NamespaceRuntime(self.state, image.roots.layer)
        self._layers = {layer.diff_id: image.roots.layer(layer) for layer in image.layers}
        self._runs: list[subprocess.Popen[bytes]] = []

    def run(self, release: Release, interpreter: str = "") -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", _RUN], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        self._runs.append(process)
        assert process.stdin is not None
        pickle.dump((self.state, self._layers, release, interpreter), process.stdin)
        process.stdin.close()
        return process

    def holding(self) -> str:
        """An interpreter that is held back; `go` lets it on."""
        os.mkfifo(self.folder / "go")
        script = self.folder / "python"
        script.write_text(_HOLDING.format(folder=self.folder, python=sys.executable))
        script.chmod(0o755)
        return str(script)

    def supervisors(self) -> list[int]:
        """The processes that watch over a service of this folder, or are about to."""
        found = []
        for process in Path("/proc").iterdir():
            if process.name.isdecimal() and b"_supervise.py" in _read(process / "cmdline"):
                # It may end meanwhile.
                with contextlib.suppress(OSError):
                    folder = os.readlink(process / "cwd")  # noqa: PTH115
                    found += [int(process.name)] if folder.startswith(str(self.state)) else []
        return found

    def end(self) -> None:
        for process in self._runs:
            process.kill()
            process.wait()
        for pid in self.supervisors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def waits_for_a_lock(pid: int) -> bool:
    """See proc_locks(5): a waiter's line has an arrow."""
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any("->" in words and str(pid) in words for words in lines)


@pytest.fixture
def machine(image: Shelf, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, image)
    yield made
    made.runtime.stop()
    made.end()


def test_a_run_waits_for_the_service_that_a_killed_one_has_begun_to_start(
    machine: Machine, image: Shelf, port: int, until: Until
) -> None:
    release = image.release(port)
    killed = machine.run(release, machine.holding())
    until((machine.folder / "held").exists)
    killed.kill()
    killed.wait()
    second = machine.run(release)
    until(lambda: second.poll() is not None or waits_for_a_lock(second.pid))
    (machine.folder / "go").write_text("\n")
    assert second.wait() == 0, second.stderr and second.stderr.read()
    until(lambda: (process := machine.runtime.inspect()) and process.alive)
    assert len(machine.supervisors()) == 1


def test_what_a_killed_run_has_begun_is_finished_without_it(
    machine: Machine, image: Shelf, port: int, until: Until
) -> None:
    """Until the new service's supervisor is there, the one before is live; from then on nobody else is needed."""
    first, second = (image.release(port, env={"WHO": who}) for who in ("first", "second"))
    assert machine.run(first).wait() == 0
    killed = machine.run(second, machine.holding())
    until((machine.folder / "held").exists)
    killed.kill()
    killed.wait()
    live = machine.runtime.inspect()
    assert live and live.alive and live.revision == first.revision
    assert ask(port) == "first"
    (machine.folder / "go").write_text("\n")
    until(lambda: (seen := machine.runtime.inspect()) and seen.alive and seen.revision == second.revision)
    assert until(lambda: ask(port)) == "second"
    machine.runtime.stop()
    left = [path.name for path in machine.state.glob("*/*") if path.name == "run"]
    assert left == [] and until(lambda: not machine.supervisors())


def test_folders_of_starts_that_never_began_go_with_the_next(machine: Machine, image: Shelf, port: int) -> None:
    (machine.state / "start-killed/run/lower").mkdir(parents=True)
    assert machine.run(image.release(port)).wait() == 0
    assert len(list(machine.state.glob("start-*"))) == 1


def test_the_last_three_logs_are_kept(machine: Machine, image: Shelf, port: int) -> None:
    for number in range(5):
        assert machine.run(image.release(port, env={"WHO": f"{number}"})).wait() == 0
    assert len(list(machine.state.glob("start-*/log"))) == 3


def ask(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=20) as answer:
        return str(json.load(answer)["env"])
