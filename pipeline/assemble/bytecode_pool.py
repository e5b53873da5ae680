"""Worker processes that compile bytecode for all layers of a run, as many as there are processors."""

from __future__ import annotations

import contextlib
import os
import posixpath
import queue
import subprocess
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
from pipeline.store.temporary import temporary

_AHEAD = 32
_TOGETHER = 8
_PIPE = 4096
"""Bytes that the smallest pipe holds (pipe(7)): more requests at once could wait for an answer that waits for them."""


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
        self._open = contextlib.ExitStack()
        self.close = weakref.finalize(self, _stop, self._processes)

    @cached_property
    def folder(self) -> Path:
        return self._open.enter_context(temporary())

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._count, thread_name_prefix="bytecode")

    def each(self, interpreter: Interpreter, sources: Iterable[Source]) -> Iterator[tuple[Source, bytes]]:
        """Each source with its bytecode, in order; empty when it does not compile. A few are held in memory at most.

        Raises AssembleError when the interpreter ends.
        """
        workers = self._of(interpreter)
        waiting: deque[tuple[list[Source], Future[list[bytes]]]] = deque()
        try:
            for group in _groups(sources):
                waiting.append((group, self._threads.submit(self._compile, group, workers)))
                if len(waiting) >= _AHEAD:
                    first, codes = waiting.popleft()
                    yield from zip(first, codes.result(), strict=True)
            while waiting:
                first, codes = waiting.popleft()
                yield from zip(first, codes.result(), strict=True)
        finally:
            for _, future in waiting:
                future.cancel()

    def _of(self, interpreter: Interpreter) -> _Workers:
        with self._guard:
            return self._workers.setdefault(repr(interpreter), _Workers(interpreter, self._count))

    def _compile(self, group: list[Source], workers: _Workers) -> list[bytes]:
        worker = workers.take(self._processes)
        try:
            codes = _asked(worker, group)
        except BaseException:
            workers.lost()
            raise
        workers.give(worker)
        return codes


def _groups(sources: Iterable[Source]) -> Iterator[list[Source]]:
    """A few sources at a time, which a worker is asked for in one go: it does not stand idle between them."""
    group: list[Source] = []
    size = 0
    for source in sources:
        own = len(_request(source))
        if group and (len(group) == _TOGETHER or size + own > _PIPE):
            yield group
            group, size = [], 0
        group.append(source)
        size += own
    if group:
        yield group


def _request(source: Source) -> bytes:
    texts = (os.fsencode(source.here), os.fsencode("/" + source.path))
    return b"".join(len(text).to_bytes(4, "big") + text for text in texts)


def _asked(worker: subprocess.Popen[bytes], group: list[Source]) -> list[bytes]:
    assert worker.stdin is not None and worker.stdout is not None
    codes: list[bytes] = []
    try:
        worker.stdin.write(b"".join(map(_request, group)))
        worker.stdin.flush()
        for source in group:
            head = worker.stdout.read(4)
            size = int.from_bytes(head, "big")
            codes.append(worker.stdout.read(size))
            if len(head) < 4 or len(codes[-1]) < size:
                raise _died(source)
    except OSError as error:
        raise _died(group[len(codes)]) from error
    return codes


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
