"""A command of the server's in a process of its own: `python -m pipeline.serve.child LOCK PARENT WORDS…`.

LOCK is the number of an inherited file descriptor. Its lock (flock(2)) shows that this process lives; nothing that it
starts gets it. PARENT is the server's process: when that dies, this one gets SIGTERM, as by prctl(2),
PR_SET_PDEATHSIG. Once the command has ended by itself, the last line of standard output says so, as an event: after a
kill of the server it is known that nothing has to be done again.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import signal
import sys

ENDED = "command-ended"
"""The event of the last line; `exit_code` is in it."""
_PR_SET_PDEATHSIG = 1
_STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
"""It did not end by itself, and is to be begun again."""


def main(lock: int, parent: int, words: list[str]) -> int:
    """Runs the command line with these words; its exit code."""
    os.set_inheritable(lock, False)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        # It died before it could be told that it wants to know.
        return 128 + signal.SIGTERM
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    sys.argv = ["pipeline", *words]
    try:
        runpy.run_module("pipeline", run_name="__main__")
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    if code not in _STOPPED:
        _told(code)
    return code


def _told(code: int) -> None:
    sys.stdout.flush()
    os.write(1, f"{json.dumps({'event': ENDED, 'exit_code': code})}\n".encode())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
