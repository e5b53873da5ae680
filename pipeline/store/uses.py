"""Who works in the store now: what a command counts on is not collected while its process lives.

A gate, a file lock: whoever plans or writes shares it, and `pipeline gc` has it alone while it decides and takes things
away. A run cannot hold it for as long as it builds, or a busy machine would never be cleared: once it has planned, it
leaves a lease in its place, a file locked as long as its process lives, with the keys that it counts on, and from then
on the digests that it adds. No clock decides anything here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.noun import noun
from pipeline.store.scratch import writing

_GATE = "gate"
_PAUSE = 0.02


@noun
class Leased:
    """What the runs that are at work count on: keys, and digests of what they made or took so far."""

    runs: int
    names: frozenset[str]


class Uses:
    """The gate and the leases of one store, below `folder`; safe for several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lease: int | None = None

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Nothing is collected meanwhile. In a store that cannot be written there is nothing to hold off."""
        descriptor = self._open(_GATE)
        try:
            if descriptor is not None:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @contextmanager
    def run(self) -> Iterator[Callable[[Iterable[str]], None]]:
        """Nothing is collected meanwhile; once the run calls what it is given with the keys that it counts on, only
        these, and what it adds, are kept from being collected.
        """
        with contextlib.ExitStack() as stack:
            gate = stack.enter_context(contextlib.ExitStack())
            gate.enter_context(self.sharing())

            def lease(keys: Iterable[str]) -> None:
                stack.enter_context(self._leased(keys))
                gate.close()

            yield lease

    def claim(self) -> Claim:
        """For what is planned first and performed later."""
        return Claim(self)

    @contextmanager
    def publishing(self, name: str) -> Iterator[None]:
        """Adds something of this digest to the store: whatever lay there before is not collected in its place."""
        with self.sharing():
            if self._lease is not None:
                self._add(self._lease, [name])
            yield

    def sweep(self) -> None:
        """Forgets what killed runs counted on."""
        with self.sharing(), contextlib.suppress(OSError):
            self._leases()

    @contextmanager
    def alone(self, wait: float, clock: Callable[[], float] = time.monotonic) -> Iterator[Leased]:
        """Nobody else plans or writes meanwhile, and what the runs at work count on.

        Raises StoreError when that cannot be had within `wait` seconds, or the store cannot be written.
        """
        descriptor = self._open(_GATE)
        if descriptor is None:
            raise StoreError(f"cannot write {self._folder}", remedy="check the permissions of the store's folder")
        try:
            until = clock() + wait
            while not _locked(descriptor):
                if clock() > until:
                    raise StoreError(
                        f"others have been planning, pushing or exporting for {wait:.0f} s",
                        remedy="try again when they are done, or take a longer --wait",
                        transient=True,
                    )
                time.sleep(_PAUSE)
            yield self._leases()
        finally:
            os.close(descriptor)

    @contextmanager
    def _leased(self, keys: Iterable[str]) -> Iterator[None]:
        """A lease of this process; only while the gate is shared, so that nobody sees it half."""
        if self._lease is not None:
            # Another run of this process: both add to one lease, which the first one ends.
            self._add(self._lease, keys)
            yield
            return
        name = f"{os.getpid()}-{os.urandom(4).hex()}"
        descriptor = self._locked_new(name)
        try:
            if descriptor is not None:
                with contextlib.suppress(OSError):
                    self._leases(but=name)
                self._add(descriptor, keys)
            self._lease = descriptor
            yield
        finally:
            self._lease = None
            if descriptor is not None:
                (self._folder / name).unlink(missing_ok=True)
                os.close(descriptor)

    def _add(self, descriptor: int, names: Iterable[str]) -> None:
        with writing(self._folder):
            os.write(descriptor, "".join(f"{name}\n" for name in names).encode())

    def _locked_new(self, name: str) -> int | None:
        """A new file that nobody has taken for one of a process that is gone before it was locked."""
        while (descriptor := self._open(name)) is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)
        return None

    def _leases(self, but: str = "") -> Leased:
        """What is leased; leases of processes that are gone are removed."""
        names: set[str] = set()
        runs = 0
        for path in list(self._folder.iterdir()):
            if path.name in (_GATE, but):
                continue
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                if _locked(file.fileno()):
                    with contextlib.suppress(OSError):
                        path.unlink()
                else:
                    runs += 1
                    names.update(file.read().decode(errors="replace").split())
        return Leased(runs, frozenset(names))

    def _open(self, name: str) -> int | None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self._folder / name, flags, 0o644)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                return os.open(self._folder / name, flags, 0o644)
        except OSError:
            with contextlib.suppress(OSError):
                return os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        return None


class Claim:
    """As `Uses.run`, begun by whoever plans and ended by whoever performs the plan, or with the process."""

    def __init__(self, uses: Uses) -> None:
        self._uses = uses
        self._stack = contextlib.ExitStack()
        self._lease: Callable[[Iterable[str]], None] | None = None

    def begin(self) -> None:
        """From now on nothing is collected; nothing more where it has begun."""
        if self._lease is None:
            self._lease = self._stack.enter_context(self._uses.run())

    def count_on(self, keys: Iterable[str]) -> None:
        """From now on only these keys, and what is added, are kept from being collected."""
        if self._lease is not None:
            self._lease(keys)

    def end(self) -> None:
        self._lease = None
        self._stack.close()


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
