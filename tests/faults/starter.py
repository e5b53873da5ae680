"""Runs the command line and kills it by SIGKILL at a chosen point; what the fault harness starts.

A point is just before or just after an act that lasts: a file opened for writing, renamed, linked or removed, a folder
made, a commit of SQLite, a request that changes something in a registry, a program started. Python's audit events tell
of what begins; what has no event, and what has ended, is told by wrappers, in this process only. FAULTS is a JSON
object: `root` (points are told of below it), `log` (a file that gets a line for each point), `number` or `name` with
`nth` (where to die), `group` (whether all that it started dies with it), `stop` (the beginning of a name: where to
stop, as by SIGSTOP).
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pipeline

_HOME = str(Path(pipeline.__file__).parent) + "/"
_FILES = {"os.rename", "os.link", "os.symlink", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
_DONE = ("rename", "replace", "link", "symlink", "mkdir")
_READS = re.compile(r"\s*(SELECT|PRAGMA|EXPLAIN|BEGIN|ROLLBACK)", re.IGNORECASE)
_ENGINE = re.compile(r"/(containers|images)/(?:[0-9a-f]{12,}(?=/|\?|$))?/?([a-z]*)")
_REQUEST = re.compile(rb"(POST|PUT|PATCH|DELETE) (\S+) HTTP/1.1\r\n")


class Points:
    """Counts the points that this process passes, and ends it at one of them."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._lock = threading.RLock()
        self._seen: dict[str, int] = {}
        self._count = 0
        self._pid = os.getpid()
        self._log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC) if spec["log"] else -1

    def hit(self, what: str, detail: str = "") -> None:
        if os.getpid() != self._pid:
            return
        name = f"{what} @ {_site(sys._getframe(1))}"
        with self._lock:
            self._count += 1
            self._seen[name] = self._seen.get(name, 0) + 1
            if self._log >= 0:
                os.write(self._log, f"{name}\t{detail}\n".encode())
            at = self._spec.get("number") == self._count
            if at or (self._spec.get("name") == name and self._spec.get("nth", 1) == self._seen[name]):
                (os.killpg if self._spec.get("group") else os.kill)(os.getpid(), signal.SIGKILL)
            if (begin := self._spec.get("stop")) and name.startswith(begin):
                self._spec["stop"] = ""
                os.kill(os.getpid(), signal.SIGSTOP)

    def audit(self, event: str, values: tuple[Any, ...]) -> None:
        if event in _FILES:
            self._file(f"before {event}", values[0])
        elif event == "open" and isinstance(values[2], int) and values[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._file("before open", values[0])
        elif event == "subprocess.Popen":
            self.hit("before subprocess")

    def _file(self, what: str, path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            text = os.fsdecode(path)
            if text != self._spec["log"] and (not text.startswith("/") or text.startswith(self._spec["root"])):
                self.hit(what, text)

    def watch(self) -> None:
        sys.addaudithook(self.audit)
        for name in _DONE:
            setattr(os, name, self._wrapped(getattr(os, name), f"after os.{name}"))
        for name in ("send", "sendall"):
            setattr(socket.socket, name, self._sender(getattr(socket.socket, name)))
        subprocess.Popen.__init__ = self._wrapped(subprocess.Popen.__init__, "after subprocess")  # type: ignore
        sqlite3.connect = functools.partial(sqlite3.connect, factory=_told(self))  # type: ignore

    def _wrapped(self, call: Any, what: str) -> Any:
        @functools.wraps(call)
        def wrapper(*args: Any, **options: Any) -> Any:
            answer = call(*args, **options)
            if what == "after subprocess":
                self.hit(what)
            else:
                self._file(what, args[0])
            return answer

        return wrapper

    def _sender(self, call: Any) -> Any:
        def wrapper(sock: Any, data: Any, *more: Any) -> Any:
            found = _REQUEST.match(bytes(data[:2000]))
            if not found:
                return call(sock, data, *more)
            request = b" ".join(found.groups()).decode()
            what = f"{found[1].decode()} {_shape(found[2].decode())}"
            self.hit(f"before {what}", request)
            answer = call(sock, data, *more)
            self.hit(f"after {what}", request)
            return answer

        return wrapper


def _told(points: Points) -> type[sqlite3.Connection]:
    class Told(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> Any:
            commits = statement.strip().upper() == "COMMIT" or not (self.in_transaction or _READS.match(statement))
            text = " ".join(statement.split())[:40]
            if commits and text:
                points.hit(f"before sqlite {text}")
            answer = super().execute(statement, *values)
            if commits and text:
                points.hit(f"after sqlite {text}")
            return answer

    return Told


def _shape(target: str) -> str:
    """What a request is about, without names and digests."""
    for part in ("/blobs/uploads/", "/manifests/sha256:", "/manifests/"):
        if part in target:
            return part.strip("/")
    if found := _ENGINE.search(target):
        return " ".join(filter(None, found.groups()))
    return "other"


def _site(frame: FrameType | None) -> str:
    """Where in the product it happens: the innermost place, and the outermost one below the runner."""
    places = []
    while frame:
        if (file := frame.f_code.co_filename).startswith(_HOME):
            places.append(f"{file.removeprefix(_HOME)}:{frame.f_lineno}")
        frame = frame.f_back
    within = [place for place in places if place.startswith(("stages/", "assemble/", "targets/", "lock/"))]
    return " < ".join(dict.fromkeys([*places[:2], *within[:1], *within[-1:]]))


if __name__ == "__main__":
    points = Points(json.loads(os.environ.pop("FAULTS")))
    from pipeline.cli import main

    points.watch()
    sys.exit(main())
