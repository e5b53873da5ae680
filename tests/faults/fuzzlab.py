"""What the fuzz tests share: a project to fuzz in, bounds that a hang or a leak passes, and how examples are chosen."""

from __future__ import annotations

import os
import random
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz_texts import SECRET
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from offline import Offline

from pipeline.errors import ManifestError, PipelineError
from pipeline.home import Home
from pipeline.manifest.load import load
from pipeline.manifest.model import Manifest
from pipeline.manifest.reader import lines_of
from pipeline.manifest.source import MOST
from pipeline.store import Store

LONGEST_ERROR = 200_000
"""Characters of all that is said of one manifest."""
_SECONDS = 20.0
_STUCK = 300.0
_MEMORY = 400 << 20
ENVIRON = {
    "REGISTRY": "registry.example.com",
    "REGISTRY_PASSWORD": SECRET,
    "PASSWORD": SECRET,
    "KEY_PASSWORD": f"first\nline {SECRET}\n",
    "PORT": "5002",
    "WORD": "many",
    "ODD": "a: [b\n\t\x01 ${env:WORD} é",
}
_FILES = {
    "src/score.py": "def init():\n    pass\n\n\ndef run(data):\n    return data\n",
    "requirements.txt": "numpy>=1\n",
    "environment.yml": "name: x\nchannels: [conda-forge]\ndependencies: [python=3.11]\n",
    "Dockerfile": "FROM debian:12\nRUN true\n",
    "weights.bin": "1 2 3\n",
    "secret.txt": SECRET,
    "ca.pem": "no certificate\n",
}
_SMALL = "version: 1\nname: fuzzed\nbases: {b: {image: c}}\nimages: {a: {base: b}}\n"
SEEDED = st.integers(0, 2**64).map(random.Random)


class Hung(BaseException):
    """Not an Exception: nothing in the product may catch it."""


def _hung(_signal: int, _frame: FrameType | None) -> None:
    raise Hung(f"more than {_SECONDS:.0f} s of processor time, or {_STUCK:.0f} s in all")


@contextmanager
def bounded() -> Iterator[None]:
    """Raises Hung where processor time passes a bound, which a busy machine does not lengthen; or where nothing goes on
    at all.
    """
    guards = [(signal.SIGVTALRM, signal.ITIMER_VIRTUAL, _SECONDS), (signal.SIGALRM, signal.ITIMER_REAL, _STUCK)]
    before = [signal.signal(number, _hung) for number, _, _ in guards]
    for _, timer, seconds in guards:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(guards, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


class Shop:
    """A project of files, with a store that nothing is put into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".git").mkdir(parents=True)
        for name, text in _FILES.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        self.path = folder / "fuzzed.yaml"
        self.home = Home.of({"PIPELINE_HOME": str(folder / "home")})
        self.store = Store(self.home.store)

    @property
    def manifest(self) -> Manifest:
        """A small one that is good."""
        self.path.write_text(_SMALL)
        return load(self.path, environ=ENVIRON)

    def load(self, data: bytes, sets: Mapping[str, str] | None = None) -> Offline:
        self.path.write_bytes(data)
        manifest = load(self.path, environ=ENVIRON, sets=sets)
        assert SECRET not in repr(manifest)
        bench = Offline(manifest, self.home, ENVIRON)
        bench.adopt(self.store)
        return bench

    def refused(self, data: bytes, error: ManifestError) -> None:
        """Each diagnostic says what is wrong, and has its place in this file."""
        sound(error)
        assert 0 < len(error.diagnostics) <= MOST + 1
        lines = lines_of(data.decode("utf-8", "replace").removeprefix("\ufeff"))
        for one in error.diagnostics:
            where = one.location
            assert one.message.isprintable() and one.remedy.isprintable(), repr(one.message)
            if "errors are not shown" in one.message or where.file != str(self.path):
                continue
            assert 1 <= where.line <= len(lines) + 1 and where.column >= 1, str(one)


def sound(error: PipelineError) -> None:
    """One error as a user may see it: words, no secret, not endless."""
    text = str(error)
    assert error.message.strip(), repr(error)
    assert SECRET not in text
    assert len(text) < LONGEST_ERROR, len(text)


def fuzz(
    check: Callable[..., str], *examples: st.SearchStrategy[Any], number: int, shard: int = 0, anew: bool = False
) -> Counter[str]:
    """How often `check` ended how; the same examples each time, or `anew` others, unless FUZZ_SEED says which.

    The process may not grow by more than a fixed bound.
    """
    ends: Counter[str] = Counter()
    chosen = int(os.environ.get("FUZZ_SEED") or (int.from_bytes(os.urandom(4)) if anew else 0))
    print(f"FUZZ_SEED={chosen}")

    @seed(chosen * 100 + shard)
    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=[*HealthCheck], print_blob=True)
    @given(st.tuples(*examples))
    def one(values: tuple[Any, ...]) -> None:
        with bounded():
            ends[check(*values)] += 1

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < _MEMORY, f"the process has grown by {grown >> 20} MiB"
    return ends
