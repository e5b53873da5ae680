"""A service that a supervisor watches over, found again by its status file: whether it lives, its end, its socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.store.roots import remove_tree
from pipeline.targets._status import put, read

if TYPE_CHECKING:
    import socket


def alive(status: Mapping[str, Any]) -> bool:
    """Whether the supervisor runs: the same process, not another one that got its number later or after a restart."""
    if not status:
        return False
    try:
        stat = Path(f"/proc/{status['pid']}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat[0] not in "ZX" and stat[19] == status["start_time"] and boot == status["boot"]


def end(state: Path, grace: float) -> None:
    """Ends the service of this state folder, waits for it, and removes its writable layer."""
    status = read(state)
    if not status:
        return
    if alive(status):
        # The supervisor itself kills a service that takes longer than that.
        if not _signal(status, signal.SIGTERM, grace + 5):
            _signal(status, signal.SIGKILL, 5)
        if "exit_code" not in read(state):
            put(state, {**status, "stopped": True, "exit_code": 128 + signal.SIGKILL})
    remove_tree(Path(status["folder"]) / "run")


def _signal(status: Mapping[str, Any], number: int, seconds: float) -> bool:
    """Sends a signal to the supervisor and waits for its end; whether it has ended."""
    import select

    try:
        process = os.pidfd_open(status["pid"])
    except ProcessLookupError:
        return True
    try:
        # The number may have gone to another process before the descriptor was there.
        if not alive(status):
            return True
        signal.pidfd_send_signal(process, number)
        poll = select.poll()
        poll.register(process, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(process)


def inherit(status: Mapping[str, Any]) -> socket.socket | None:
    """The listening socket of the running service, or None when it has none to give."""
    import socket

    folder = os.open(status["folder"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(2)
            # By way of a descriptor: a socket's path may have no more than 108 bytes.
            client.connect(f"/proc/self/fd/{folder}/control")
            _, descriptors, _, _ = socket.recv_fds(client, 1, 1)
        return socket.socket(fileno=descriptors[0]) if descriptors else None
    except OSError:
        return None
    finally:
        os.close(folder)
