"""Which engine is used: the order of places, what is asked for, and what is said when none answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.ask import NoAnswer, ask
from pipeline.engine.find import candidates, find, why_none
from pipeline.errors import OutOfReach, UsageError

DOCKER = {"Version": "28.0", "Os": "linux", "Arch": "amd64", "Components": [{"Name": "Engine"}]}
PODMAN = {"Version": "4.3.1", "Os": "linux", "Arch": "arm64", "Components": [{"Name": "Podman Engine"}]}


@contextmanager
def listening(path: Path, answer: bytes) -> Iterator[None]:
    """A socket that gives one answer to each who asks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


def http(value: Any, status: int = 200) -> bytes:
    return f"HTTP/1.0 {status} x\r\n\r\n{json.dumps(value)}".encode()


def places(environ: dict[str, str], choice: Any = "auto") -> list[str]:
    return [one.address for one in candidates(environ, choice, Path("/"))]


def test_docker_comes_before_podman() -> None:
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/nowhere"}
    assert places(environ) == [
        "unix:///var/run/docker.sock",
        "unix:///run/user/7/docker.sock",
        "unix:///run/user/7/podman/podman.sock",
        "unix:///run/podman/podman.sock",
    ]
    assert places(environ, "podman") == places(environ)[2:]
    assert places({**environ, "DOCKER_HOST": "tcp://a:2375"}) == ["tcp://a:2375"]


def test_a_docker_context_is_followed(tmp_path: Path) -> None:
    meta = tmp_path / "contexts/meta" / sha256(b"far").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "tcp://far:2375"}}}))
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert places({"DOCKER_CONFIG": str(tmp_path)}) == ["tcp://far:2375"]
    assert places({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "default"})[0] == "unix:///var/run/docker.sock"
    with pytest.raises(UsageError, match="nowhere"):
        places({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "nowhere"})


def test_the_first_that_answers_is_taken(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert find(environ, root=tmp_path) is None
    with listening(tmp_path / "run/podman/podman.sock", http(PODMAN)):
        found = find(environ, root=tmp_path)
        assert found and (found.name, found.version, found.platform) == ("Podman", "4.3.1", "linux/arm64")
        with listening(tmp_path / "var/run/docker.sock", http(DOCKER)):
            found = find(environ, root=tmp_path)
            assert found and (found.name, found.version) == ("Docker", "28.0")
        assert find(environ, "none", tmp_path) is None


def test_what_was_asked_for_and_is_silent_is_an_error(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    with pytest.raises(OutOfReach, match="install Docker"):
        find(environ, "docker", tmp_path)
    with pytest.raises(OutOfReach, match=r"DOCKER_HOST unix:///nowhere\.sock: no such file"):
        find({**environ, "DOCKER_HOST": "unix:///nowhere.sock"}, root=tmp_path)
    with pytest.raises(UsageError, match="rkt"):
        find(environ, "rkt", tmp_path)  # type: ignore[arg-type]


def test_work_without_an_engine_says_what_to_do(tmp_path: Path) -> None:
    none = why_none({}, "none")
    assert "engine: none" in str(none) and isinstance(none, UsageError)
    assert "install Docker" in str(why_none({"HOME": str(tmp_path)}, root=tmp_path))


@pytest.mark.parametrize("answer", [b"", b"hello", b"HTTP/1.0 200 OK\r\n\r\n{", b"HTTP/1.0"])
def test_what_is_no_engine_gives_no_answer(tmp_path: Path, answer: bytes) -> None:
    with listening(tmp_path / "sock", answer), pytest.raises(NoAnswer):
        ask(f"unix://{tmp_path / 'sock'}", "/version")


def test_a_chunked_answer_is_put_together(tmp_path: Path) -> None:
    answer = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n2\r\n1}\r\n0\r\n\r\n'
    with listening(tmp_path / "sock", answer):
        assert ask(f"unix://{tmp_path / 'sock'}", "/x") == (200, {"a": 1})
