"""Listening sockets and what answers on them: binding, who holds a port, and a health request of a few milliseconds."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from pipeline.errors import RolloutError

_BACKLOG = 1024


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens on host:port. Raises RolloutError, with the holder's process where /proc tells it."""
    family, _, _, _, address = _resolve(host, port)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _refusal(host, port, error) from error
    return listener


def _resolve(host: str, port: int) -> tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]  # type: ignore[return-value]
    except socket.gaierror as error:
        raise RolloutError(
            f"cannot listen on {host}: {error.strerror}", remedy="give an address of this machine"
        ) from error


def _refusal(host: str, port: int, error: OSError) -> RolloutError:
    if error.errno == errno.EADDRINUSE:
        by = f" by {holder}" if (holder := port_holder(port)) else ""
        return RolloutError(
            f"port {port} on {host} is taken{by}", remedy="stop that, or give the target another `port`"
        )
    if error.errno == errno.EACCES:
        return RolloutError(f"only root may listen on port {port}", remedy="give the target a `port` from 1024 on")
    return RolloutError(f"cannot listen on {host}:{port}: {error.strerror}", remedy="give an address of this machine")


def port_holder(port: int) -> str:
    """`process 123 (its command)` of whoever listens on a TCP port, or `the service quickstart-here`, process and all,
    for one of ours; empty where /proc does not tell this user.
    """
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for process in Path("/proc").iterdir():
        if not (inodes and process.name.isdecimal()):
            continue
        try:
            if any(os.readlink(fd.path) in inodes for fd in os.scandir(process / "fd")):  # noqa: PTH115
                return _described(process)
        except OSError:
            continue
    return ""


def _described(process: Path) -> str:
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    if any(word.endswith("/targets/_supervise.py") for word in words):
        from urllib.parse import unquote

        # The supervisor's working folder: STATE/services/SERVICE/start-...
        folder = (process / "cwd").readlink()
        return f"the service {unquote(folder.parent.name)} of {folder.parents[2]}, process {process.name}"
    return f"process {process.name} ({' '.join(words).strip()[:120]})"


def _listening(port: int) -> list[str]:
    """The inodes of sockets that listen on `port` (proc_net_tcp(5); state 0A is LISTEN)."""
    found = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        found += [row[9] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
    return found


def health(host: str, port: int, path: str, timeout: float) -> str:
    """Asks `GET path`; empty when the answer is 200 to 399 within `timeout` seconds, else what is wrong."""
    local = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    name = f"[{local}]" if ":" in local else local
    question = f"GET {path} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: pipeline\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((local, port), timeout) as connection:
            connection.sendall(question.encode())
            answer = b""
            while b"\r\n" not in answer and (piece := connection.recv(1024)) and len(answer) < 4096:
                answer += piece
    except TimeoutError:
        return f"GET {path} was not answered within {timeout:g} s"
    except OSError as error:
        return f"GET {path}: {(error.strerror or str(error)).lower()}"
    words = answer.split(maxsplit=2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        return f"GET {path} was not answered in HTTP"
    return "" if 200 <= int(words[1]) < 400 else f"GET {path} was answered with {int(words[1])}"
