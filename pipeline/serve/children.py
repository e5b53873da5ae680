"""Runs the command line in processes of their own, which end when the server does; buries those of an earlier one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.1
PATIENCE = 20.0
"""Seconds that a command has to end by itself after SIGTERM; a rollout wants to put its target in order."""


class Children:
    """`ports.Commands`. `folder` has a lock file for each command that runs. `patience` is in seconds."""

    def __init__(self, folder: Path, patience: float = PATIENCE, python: Sequence[str] = (sys.executable,)) -> None:
        self._folder, self._patience, self._python = folder, patience, tuple(python)
        folder.mkdir(parents=True, exist_ok=True)

    def run(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        halted: Callable[[], bool],
        folder: Path | None = None,
    ) -> int:
        """`pipeline WORDS…`, in `folder`; standard output goes to the end of `log`, standard error to that of a file
        beside it (.err). The exit code, negative for a signal.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with self._lock() as lock, log.open("ab") as out, log.with_suffix(".err").open("ab") as err:
            process = self._start(lock, words, environment, folder, out.fileno(), err.fileno())
            return self._ended(process, halted)

    def ask(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path | None = None
    ) -> tuple[int, str, str]:
        """The exit code, standard output and standard error of a short command."""
        with self._lock() as lock:
            process = self._start(lock, words, environment, folder, subprocess.PIPE, subprocess.PIPE)
            out, err = process.communicate()
        lines = out.decode("utf-8", "replace").splitlines(keepends=True)
        # The last one is for the job's log: that the command has ended.
        return (
            process.returncode,
            "".join(lines[:-1] if _says_the_end(lines) else lines),
            err.decode("utf-8", "replace"),
        )

    def _start(
        self,
        lock: int,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path | None,
        out: int,
        err: int,
    ) -> subprocess.Popen[bytes]:
        # -P: the folder is a repository's, and what it calls json.py must not be imported.
        return subprocess.Popen(
            [*self._python, "-P", "-m", "pipeline.serve.child", str(lock), str(os.getpid()), *words],
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[lock],
            # Ctrl-C is for the server, which ends its commands in order.
            start_new_session=True,
        )

    def _ended(self, process: subprocess.Popen[bytes], halted: Callable[[], bool]) -> int:
        while not halted():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_PAUSE)
        process.terminate()
        try:
            return process.wait(self._patience)
        except subprocess.TimeoutExpired:
            _kill(process.pid)
            return process.wait()

    @contextmanager
    def _lock(self) -> Iterator[int]:
        """A file that is locked until the command that inherits it has ended."""
        path = self._folder / f"{os.getpid()}-{time.monotonic_ns()}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)

    def bury(self) -> int:
        """Waits until nothing runs any more that a server before this one had started, and ends what does not end by
        itself. How many there were. To be called before anything is started.
        """
        left = sorted(self._folder.iterdir())
        for path in left:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._wait(descriptor)
            finally:
                os.close(descriptor)
            path.unlink(missing_ok=True)
        return len(left)

    def _wait(self, descriptor: int) -> None:
        deadline = time.monotonic() + self._patience
        told = False
        while not _free(descriptor):
            # Its number is there once it knows that it has to end with the server.
            if pid := int(os.pread(descriptor, 20, 0) or b"0"):
                if time.monotonic() > deadline:
                    _kill(pid)
                elif not told:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGTERM)
                told = True
            time.sleep(_PAUSE / 5)


def _free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _kill(pid: int) -> None:
    """Ends a command and what it started: it leads a group of processes. Services that run have groups of their own."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _says_the_end(lines: Sequence[str]) -> bool:
    from pipeline.serve.child import ENDED

    return bool(lines) and lines[-1].startswith(f'{{"event": "{ENDED}"')


__all__ = ["PATIENCE", "Children"]
