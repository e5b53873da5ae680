"""Finds and runs the interpreter that compiles an image's bytecode: this machine's of the same version, or the image's.

The image's own runs in place, from the unpacked folders and through the image's own dynamic loader, as any user and
without a container. An image for another architecture works the same way where this machine can run its programs.
"""

from __future__ import annotations

import functools
import os
import posixpath
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.assemble.elf import inspect
from pipeline.errors import AssembleError
from pipeline.facts import Python

WORKER = Path(__file__).with_name("bytecode_worker.py")
_LIBRARIES = ("usr/local/lib", "usr/lib", "lib", "usr/lib64", "lib64")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A command that runs Python, and the environment that it needs."""

    command: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)

    def start(self, mtime: int) -> subprocess.Popen[bytes]:
        """A worker process (bytecode_worker.py) that stamps `mtime` into what it compiles."""
        # -S and -s: nothing but the standard library; a fixed hash seed: sets have one order.
        arguments = ["-S", "-s", "-W", "ignore", "-X", "utf8", str(WORKER), str(mtime)]
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **self.env},
            start_new_session=True,
        )


def find(
    python: Python, roots: Callable[[], Sequence[Path]], mtime: int, *elsewhere: Callable[[], Sequence[Path]]
) -> Interpreter:
    """An interpreter of exactly `python.version`: of this machine, of the image as far as `roots` hold it, or in the
    folders that `elsewhere` brings, one after the other.

    AssembleError when none runs here. Another version is never taken: the same inputs would give other bytes on another
    machine (3.11.2 and 3.11.7 differ in 6 of 2666 files of the packages that scikit-learn takes).
    """
    for candidate in _candidates(python, roots, elsewhere):
        if _fits(candidate, python, mtime):
            return candidate
    raise AssembleError(
        f"bytecode for Python {python.version} can only be compiled by that version, and none runs on this machine",
        remedy="let this machine run the image's programs (Debian: qemu-user-static), install that version of Python, "
        "or set bytecode: false",
    )


def _candidates(
    python: Python, roots: Callable[[], Sequence[Path]], elsewhere: Sequence[Callable[[], Sequence[Path]]]
) -> Iterator[Interpreter]:
    # All are equal; one of this machine needs nothing unpacked.
    yield from _of_this_machine(python)
    if own := _own(python, Merged(roots())):
        yield own
    debian = replace(python, executable=f"/usr/bin/python{python.minor}")
    for bring in elsewhere:
        folders = Merged(bring())
        if brought := _own(python, folders) or _own(debian, folders):
            yield brought


def is_here(python: Python, mtime: int) -> bool:
    """Whether this machine has an interpreter of exactly this version."""
    return any(_fits(candidate, python, mtime) for candidate in _of_this_machine(python))


def _of_this_machine(python: Python) -> Iterator[Interpreter]:
    yield Interpreter((sys.executable,))
    for place in dict.fromkeys((shutil.which(f"python{python.minor}"), f"/usr/bin/python{python.minor}")):
        if place:
            yield Interpreter((place,))


def _fits(interpreter: Interpreter, python: Python, mtime: int) -> bool:
    return _version(interpreter, mtime) == python.version.rstrip("+")


def _version(interpreter: Interpreter, mtime: int) -> str:
    """What the interpreter says it is; empty when it does not run."""
    return _said(interpreter.command, tuple(sorted(interpreter.env.items())), mtime)


@functools.lru_cache(maxsize=64)
def _said(command: tuple[str, ...], env: tuple[tuple[str, str], ...], mtime: int) -> str:
    """Asked once: the parts of one layer are compiled by the same."""
    try:
        with Interpreter(command, dict(env)).start(mtime) as worker:
            said, _ = worker.communicate(b"")
    except OSError:
        return ""
    return said.decode("utf-8", "replace").strip()


def _own(python: Python, image: Merged) -> Interpreter | None:
    """The image's interpreter, run through its own loader; None when it is not a program that can be run so."""
    real = image.real(python.executable)
    program = image.host(real) if real else None
    elf = inspect(program) if program else None
    if not real or not elf or not elf.interpreter:
        return None
    loader, home = image.host(image.real(elf.interpreter) or ""), posixpath.dirname(posixpath.dirname(real))
    library = image.real(f"{home}/lib/python{python.minor}/os.py")
    if not loader or not library:
        return None
    stdlib = image.host(library)
    assert stdlib is not None
    search = ":".join(str(folder) for folder in image.folders(_LIBRARIES))
    command = (str(loader), "--inhibit-cache", "--library-path", search, str(program))
    return Interpreter(command, {"PYTHONHOME": str(stdlib.parent.parent.parent)})


class Merged:
    """The unpacked folders of an image's layers, lowest first, seen as one file system."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = list(reversed(roots))

    def host(self, path: str) -> Path | None:
        """Where a path of the image (without symbolic links) lies on this machine: in the highest layer that has it."""
        places = (root / path.lstrip("/") for root in self._roots)
        return next((place for place in places if path and os.path.lexists(place)), None)

    def real(self, path: str) -> str | None:
        """A path of the image with every symbolic link followed inside the image; None when it is not there."""
        rest, done, left = [part for part in path.split("/") if part], "", 40
        while rest:
            part, *rest = rest
            if part in (".", ".."):
                done = posixpath.dirname(done) if part == ".." else done
                continue
            place = self.host(f"{done}/{part}")
            if place is None or left == 0:
                return None
            if place.is_symlink():
                text, left = os.fspath(place.readlink()), left - 1
                done = "" if text.startswith("/") else done
                rest = [*(each for each in text.split("/") if each), *rest]
            else:
                done = f"{done}/{part}"
        return done or "/"

    def folders(self, names: Sequence[str]) -> Iterator[Path]:
        """Folders of libraries as they lie on this machine, Debian's multiarch ones included, highest layer first."""
        for root in self._roots:
            for name in names:
                if (folder := root / name).is_dir() and not folder.is_symlink():
                    yield from (each for each in sorted(folder.glob("*-linux-gnu*")) if each.is_dir())
                    yield folder

    def files(self, tree: str, suffix: str) -> dict[str, Path]:
        """The regular files below a folder of the image whose names end in `suffix`, by path in the image."""
        found: dict[str, Path] = {}
        for root in reversed(self._roots):
            for folder, _, names in os.walk(root / tree):
                inside = os.path.relpath(folder, root)
                for name in names:
                    place = Path(folder, name)
                    if name.endswith(suffix) and place.is_file() and not place.is_symlink():
                        found[f"{inside}/{name}"] = place
        return found
