"""Steps a server through one simulated minute, in real processes; what the kill tests start, and kill.

Arguments: the lab's folder, and the minute's beginning (Unix time). The clock goes on by two seconds whenever there is
nothing to do. A line on standard output says when it begins, and at its end it is killed, as any other would be.
`--settle` goes on until nothing is left to do, and then ends.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from pipeline.serve.core import Core
from pipeline.serve.reading import read

_STEP = 2.0


def main(folder: Path, begin: float, settle: bool) -> None:
    now = begin
    core = Core(read(folder / "serve.yaml", os.environ), os.environ, lambda: now, waits=(2.0, 4.0, 8.0, 16.0, 30.0))
    print("begins", flush=True)
    quiet = 0
    while now < begin + 60.0 or settle:
        if core.tick():
            quiet = 0
            continue
        now += _STEP
        quiet += 1
        if settle and quiet * _STEP > 60.0 and not core.queue.open():
            core.close()
            return
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), "--settle" in sys.argv)
