"""Marks what a process makes in an engine, so that what killed processes have left there can be told and removed."""

from __future__ import annotations

import os
from pathlib import Path


def own() -> str:
    """Identifies this process: the machine's boot, the namespace of process numbers, the number, the start time."""
    return of(os.getpid())


def of(pid: int) -> str:
    """Identifies a process of this machine."""
    return f"{_machine()}/{pid}/{_started(pid)}"


def is_gone(mark: str) -> bool:
    """Whether the process that made this mark has ended for sure; a mark from another machine tells nothing."""
    machine, _, rest = mark.rpartition("/")[0].rpartition("/")
    return machine == _machine() and rest.isdecimal() and _started(int(rest)) != mark.rpartition("/")[2]


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks since boot (proc_pid_stat(5), field 22); empty for none, and for
    one that has ended and that nobody has waited for yet.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state in "ZX" else fields[18]
