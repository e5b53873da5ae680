"""Runs programs to their end, which are killed when the step that wants them is over."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import AnyStr

from pipeline import limit

_PAUSE = 0.25
_AT_WORK = 5_000_000
"""Nanoseconds of a processor: less, in all the time that it is waited for, is no work."""


class Stalled(Exception):
    """A program that did nothing for too long, and was killed."""


def run(
    command: Sequence[str],
    *,
    input: str = "",
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    patience: float = float("inf"),
) -> subprocess.CompletedProcess[str]:
    """What a program said and how it ended. `patience` is for one that has no time-outs of its own: seconds for which
    it may wait without doing anything.

    Raises OSError where it cannot be started, TimedOut when the step's time was over, Stalled.
    """
    with subprocess.Popen(
        [*command],
        cwd=cwd,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        out, err = _watched(process, input, patience)
    return subprocess.CompletedProcess([*command], process.returncode, out, err)


def run_bytes(
    command: Sequence[str],
    *,
    input: bytes = b"",
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    keep: Sequence[int] = (),
) -> subprocess.CompletedProcess[bytes]:
    """As `run`, for what is no text. `keep` are open files that the program gets, and whoever it starts: a lock on one
    tells whether any of them still lives.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command], cwd=cwd, env=env, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=tuple(keep)
    ) as process:
        out, err = _watched(process, input, float("inf"))
    return subprocess.CompletedProcess([*command], process.returncode, out, err)


def _watched(process: subprocess.Popen[AnyStr], given: AnyStr, patience: float) -> tuple[AnyStr, AnyStr]:
    try:
        return _ended(process, given, patience)
    except BaseException:
        process.kill()
        raise


def _ended(process: subprocess.Popen[AnyStr], text: AnyStr, patience: float) -> tuple[AnyStr, AnyStr]:
    given: AnyStr | None = text
    since, then = time.monotonic(), 0
    while True:
        try:
            return process.communicate(given, timeout=limit.left(_PAUSE))
        except subprocess.TimeoutExpired:
            given = None
        if time.monotonic() - since > patience:
            if (now := _worked(process.pid)) - then < _AT_WORK and now:
                raise Stalled
            since, then = time.monotonic(), now


def _worked(pid: int) -> int:
    """Nanoseconds that a program's threads were at work in all (proc(5), schedstat); 0 where nobody tells."""
    total = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(task.read_text().split()[0])
    return total
