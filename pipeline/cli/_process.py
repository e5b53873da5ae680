"""What belongs to the process and not to any command: standard streams, signals, and leaving in time."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import time
from typing import Any

from pipeline import limit

_PATIENCE = 2.0
"""Seconds that steps have to end by themselves after Ctrl-C."""


def prepare_process() -> None:
    """Makes all three standard streams usable, and Ctrl-C and SIGTERM end the run in order."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # A closed stream's number would go to the next file that is opened, which then gets what we print.
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names that are not valid text must not end a run.
            stream.reconfigure(errors="backslashreplace")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _first_interrupt)
    signal.signal(signal.SIGTERM, _terminate)


def _first_interrupt(_number: int, _frame: Any) -> None:
    signal.signal(signal.SIGINT, _second_interrupt)
    raise KeyboardInterrupt


def _second_interrupt(_number: int, _frame: Any) -> None:
    if sys.stdout.isatty():
        os.write(1, b"\x1b[?25h\n")
    os._exit(130)


def _terminate(_number: int, _frame: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)


def leave(code: int) -> int:
    """The exit code, once what still runs after an interruption had time to end; never later than that. A step that
    hangs, and was left behind, ends with the process.
    """
    if code not in (130, 128 + signal.SIGTERM) and not limit.left_behind():
        return code
    deadline = time.monotonic() + _PATIENCE
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            continue
    # Python itself would wait for every thread of a pool, and so for whatever they still download.
    os._exit(code)
