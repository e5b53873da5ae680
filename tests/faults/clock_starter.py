"""Runs the command line with a clock that is wrong, and jumps; the system's own times of files stay right.

CLOCK is a JSON list of seconds: how far the clock is off at first, and after each so many questions.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable

_EACH = 7


def wrong(right: Callable[[], float], offsets: list[float]) -> Callable[[], float]:
    asked = 0

    def now() -> float:
        nonlocal asked
        asked += 1
        return right() + offsets[min(asked // _EACH, len(offsets) - 1)]

    return now


if __name__ == "__main__":
    time.time = wrong(time.time, json.loads(os.environ.pop("CLOCK")))
    nanoseconds = time.time
    time.time_ns = lambda: int(nanoseconds() * 1e9)
    from pipeline.cli import main

    sys.exit(main())
