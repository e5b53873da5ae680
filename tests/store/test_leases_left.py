"""What a killed run counted on is forgotten by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.store.uses import Uses

PROGRAM = """
import sys
from pathlib import Path
from pipeline.store.uses import Uses
with Uses(Path(sys.argv[1])).run() as lease:
    lease(["a"])
    print("leased", flush=True)
    sys.stdin.read()
"""


def test_the_lease_of_a_killed_run_is_removed_by_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for run in runs:
        assert run.stdout and run.stdout.readline() == "leased\n"
    os.kill(runs[0].pid, signal.SIGKILL)
    runs[0].wait()
    with Uses(tmp_path).run() as lease:
        lease(["b"])
        left = {path.name.partition("-")[0] for path in tmp_path.iterdir()} - {"gate"}
        assert left == {str(runs[1].pid), str(os.getpid())}
    runs[1].communicate()
    for run in runs:
        assert run.stdout
        run.stdout.close()
