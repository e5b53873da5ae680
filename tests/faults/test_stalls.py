"""A server that accepts and says nothing, as every index: a clear error in bounded time, and nothing left behind."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from publishing import PLUGIN, Project

from pipeline import limit, programs
from pipeline.errors import OutOfReach, TimedOut
from pipeline.http.connect import connected
from pipeline.indexes.debian_apt import AptSettings
from pipeline.indexes.debian_http import Fetcher
from pipeline.manifest.model import Timeouts

Count = Callable[[str, int], None]
FIGURE = "stalled indexes, programs and steps"
MANIFEST = """\
version: 1
name: shop
bases:
  slim: {{{base}}}
layers:
  science: {{{layer}}}
retry: {{attempts: 2, wait: 10ms, max_wait: 20ms}}
timeouts: {timeouts}
images:
  web: {{base: slim, layers: [science]}}
"""
QUICK = "{connect: 1s, read: 1s}"
LAYERS = {
    "pip": "pip: {{packages: [alpha], index: 'http://{address}/simple'}}",
    "conda": "conda: {{channels: ['http://{address}/channel'], dependencies: [alpha], bytecode: false}}",
    "debian": "pip: {{packages: [alpha], find_links: wheels}}",
}
SNAKE = "snake: [{{from: base/, to: /usr/share/shop/}}]"
BASES = {"debian": "debian: {{suite: bookworm, packages: [base-files], mirror: 'http://{address}/debian'}}"}


@pytest.fixture
def silent() -> Iterator[str]:
    """Where somebody accepts, and says nothing."""
    kept = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept())

        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
    for connection, _ in kept:
        connection.close()


@pytest.fixture
def shop(tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Project]:
    for folder in (PLUGIN, Path(__file__).with_name("plugin")):
        monkeypatch.syspath_prepend(str(folder))

    def make(layer: str, timeouts: str = QUICK) -> Project:
        made = Project(tmp_path, silent)
        base = BASES.get(layer, SNAKE).format(address=silent)
        text = MANIFEST.format(base=base, layer=LAYERS[layer].format(address=silent), timeouts=timeouts)
        made.write("project/pipeline.yaml", text)
        made.environ |= {"UV_CACHE_DIR": str(tmp_path / "uv"), "no_proxy": "127.0.0.1"}
        for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "PIP_INDEX_URL"):
            made.environ.pop(name, None)
        return made

    return make


@pytest.mark.parametrize("layer", LAYERS)
def test_an_index_that_says_nothing(
    shop: Callable[[str, str], Project], silent: str, figure: Count, layer: str
) -> None:
    project = shop(layer, QUICK)
    code, said = project.run()
    assert code == 4, said
    assert silent in said
    assert "trying again" in said
    assert not (project.folder / "project/pipeline.lock").exists()
    code, out, _ = project("runs", "show")
    assert "attempt 1" in out, "each try is kept"
    figure(FIGURE, 1)


@pytest.mark.parametrize("layer", ["pip", "conda"])
def test_a_step_whose_time_is_over_ends_what_it_waits_for(
    shop: Callable[[str, str], Project], silent: str, figure: Count, layer: str
) -> None:
    code, said = shop(layer, "{read: 1h, steps: {lock: 3s}}").run()
    assert code == 3, said
    assert "lock layers.science did not end within 3 s and was ended" in said
    assert not processes(silent)
    figure(FIGURE, 1)


def processes(word: str) -> list[str]:
    """Programs of this machine that were told of `word`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found += [text] if word in text and "uv" in text else []
    return found


def test_ctrl_c_during_a_stall_ends_at_once(shop: Callable[[str, str], Project], figure: Count, tmp_path: Path) -> None:
    project = shop("pip", "{read: 1h}")
    environ = {**project.environ, "PYTHONPATH": f"{PLUGIN}:{Path(__file__).with_name('plugin')}"}
    command = [sys.executable, "-m", "pipeline", "run", "--verbose", str(project.manifest)]
    with subprocess.Popen(
        command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        assert running.stdout
        assert any("resolving layers.science" in line for line in running.stdout)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=300)
    assert running.returncode == 130
    figure(FIGURE, 1)


def test_a_mirror_that_drips_is_as_good_as_silent(figure: Count) -> None:
    """Bytes come all the time, and never enough of them."""
    over = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not over.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        fetcher = Fetcher(AptSettings.read(Path("/nowhere"), {}), {}, Timeouts(read=0.3))
        with pytest.raises(OutOfReach, match="no answer in time") as caught:
            fetcher.read(f"http://127.0.0.1:{server.getsockname()[1]}/Release")
        over.set()
    assert caught.value.transient
    figure(FIGURE, 1)


def test_a_name_that_nobody_looks_up(figure: Count) -> None:
    over = threading.Event()
    with pytest.raises(OSError, match="not looked up within"):
        connected(b"registry.example.com", 443, 0.05, lambda *_: over.wait(30))
    over.set()
    figure(FIGURE, 1)


def test_a_step_that_nothing_ends_is_left_behind(figure: Count) -> None:
    over = threading.Event()
    with pytest.raises(TimedOut, match="layer x did not end within"):
        limit.within("layer x", 0.05, lambda: over.wait(30), grace=0.05)
    assert limit.left_behind()
    over.set()
    figure(FIGURE, 1)


def test_a_program_that_does_nothing_is_ended(figure: Count) -> None:
    with pytest.raises(programs.Stalled):
        programs.run(["sleep", "600"], patience=0.1)
    with pytest.raises(TimedOut):
        limit.within("layer x", 0.1, lambda: programs.run(["sleep", "600"]))
    assert programs.run(["cat"], input="hello").stdout == "hello"
    figure(FIGURE, 2)
