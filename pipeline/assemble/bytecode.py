"""Packs the bytecode of Python sources that layers below hold: what `pip install` compiles, with equal bytes each time.

Sources are the wheels of a pip layer (`inputs["wheels"]`), or folders of the layers below (`inputs["trees"]`): all in
them, or with `inputs["lacking"]` what came without bytecode in layers of the same entry. They are compiled by the very
version of Python that the image has (`inputs["python"]`, such as 3.11.2), or not at all.
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import queue
import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.assemble.bytecode_debian import fetch
from pipeline.assemble.bytecode_python import Interpreter, Merged, find
from pipeline.assemble.entry import MTIME, Entry
from pipeline.assemble.wheel import installed, unpacked
from pipeline.assemble.wheel_install import Layout
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.facts import Python
from pipeline.recipe import Assemble

# Started with the image they are hardly ever imported, and they are a third of some packages.
_SKIPPED = {"test", "tests", "__pycache__"}
_AHEAD = 128
_WORTH_ANOTHER = 100
"""Sources for which one more process is worth its start."""


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


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The members of a layer that holds the bytecode of `recipe`'s sources, in a fixed order."""
    version = recipe.inputs["python"]
    if "wheels" in recipe.inputs:
        sources = list(_from_wheels(recipe, work))
    else:
        sources = list(_from_trees(recipe, work.own() if recipe.inputs.get("lacking") else work.roots()))
    if sources:
        yield from compiled(sources, version, work)


def compiled(sources: Sequence[Source], version: str, work: Work) -> Iterator[Entry]:
    """The bytecode of sources, by an interpreter of just this version that lies below or is had from elsewhere."""
    work.say(f"compiling {len(sources)} Python files")
    python = replace(work.parent.python or Python(version), version=version)
    fetched = lambda: fetch(work.parent, python.minor, work.indexes.debian, work.scratch)  # noqa: E731
    interpreter = find(python, work.here(), MTIME, work.roots, fetched)
    yield from pack(sources, interpreter, version)


def _from_wheels(recipe: Assemble, work: Work) -> Iterator[Source]:
    inputs = recipe.inputs
    layout = Layout(inputs["prefix"], inputs["site"], inputs["python"], "")
    yield from sources_of(installed(unpacked(recipe, work), layout), inputs["site"])


def sources_of(files: Mapping[str, Entry], site: str) -> Iterator[Source]:
    """What there is to compile below the folder for packages."""
    site = site.strip("/") + "/"
    for path, entry in files.items():
        if path.startswith(site) and isinstance(entry.source, Path) and _wanted(path[len(site) :]):
            yield Source(entry.source, path, entry.owner)


def _from_trees(recipe: Assemble, roots: Iterable[Path]) -> Iterator[Source]:
    image, tag = Merged(list(roots)), cache_tag(recipe.inputs["python"])
    lacking, own = recipe.inputs.get("lacking", False), _recorded(recipe.inputs.get("records"), image)
    for tree in recipe.inputs["trees"]:
        for path, here in image.files(tree.strip("/"), ".py").items():
            if own is not None and path not in own:
                continue
            source = Source(here, path)
            if _wanted(posixpath.relpath(path, tree.strip("/"))) and not (lacking and image.host(source.compiled(tag))):
                yield source


def _recorded(records: Sequence[str] | None, image: Merged) -> set[str] | None:
    """The files that records of conda packages list (conda documentation, "conda-meta"); None without records."""
    if records is None:
        return None
    found: set[str] = set()
    for record in records:
        prefix = posixpath.dirname(posixpath.dirname(record)).strip("/")
        if here := image.host(record):
            found.update(f"{prefix}/{path}" for path in json.loads(here.read_bytes())["files"])
    return found


def _wanted(path: str) -> bool:
    return path.endswith(".py") and not _SKIPPED.intersection(path.split("/")[:-1])


def cache_tag(version: str) -> str:
    """What the names of bytecode files hold (`sys.implementation.cache_tag`): cpython-311 of 3.11.2."""
    return "cpython-" + "".join(version.split(".")[:2])


def pack(sources: Iterable[Source], interpreter: Interpreter, version: str, workers: int = 0) -> Iterator[Entry]:
    """The sources' bytecode, sorted by path, each `__pycache__` folder before its files.

    A source that does not compile (a template, or for an older Python) is left out, as pip does. `workers` is the
    number of processes, by default one for each processor where there is enough to do.
    """
    tag = cache_tag(version)
    ordered = sorted(sources, key=lambda source: source.compiled(tag))
    made: set[str] = set()
    workers = workers or max(1, min(os.cpu_count() or 1, len(ordered) // _WORTH_ANOTHER))
    with Compilers(interpreter, workers) as compilers:
        for source, code in compilers.each(ordered):
            if not code:
                continue
            path = source.compiled(tag)
            if (folder := posixpath.dirname(path)) not in made:
                made.add(folder)
                yield Entry(folder, "dir", 0o755)
            yield Entry(path, source=code, size=len(code), owner=source.owner)


class Compilers:
    """Worker processes that compile sources in parallel; answers come in the order of the questions."""

    def __init__(self, interpreter: Interpreter, count: int) -> None:
        self._interpreter = interpreter
        self._count = count
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Compilers:
        for _ in range(self._count):
            worker = self._interpreter.start(MTIME)
            self._stack.callback(_stop, worker)
            assert worker.stdout is not None
            worker.stdout.readline()
            self._idle.put(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def each(self, sources: Iterable[Source]) -> Iterator[tuple[Source, bytes]]:
        """Each source with its bytecode; empty when it does not compile. No more than a few are held in memory."""
        waiting: deque[tuple[Source, Future[bytes]]] = deque()
        with ThreadPoolExecutor(self._count, thread_name_prefix="bytecode") as threads:
            try:
                for source in sources:
                    waiting.append((source, threads.submit(self._compile, source)))
                    if len(waiting) >= _AHEAD:
                        first, code = waiting.popleft()
                        yield first, code.result()
                while waiting:
                    first, code = waiting.popleft()
                    yield first, code.result()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _compile(self, source: Source) -> bytes:
        worker = self._idle.get()
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
        finally:
            self._idle.put(worker)
        if len(head) < 4 or len(code) < size:
            raise _died(source)
        return code


def _died(source: Source) -> AssembleError:
    return AssembleError(
        f"Python ended while it compiled /{source.path}", remedy="if it goes on, set bytecode: false on the layer"
    )


def _stop(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    for pipe in (worker.stdin, worker.stdout):
        if pipe:
            with contextlib.suppress(OSError):
                pipe.close()
    worker.wait()
