"""`pipeline serve` as people start it: what it says, what it does after a push, how it ends, and how it goes on."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servelab import CONFIG, Lab, manifest

HANGS = "version: 1\nname: one\nbases: {{far: {{image: {0}/none:v1}}}}\nimages: {{one: {{base: far}}}}\n"


class Process:
    """A server of a lab in a process of its own, at a free port."""

    def __init__(self, lab: Lab) -> None:
        self.lines: list[str] = []
        command = [sys.executable, "-m", "pipeline", "serve", str(lab.config), "--port", "0"]
        self.process = subprocess.Popen(
            command, env=lab.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=lab.folder
        )
        self.address = self.said(r"serves at (\S+)")[1]

    def said(self, pattern: str) -> re.Match[str]:
        """Waits for a line."""
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended, and did not say {pattern}: {''.join(self.lines)}")

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.address}{path}") as answer:
            return json.load(answer)

    def post(self, path: str) -> Any:
        asked = urllib.request.Request(f"{self.address}{path}", b"{}", {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked) as answer:
            return json.load(answer)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        assert self.process.stdout
        self.lines += self.process.stdout.readlines()
        return self.process.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab", {**manifest("one"), **manifest("two")}, CONFIG.replace("20s", "5s"))


@pytest.fixture
def start(lab: Lab) -> Iterator[Callable[[], Process]]:
    started: list[Process] = []

    def start() -> Process:
        started.append(Process(lab))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_commit_is_run_and_the_end_is_in_order(lab: Lab, start: Callable[[], Process]) -> None:
    server = start()
    server.said(r"watches models: .*origin, branch main, manifests, every 5 s")
    for _ in range(2):
        server.said(r"run models/manifests/(one|two).yaml: done: done in")
    assert server.get("/healthz")["status"] == "ok"
    commit = lab.origin.commit({"manifests/two.txt": "second"}, "Newer text")
    server.said(rf"run models/manifests/two.yaml: running: commit {commit[:7]}")
    server.said(r"run models/manifests/two.yaml: done: done in")
    rows = server.get("/api/v1/jobs")["jobs"]
    assert [row["state"] for row in rows] == ["done"] * 3
    assert server.end() == 0
    assert not [line for line in server.lines if "bug" in line or "Traceback" in line]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_runs_at_the_end_goes_on_after_the_next_start(
    lab: Lab, start: Callable[[], Process], number: signal.Signals
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        lab.origin.commit({"manifests/one.yaml": HANGS.format(address)}, "It hangs")
        server = start()
        begun = int(server.said(r"job (\d+), run models/manifests/one.yaml: running")[1])
        silent.accept()[0].close()  # It asks, and so has really begun.
        silent.accept()
        assert server.end(number) == (0 if number == signal.SIGTERM else -number)
        again = start()
        again.said(r"jobs? goe?s? on that had not ended" if number == signal.SIGKILL else r"watches")
        again.said(rf"job {begun}, run models/manifests/one.yaml: running")
        job = again.get(f"/api/v1/jobs/{begun}")["row"]
        assert job["attempt"] == 2
        assert again.end() == 0


def test_a_running_job_is_cancelled(lab: Lab, start: Callable[[], Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        lab.origin.commit({"manifests/one.yaml": HANGS.format(address)}, "It hangs")
        server = start()
        begun = int(server.said(r"job (\d+), run models/manifests/one.yaml: running")[1])
        server.post(f"/api/v1/jobs/{begun}/cancel")
        server.said(rf"job {begun}, .*: cancelled: cancelled")
        assert server.end(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_one_clear_error(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        command = [sys.executable, "-m", "pipeline", "serve", str(lab.config), "--port", port]
        ended = subprocess.run(command, env=lab.environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: 127.0.0.1:{port} cannot be listened at: Address already in use")


def test_settings_are_checked_without_a_server(lab: Lab) -> None:
    command = [sys.executable, "-m", "pipeline", "serve", "--check"]
    ended = subprocess.run(command, env=lab.environ, capture_output=True, text=True, check=True, cwd=lab.folder)
    assert ended.stdout.startswith("watches models: ")
    assert not (lab.folder / "home").exists()
    ended = subprocess.run(command, env=lab.environ, capture_output=True, text=True, check=False, cwd=lab.folder.parent)
    assert ended.returncode == 2 and "there is no serve.yaml here" in ended.stderr


def test_a_folder_that_is_not_mounted_keeps_no_other_repository_waiting(lab: Lab, start: Callable[[], Process]) -> None:
    lab.config.write_text(lab.config.read_text().replace("{models:", "{away: {url: away}, gone: {url: gone}, models:"))
    running = start()
    wanted = {"repository away is gone: there is no repository at", "run models/manifests/one.yaml: done"}
    while not all(any(text in line for line in running.lines) for text in wanted):
        running.said("|".join(wanted))
    command = [sys.executable, "-m", "pipeline", "serve", str(lab.config), "--check"]
    ended = subprocess.run(command, env=lab.environ, capture_output=True, text=True, check=False, cwd=lab.folder)
    assert ended.returncode == 2
    for name in ("away", "gone"):
        assert f"repository '{name}': there is no folder {lab.folder / name}" in ended.stderr
