"""Worker processes that compile bytecode for all layers of a run, as many as there are processors."""

from __future__ import annotations

import contextlib
import os
import posixpath
import queue
import subprocess
import tempfile
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.assemble.bytecode_python import Interpreter
from pipeline.assemble.entry import MTIME
from pipeline.errors import AssembleError

_AHEAD = 128


@dataclass(frozen=True, slots=True)
class Source:
    """One source: where it lies here, its path in the image without the leading slash, and the package it is from."""

    here: Path
    path: str
    owner: str = ""

    def compiled(self, tag: str) -> str:
        """The path of its bytecode (PEP 3147)."""
        folder, name = posixpath.split(self.path)
        return f"{folder}/__pycache__/{name.removesuffix('.py')}.{tag}.pyc"


class _Workers:
    """The processes of one interpreter: started when all others are at work, until there are enough."""

    def __init__(self, interpreter: Interpreter, most: int) -> None:
        self._interpreter = interpreter
        self._most = most
        self._guard = threading.Lock()
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._started = 0

    def take(self, all_: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with contextlib.suppress(queue.Empty):
            return self._idle.get_nowait()
        with self._guard:
            if wanted := self._started < self._most:
                self._started += 1
        if not wanted:
            return self._idle.get()
        worker = self._interpreter.start(MTIME)
        all_.append(worker)
        assert worker.stdout is not None
        worker.stdout.readline()
        return worker

    def give(self, worker: subprocess.Popen[bytes]) -> None:
        self._idle.put(worker)

    def lost(self) -> None:
        with self._guard:
            self._started -= 1


class Compilers:
    """Compiles in parallel; `folder` is for interpreters that are fetched, and is there as long as this is."""

    def __init__(self, count: int = 0) -> None:
        self._count = count or os.cpu_count() or 1
        self._processes: list[subprocess.Popen[bytes]] = []
        self._workers: dict[str, _Workers] = {}
        self._guard = threading.Lock()
        self.close = weakref.finalize(self, _stop, self._processes)

    @cached_property
    def folder(self) -> Path:
        self._temporary = tempfile.TemporaryDirectory(prefix="pipeline-python-")
        return Path(self._temporary.name)

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="bytecode")

    def each(self, interpreter: Interpreter, sources: Iterable[Source]) -> Iterator[tuple[Source, bytes]]:
        """Each source with its bytecode, in order; empty when it does not compile. A few are held in memory at most.

        Raises AssembleError when the interpreter ends.
        """
        workers = self._of(interpreter)
        waiting: deque[tuple[Source, Future[bytes]]] = deque()
        try:
            for source in sources:
                waiting.append((source, self._threads.submit(self._compile, source, workers)))
                if len(waiting) >= _AHEAD:
                    first, code = waiting.popleft()
                    yield first, code.result()
            while waiting:
                first, code = waiting.popleft()
                yield first, code.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _of(self, interpreter: Interpreter) -> _Workers:
        with self._guard:
            return self._workers.setdefault(repr(interpreter), _Workers(interpreter, self._count))

    def _compile(self, source: Source, workers: _Workers) -> bytes:
        worker = workers.take(self._processes)
        try:
            code = _asked(worker, source)
        except BaseException:
            workers.lost()
            raise
        workers.give(worker)
        return code


def _asked(worker: subprocess.Popen[bytes], source: Source) -> bytes:
    assert worker.stdin is not None and worker.stdout is not None
    try:
        for text in (os.fsencode(source.here), os.fsencode("/" + source.path)):
            worker.stdin.write(len(text).to_bytes(4, "big") + text)
        worker.stdin.flush()
        head = worker.stdout.read(4)
        size = int.from_bytes(head, "big")
        code = worker.stdout.read(size)
    except OSError as error:
        raise _died(source) from error
    if len(head) < 4 or len(code) < size:
        raise _died(source)
    return code


def _died(source: Source) -> AssembleError:
    return AssembleError(
        f"Python ended while it compiled /{source.path}", remedy="if it goes on, set bytecode: false on the layer"
    )


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for worker in processes:
        worker.kill()
        for pipe in (worker.stdin, worker.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        worker.wait()
