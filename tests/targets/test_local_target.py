"""The target `local` with real services: they start, answer, are replaced, stop, and tell why they failed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conformance import ServingConformance

from pipeline.errors import RolloutError
from pipeline.targets import _ports
from pipeline.targets._runtime import Process
from pipeline.targets._sandbox import SandboxError
from pipeline.targets._service import NamespaceRuntime
from pipeline.targets.local import LocalTarget
from pipeline.targets.local import target as local_target
from pipeline.targets.model import Release

if TYPE_CHECKING:
    from conftest import Shelf

PYTHON = str(Path(sys.executable).resolve())


@pytest.fixture
def target(image: Shelf, tmp_path: Path) -> Iterator[LocalTarget]:
    made = local_target(
        "tests/here", {"engine": "none", "health": {"timeout": 10}}, state=tmp_path / "state", roots=image.roots
    )
    yield made
    made.stop()


def get(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return json.load(answer)


def status(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "state/services/tests%2Fhere/status.json").read_text())


class TestNamespaces(ServingConformance):
    @pytest.fixture
    def releases(self, image: Shelf, port: int) -> tuple[Release, Release]:
        return image.release(port, env={"WHO": "first"}), image.release(port, env={"WHO": "second"})


def test_what_is_put_back_runs_where_it_ran(image: Shelf, port: int, tmp_path: Path, until: Any) -> None:
    """The manifest now asks for an engine that cannot run it; the release before asked for none."""
    environ = {"DOCKER_HOST": f"unix://{tmp_path}/no.sock", "CONTAINER_HOST": f"unix://{tmp_path}/no.sock"}
    spec = {"engine": "podman", "health": {"timeout": 10}}
    target = local_target("tests/here", spec, state=tmp_path / "state", roots=image.roots, environ=environ)
    before = image.release(port, env={"WHO": "before"})
    target.rollback(replace(before, settings={**before.settings, "engine": "none"}))
    try:
        assert until(lambda: target.observe().state == "running")
    finally:
        target.stop()


def live(target: LocalTarget, release: Release, until: Any) -> str:
    target.rollout(release)
    address: str = until(lambda: (now := target.observe()).state == "running" and now.address)
    return address


def test_the_service_answers_on_the_port_and_nowhere_else(
    target: LocalTarget, image: Shelf, port: int, until: Any
) -> None:
    address = live(target, image.release(port, env={"WHO": "me"}, User="1000"), until)
    assert get(address) == {"env": "me", "argv": ["--port", "5001"]}


def test_an_image_that_has_a_layer_twice_is_served(target: LocalTarget, image: Shelf, port: int, until: Any) -> None:
    """As images of docker build do that have an empty layer more than once."""
    release = image.release(port, env={"WHO": "me"})
    address = live(target, replace(release, layers=(*release.layers, *release.layers)), until)
    assert get(address)["env"] == "me"


def test_a_server_that_takes_no_socket_gets_the_port_in_its_command(
    target: LocalTarget, image: Shelf, port: int, until: Any
) -> None:
    argv = [PYTHON, "-I", "-S", "/opt/server.py", "--port", "5001", "--bind=0.0.0.0:5001", "--other", "50010"]
    release = image.release(port, argv=argv)
    assert get(live(target, release, until))["argv"] == [
        "--port",
        str(port),
        f"--bind=0.0.0.0:{port}",
        "--other",
        "50010",
    ]
    live(target, release, until)


def test_no_caller_is_refused_while_a_release_is_replaced(
    target: LocalTarget, image: Shelf, port: int, until: Any
) -> None:
    address = live(target, image.release(port, env={"WHO": "first"}), until)
    answers: list[str] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            answers.append(get(address)["env"])

    caller = threading.Thread(target=call)
    caller.start()
    try:
        until(lambda: answers)
        target.rollout(image.release(port, env={"WHO": "second"}))
        until(lambda: "second" in answers or not caller.is_alive())
    finally:
        done.set()
        caller.join()
    assert answers[0] == "first"
    assert answers[-1] == "second"


def test_a_taken_port_is_found_before_anything_is_touched(
    target: LocalTarget, image: Shelf, port: int, until: Any
) -> None:
    live(target, image.release(port), until)
    with _ports.bind("127.0.0.1", 0) as holder:
        taken = holder.getsockname()[1]
        with pytest.raises(RolloutError, match=rf"port {taken} on 127.0.0.1 is taken by process {os.getpid()} "):
            target.rollout(image.release(taken))
    assert target.observe().state == "running"


def test_a_port_that_a_service_of_ours_has_names_the_service(
    target: LocalTarget, image: Shelf, port: int, tmp_path: Path
) -> None:
    target.rollout(image.release(port))
    other = local_target("tests/there", {"engine": "none"}, state=tmp_path / "state", roots=image.roots)
    with pytest.raises(RolloutError, match=rf"is taken by the service tests/here of {tmp_path}/state, process \d+"):
        other.rollout(image.release(port))


def test_a_status_that_a_crash_left_empty_is_no_service(
    target: LocalTarget, image: Shelf, port: int, until: Any, tmp_path: Path
) -> None:
    target.rollout(image.release(port))
    target.stop()
    (tmp_path / "state/services/tests%2Fhere/status.json").write_text("")
    assert target.observe().state == "absent"
    live(target, image.release(port), until)


def test_a_service_that_dies_says_how(target: LocalTarget, image: Shelf, port: int, until: Any) -> None:
    target.rollout(image.release(port, env={"FAIL": "3"}))
    observed = until(lambda: (now := target.observe()).state != "starting" and now)
    assert (observed.state, observed.detail) == ("failed", "it ended with exit code 3")
    assert set(target.logs()) == {"the end is near"}


def test_a_service_is_started_again_as_its_policy_says(
    target: LocalTarget, image: Shelf, tmp_path: Path, port: int, until: Any
) -> None:
    counts = "echo x >> /tmp/starts; test $(wc -l < /tmp/starts) -gt 2 || exit 4; while :; do :; done"
    counts = counts.replace(
        "$(wc -l < /tmp/starts)", "$(n=0; while read -r _; do n=$((n+1)); done < /tmp/starts; echo $n)"
    )
    release = image.release(port, argv=["sh", "-c", counts])
    target.rollout(release)
    assert until(lambda: status(tmp_path).get("restarts") == 2)
    observed = until(lambda: "2 times" in (now := target.observe()).detail and now)
    assert observed.state == "failed"
    assert observed.detail.startswith("it ended with exit code 4, and was started again 2 times; now ")
    assert target.stop().state == "stopped"
    for policy, code in (("no", 4), (False, 4), ("on-failure", 0)):
        once = image.release(port, argv=["sh", "-c", f"exit {code}"])
        target.rollout(replace(once, settings={**once.settings, "restart": policy}))
        assert until(lambda: "ended" in status(tmp_path)), policy
        assert "restarts" not in status(tmp_path)


def test_stop_ends_a_service_that_waits_to_be_started_again(
    target: LocalTarget, image: Shelf, port: int, until: Any
) -> None:
    target.rollout(image.release(port, env={"FAIL": "3"}))
    until(lambda: target.observe().state == "failed")
    assert target.stop().state == "stopped"
    _ports.bind("127.0.0.1", port).close()


def test_a_service_that_answers_badly_is_not_running(target: LocalTarget, image: Shelf, port: int, until: Any) -> None:
    target.rollout(image.release(port, env={"STATUS": "500"}))
    observed = until(lambda: "answered" in (now := target.observe()).detail and now)
    assert (observed.state, observed.detail) == ("starting", "GET / was answered with 500")


def test_a_command_that_cannot_start_is_an_error_and_leaves_no_port(
    target: LocalTarget, image: Shelf, port: int
) -> None:
    with pytest.raises(SandboxError, match="cannot be run"):
        target.rollout(image.release(port, argv=["/no/such/program"]))
    assert target.observe().state == "absent"
    _ports.bind("127.0.0.1", port).close()


def test_a_stubborn_service_is_killed_after_its_grace(image: Shelf, tmp_path: Path, port: int, until: Any) -> None:
    runtime = NamespaceRuntime(tmp_path / "state", image.roots.layer, grace=0.2)
    target = LocalTarget(runtime, {}, probe=_ports.health)
    live(target, image.release(port, env={"STUBBORN": "1"}), until)
    assert target.stop().state == "stopped"
    _ports.bind("127.0.0.1", port).close()


def test_when_the_supervisor_is_killed_nothing_of_the_service_is_left(
    target: LocalTarget, image: Shelf, tmp_path: Path, port: int, until: Any
) -> None:
    live(target, image.release(port), until)
    os.kill(status(tmp_path)["pid"], signal.SIGKILL)
    until(lambda: target.observe().state == "failed")
    assert "ended without a word" in target.observe().detail
    until(lambda: not _ports.port_holder(port))
    live(target, image.release(port), until)


def test_stopping_leaves_only_the_log(target: LocalTarget, image: Shelf, tmp_path: Path, port: int, until: Any) -> None:
    live(target, image.release(port), until)
    folder = Path(status(tmp_path)["folder"])
    assert (folder / "run").exists()
    target.stop()
    assert not (folder / "run").exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert next(target.logs()) == "ready"


def test_another_process_with_the_same_number_is_not_the_service(
    target: LocalTarget, image: Shelf, tmp_path: Path, port: int, until: Any
) -> None:
    live(target, image.release(port), until)
    file = tmp_path / "state/services/tests%2Fhere/status.json"
    true = file.read_text()
    file.write_text(json.dumps({**json.loads(true), "pid": os.getpid()}))
    assert target.observe().state == "failed"
    target.stop()
    file.write_text(true)
    assert target.observe().state == "running"


def test_a_log_is_bounded_and_reads_on_across_its_rotation(image: Shelf, tmp_path: Path, port: int, until: Any) -> None:
    runtime = NamespaceRuntime(tmp_path / "state", image.roots.layer, log_bytes=20_000)
    argv = ["sh", "-c", "i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo line $i; done"]
    once = image.release(port, argv=argv)
    runtime.start(replace(once, settings={**once.settings, "restart": False}), "127.0.0.1")
    lines = list(runtime.logs(follow=True))
    until(lambda: not (runtime.inspect() or pytest.fail()).alive)
    assert lines[-1] == "line 5000"
    folder = Path(json.loads((tmp_path / "state/status.json").read_text())["folder"])
    assert sum(file.stat().st_size for file in folder.glob("log*")) <= 40_000
    assert list(runtime.logs(lines=2)) == ["line 4999", "line 5000"]


class FixedRuntime(NamespaceRuntime):
    """Says of its process what the test wants."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def inspect(self) -> Process:
        return self.process


@pytest.mark.parametrize(
    ("fields", "wrong", "state", "detail"),
    [
        ({"alive": True}, "", "running", ""),
        ({"alive": True}, "no answer", "starting", "no answer"),
        ({"alive": True, "started": 100.0}, "no answer", "failed", "no answer"),
        ({"alive": False, "exit_code": 3}, "", "failed", "it ended with exit code 3"),
        ({"alive": False, "exit_code": 137}, "", "failed", "it was killed by signal 9"),
        ({"alive": False, "exit_code": 0, "stopped": True}, "", "stopped", ""),
        ({"alive": False}, "", "failed", "it ended without a word: killed, or the machine was restarted"),
    ],
)
def test_what_is_observed(fields: dict[str, Any], wrong: str, state: str, detail: str) -> None:
    process = Process(**{"revision": "r", "image": "i", "host": "127.0.0.1", "port": 80, "started": 190.0, **fields})
    target = LocalTarget(FixedRuntime(process), {}, probe=lambda *_: wrong, clock=lambda: 200.0)
    observed = target.observe()
    assert (observed.state, observed.detail) == (state, detail)
    assert (observed.revision, observed.address) == ("r", "http://127.0.0.1:80")


_STARTER = """
import pickle, sys, time
from pathlib import Path
from pipeline.store.roots import Roots
from pipeline.targets._service import NamespaceRuntime

state, layers, release = pickle.load(sys.stdin.buffer)
runtime = NamespaceRuntime(state, lambda layer: layers[layer.diff_id], detached=False)
runtime.start(release, "127.0.0.1")
print("started", flush=True)
time.sleep(600)
"""


def test_what_is_not_detached_ends_with_the_process_that_started_it(
    image: Shelf, port: int, tmp_path: Path, until: Any
) -> None:
    state = tmp_path / "state"
    layers = {layer.diff_id: image.roots.layer(layer) for layer in image.layers}
    with subprocess.Popen([sys.executable, "-c", _STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdin is not None
        assert starter.stdout is not None
        pickle.dump((state, layers, image.release(port)), starter.stdin)
        starter.stdin.close()
        assert starter.stdout.readline() == b"started\n"
        watching = NamespaceRuntime(state, image.roots.layer)
        assert (process := watching.inspect()) and process.alive
        starter.kill()
    until(lambda: not watching.inspect().alive)
    assert watching.inspect().stopped
