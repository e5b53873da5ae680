"""Packs the bytecode of Python sources that layers below hold: what `pip install` compiles, with equal bytes each time.

Sources are the wheels of a pip layer (`inputs["wheels"]`), or folders of the layers below (`inputs["trees"]`): all in
them, or with `inputs["lacking"]` what came without bytecode in layers of the same entry. They are compiled by the very
version of Python that the image has (`inputs["python"]`, such as 3.11.2), or not at all.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path

from pipeline.assemble.bytecode_debian import fetch
from pipeline.assemble.bytecode_pool import Compilers, Source
from pipeline.assemble.bytecode_python import Interpreter, Merged, find, is_here
from pipeline.assemble.entry import MTIME, Entry
from pipeline.assemble.frame import Frame, Framed, frame_key
from pipeline.assemble.wheel import Wheels, installed, wheel_key
from pipeline.assemble.wheel_install import Layout
from pipeline.assemble.work import Work
from pipeline.facts import Facts, Python
from pipeline.recipe import Assemble

# Started with the image they are hardly ever imported, and they are a third of some packages.
_SKIPPED = {"test", "tests", "__pycache__"}


def frames(recipe: Assemble, work: Work) -> Framed:
    """A layer that holds the bytecode of `recipe`'s sources: a frame for each wheel, or one for all folders."""
    inputs, compiler = recipe.inputs, Compiler(recipe.inputs["python"], work)
    if "wheels" not in inputs:
        return Framed((_of_trees(recipe, work, compiler),), _folders)
    layout, wheels = Layout(inputs["prefix"], inputs["site"], inputs["python"], ""), Wheels(recipe, work)

    def entries(file: str) -> Iterator[Entry]:
        found = installed({file: wheels.folder(file)}, layout)
        return compiler.compiled(sources_of(found, inputs["site"]))

    return Framed(tuple(Frame(wheel_key(recipe, wheel), partial(entries, wheel[0])) for wheel in wheels.own), _folders)


def alone(recipe: Assemble, parent: Facts) -> bool:
    """Whether nothing of the layers below is needed: for wheels, where this machine has the interpreter."""
    version = recipe.inputs["python"]
    return "wheels" in recipe.inputs and is_here(replace(parent.python or Python(version), version=version), MTIME)


class Compiler:
    """Compiles by an interpreter of just this version, that lies below or is had from elsewhere; looked for once."""

    def __init__(self, version: str, work: Work) -> None:
        self._version = version
        self._work = work

    def compiled(self, sources: Iterable[Source]) -> Iterator[Entry]:
        """The bytecode of sources, sorted by path."""
        ordered = list(sources)
        if ordered:
            yield from pack(ordered, self._interpreter, self._version, self._compilers)

    @cached_property
    def _compilers(self) -> Compilers:
        return self._work.compilers()

    @cached_property
    def _interpreter(self) -> Interpreter:
        work, version = self._work, self._version
        python = replace(work.parent.python or Python(version), version=version)
        return find(python, work.here, MTIME, work.roots, partial(self._fetched, python.minor))

    def _fetched(self, minor: str) -> Sequence[Path]:
        work = self._work
        return fetch(work.parent, minor, work.indexes.debian, self._compilers.folder)


def _folders(paths: Iterable[str]) -> Iterator[Entry]:
    return (Entry(path, "dir", 0o755) for path in sorted({posixpath.dirname(path) for path in paths}))


def sources_of(files: Mapping[str, Entry], site: str) -> Iterator[Source]:
    """What there is to compile below the folder for packages."""
    site = site.strip("/") + "/"
    for path, entry in files.items():
        if path.startswith(site) and isinstance(entry.source, Path) and _wanted(path[len(site) :]):
            yield Source(entry.source, path, entry.owner)


def _of_trees(recipe: Assemble, work: Work, compiler: Compiler) -> Frame:
    """One frame for the folders."""
    inputs = recipe.inputs
    if not (recipe.root_decides and "below" in inputs):
        return Frame(frame_key(recipe.packer, dict(inputs)), lambda: compiler.compiled(_from_trees(recipe, work)))
    # With other packages below, what is in the folders does not follow from the inputs alone, but can be read: a new
    # base seldom changes it.
    sources = list(_from_trees(recipe, work))
    told = sorted((source.path, sha256(source.here.read_bytes()).hexdigest()) for source in sources)
    return Frame(frame_key(recipe.packer, [inputs["python"], told]), lambda: compiler.compiled(sources))


def _from_trees(recipe: Assemble, work: Work) -> Iterator[Source]:
    image, tag = Merged(_roots(recipe, work)), cache_tag(recipe.inputs["python"])
    lacking, own = recipe.inputs.get("lacking", False), _recorded(recipe.inputs.get("records"), image)
    for tree in recipe.inputs["trees"]:
        for path, here in image.files(tree.strip("/"), ".py").items():
            if own is not None and path not in own:
                continue
            source = Source(here, path)
            if _wanted(posixpath.relpath(path, tree.strip("/"))) and not (lacking and image.host(source.compiled(tag))):
                yield source


def _roots(recipe: Assemble, work: Work) -> Sequence[Path]:
    """The layers below, with no more than the sources where these are all that is looked at."""
    inputs = recipe.inputs
    if inputs.get("lacking"):
        return work.own()
    if work.files is None or "records" in inputs:
        return work.roots()
    trees = [tree.strip("/") + "/" for tree in inputs["trees"]]
    return work.files(lambda path: any(path.startswith(tree) and _wanted(path[len(tree) :]) for tree in trees))


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


def pack(sources: Iterable[Source], interpreter: Interpreter, version: str, compilers: Compilers) -> Iterator[Entry]:
    """The sources' bytecode, sorted by path.

    A source that does not compile (a template, or for an older Python) is left out, as pip does.
    """
    tag = cache_tag(version)
    ordered = sorted(sources, key=lambda source: source.compiled(tag))
    for source, code in compilers.each(interpreter, ordered):
        if code:
            yield Entry(source.compiled(tag), source=code, size=len(code), owner=source.owner)
