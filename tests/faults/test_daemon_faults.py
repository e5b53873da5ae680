"""An engine that refuses, closes, stalls, answers 500 or dies: a clear error in bounded time, tried again where it may
help, and the next run ends well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from docker_server import RealDocker, running
from publishing import PLUGIN, Project
from small_image import small_image

from pipeline.engine.find import about, connect
from pipeline.engine.pulse import Pulse
from pipeline.errors import OutOfReach

Count = Callable[[str, int], None]
FIGURE = "daemon faults"
MANIFEST = """\
version: 1
name: shop
bases:
  slim: {{plain: [{{from: base/, to: /usr/share/shop/}}]}}
  given: {{archive: image.tar}}
layers:
  made: {{run: {{commands: ["{command}"], network: none}}}}
retry: {{attempts: 2, wait: 10ms, max_wait: 20ms}}
timeouts: {{connect: 1s, read: 500ms, steps: {{layer: {limit}}}}}
images:
  web: {{base: given, layers: [made], command: [/bin/sh], tags: [v1]}}
"""


class Socket:
    """A way to a daemon that breaks: `fault` gets each connection once its request has come, with what it asks."""

    def __init__(self, path: Path, upstream: str) -> None:
        self.path, self._upstream = path, upstream.removeprefix("unix://")
        self.fault: Callable[[socket.socket, str], bool] | None = None
        self.seen: list[str] = []
        self.over = threading.Event()

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    def serve(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError), one, socket.socket(socket.AF_UNIX) as other:
            first = one.recv(1 << 16)
            asked = first.split(b"\r\n")[0].decode()
            self.seen.append(asked)
            if self.fault and self.fault(one, asked):
                return
            other.connect(self._upstream)
            other.sendall(first)
            back = threading.Thread(target=self._pass, args=(other, one), daemon=True)
            back.start()
            self._pass(one, other, asked)
            back.join()

    def _pass(self, source: socket.socket, target: socket.socket, _first: str = "") -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                requests = [line for line in data.split(b"\r\n") if line.endswith(b" HTTP/1.1")]
                for line in requests:
                    self.seen.append(line.decode(errors="replace"))
                    if self.fault and self.fault(source, self.seen[-1]):
                        source.close()
                        target.close()
                        return
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def docker() -> Iterator[RealDocker]:
    with running() as server:
        yield server


@pytest.fixture
def way(docker: RealDocker) -> Iterator[Socket]:
    """A socket before the daemon's own."""
    path = docker.folder / f"way-{len(os.listdir(docker.folder))}"
    made = Socket(path, docker.address)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(16)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    one, _ = server.accept()
                    threading.Thread(target=made.serve, args=(one,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield made
        made.over.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def shop(tmp_path: Path, way: Socket, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    monkeypatch.syspath_prepend(str(PLUGIN))

    def make(command: str = "echo hello > /made", limit: str = "30s") -> Project:
        made = Project(tmp_path, "none")
        made.environ |= {"DOCKER_HOST": way.address}
        (tmp_path / "project/image.tar").write_bytes(small_image())
        made.write("project/pipeline.yaml", MANIFEST.format(command=command, limit=limit))
        return made

    return make


def containers(docker: RealDocker) -> list[str]:
    api = connect(about(docker.address)).api  # type: ignore[attr-defined]
    return [one["Id"] for one in api.containers(all=True)]


def closes(one: socket.socket, _asked: str) -> bool:
    one.close()
    return True


def answers_500(one: socket.socket, _asked: str) -> bool:
    data = b'{"message":"no space left on device"}'
    start = f"HTTP/1.1 500 Error\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    one.sendall(start.encode() + data)
    return True


def garbage(one: socket.socket, _asked: str) -> bool:
    one.sendall(b"\x00\x01nothing of HTTP\r\n\r\n")
    return True


WHERE = ("GET /version", "/images/load", "/containers/create", "/attach", "/start", "/wait", "/json", "/changes")


ANSWERS = (closes, answers_500, garbage)
PAIRS = [(fault, where) for fault in ANSWERS for where in WHERE]
SHORT = [(ANSWERS[number % len(ANSWERS)], where) for number, where in enumerate(WHERE)]


@pytest.mark.parametrize(("fault", "where"), SHORT)
def test_an_answer_of_the_daemon_that_is_broken(
    way: Socket, docker: RealDocker, shop: Callable[..., Project], figure: Count, fault: Callable[..., bool], where: str
) -> None:
    survives(way, docker, shop, fault, where)
    figure(FIGURE, 1)


@pytest.mark.long
@pytest.mark.parametrize(("fault", "where"), PAIRS)
def test_each_answer_of_the_daemon_that_is_broken(
    way: Socket, docker: RealDocker, shop: Callable[..., Project], figure: Count, fault: Callable[..., bool], where: str
) -> None:
    survives(way, docker, shop, fault, where)
    figure(FIGURE, 1)


def survives(
    way: Socket, docker: RealDocker, shop: Callable[..., Project], fault: Callable[..., bool], where: str
) -> None:
    project, once = shop(), iter([True])
    way.fault = lambda one, asked: where in asked and next(once, False) and fault(one, asked)
    code, said = project.run()
    assert code in (0, 3, 4), said
    assert "Traceback" not in said
    assert code == 0 or "engine" in said or "no space left" in said, said
    way.fault = None
    code, said = project.run()
    assert code == 0, said
    assert containers(docker) == []


def test_a_step_that_takes_too_long_ends_with_its_container(
    docker: RealDocker, shop: Callable[..., Project], figure: Count
) -> None:
    code, said = shop("sleep 600", "2s").run()
    assert code == 3
    assert "layer made did not end within 2 s and was ended" in said
    assert containers(docker) == []
    figure(FIGURE, 1)


def test_a_daemon_that_stalls_is_left_in_time(
    way: Socket, docker: RealDocker, shop: Callable[..., Project], figure: Count
) -> None:
    project = shop(limit="2s")

    def stalls(_one: socket.socket, asked: str) -> bool:
        return "/start" in asked and way.over.wait(30)

    way.fault = stalls
    code, said = project.run()
    assert code == 3
    assert "layer made did not end within 2 s" in said
    way.over.set()
    way.fault = None
    code, said = shop(limit="60s").run()
    assert code == 0, said
    assert containers(docker) == []
    figure(FIGURE, 1)


def while_it_runs(project: Project, act: Callable[[], None]) -> tuple[int, str]:
    """How a run of a project ends when something happens while its command runs."""
    ended: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: ended.append(project.run("--verbose")), daemon=True)
    thread.start()
    log = project.folder / "home/state/logs/shop/layer-made.log"
    while "begun" not in (log.read_text() if log.exists() else ""):
        thread.join(0.05)
        assert thread.is_alive(), ended
    act()
    thread.join(60)
    return ended[0]


def test_a_daemon_that_dies_in_the_middle_of_a_command(shop: Callable[..., Project], figure: Count) -> None:
    with running() as other:
        project = shop("echo begun; sleep 600")
        project.environ |= {"DOCKER_HOST": other.address}
        code, said = while_it_runs(project, other.kill)
    assert code == 4
    assert "does not answer" in said
    assert "trying again" in said
    figure(FIGURE, 1)


def test_a_container_that_is_killed(docker: RealDocker, shop: Callable[..., Project], figure: Count) -> None:
    api = connect(about(docker.address)).api  # type: ignore[attr-defined]
    code, said = while_it_runs(shop("echo begun; sleep 600"), lambda: api.kill(containers(docker)[0]))
    assert code == 3
    assert "made: the command was killed (exit code 137)" in said
    assert containers(docker) == []
    figure(FIGURE, 1)


def test_nobody_listens(shop: Callable[..., Project], tmp_path: Path, figure: Count) -> None:
    project = shop()
    project.environ |= {"DOCKER_HOST": f"unix://{tmp_path}/none"}
    code, said = project.run()
    assert code == 4
    assert "no container engine is in reach" in said
    figure(FIGURE, 1)


def test_a_command_that_says_nothing_notices_an_engine_that_is_silent(way: Socket, docker: RealDocker) -> None:
    """Its pulse is felt on connections of their own."""
    engine = connect(about(docker.address))
    engine.load([small_image()])
    now = [0.0]
    well = Pulse(way.address, patience=60.0, clock=lambda: now[0], every=1.0)
    silent = Pulse(way.address, patience=0.2, clock=lambda: now[0], every=1.0)
    assert not well.gone()
    now[0] = 2.0
    assert not well.gone(), "it answers"
    assert way.seen[-1].startswith("GET /version")
    way.fault = lambda _one, _asked: way.over.wait(30)
    for now[0] in (4.0, 6.0):
        lost = silent.gone()
    assert lost
    assert isinstance(silent.error(), OutOfReach)
