"""Watches over one detached service: a script, started with a bare interpreter, that outlives the command.

    python -I -S _supervise.py FD

FD holds a JSON object: `folder` (this start's own folder), `status` (the file that tells others about the service,
and `facts` to put into it), `inside` (the sandbox's specification), `script` (`_inside.py`), `log_bytes`, `grace`
(seconds between asking the service to end and ending it), `restart` (no, on-failure, always, unless-stopped: whether it
is started again when it ends by itself), `ready_fd`, `socket_fd` (or -1), `leash_fd` (or -1): a pipe, at whose end the
service is asked to end; `before` (the status of the service that this one replaces, or nothing), and `lock_fd`, which
holds other runs off until the status file tells of this service.

It keeps the service's output in `folder`/log, never more than twice `log_bytes`; writes down the exit code; holds the
listening socket and hands it to whoever connects to `folder`/control, so that a successor takes over without refusing
a caller. `ready_fd` closing after "ok" means that the service's program runs; anything else on it is `_inside.py`'s
report. Like `_inside.py` it imports the standard library only.
"""

# ruff: noqa: PTH101, PTH105, PTH118, PTH123, SIM115
# pathlib alone would take as long to import as all the rest.
from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

_CHUNK = 1 << 16
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the service is started again; twice as many after each time that it did not run for long."""
_LONG = 10.0


class Log:
    """A file of limited size; what it held before is kept in `PATH.1`."""

    def __init__(self, path: str, limit: int) -> None:
        self._path, self._limit = path, limit
        self._file = open(path, "ab", buffering=0)
        # Should this script itself fail, the log says why.
        os.dup2(self._file.fileno(), 2)

    def write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > self._limit:
            self._file.close()
            os.replace(self._path, self._path + ".1")
            self._file = open(self._path, "ab", buffering=0)
        # A full disk must not end the service.
        with contextlib.suppress(OSError):
            self._file.write(data)


class Supervisor:
    """The loop around one service."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._status = dict(spec["facts"])
        self._log = Log("log", spec["log_bytes"])
        self._kill_at: float | None = None
        self._child = 0

    def replace(self) -> None:
        """Ends the service before: its supervisor is asked to, and killed when it takes too long."""
        before = self._spec["before"]
        try:
            process = os.pidfd_open(before["pid"]) if before else -1
        except ProcessLookupError:
            return
        # The number may have gone to another process meanwhile.
        if process >= 0 and _start_time(before["pid"]) == before["start_time"]:
            for number, seconds in ((signal.SIGTERM, self._spec["grace"] + 5), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, number)
                if select.select([process], [], [], seconds)[0]:
                    break

    def started(self) -> None:
        """Tells of the service, and removes what the one before wrote; then other runs may go on."""
        with open("/proc/sys/kernel/random/boot_id") as file:
            boot = file.read().strip()
        self.record(pid=os.getpid(), start_time=_start_time(os.getpid()), boot=boot, started=time.time())
        if before := self._spec["before"]:
            _remove(os.path.join(before["folder"], "run"))
        os.close(self._spec["lock_fd"])

    def start(self) -> bytes:
        """Starts the service; `_inside.py`'s report, empty when the service's program runs."""
        self._output, output = os.pipe()
        report, reported = os.pipe()
        listener = self._spec["socket_fd"]
        inside = os.memfd_create("specification", 0)
        os.write(inside, json.dumps({**self._spec["inside"], "error_fd": reported, "socket_fd": listener}).encode())
        os.lseek(inside, 0, os.SEEK_SET)
        self._child = os.fork()
        if self._child == 0:
            for number in (1, 2):
                os.dup2(output, number)
            for number in (inside, reported, listener):
                if number >= 0:
                    os.set_inheritable(number, True)
            os.execv(sys.executable, [sys.executable, "-I", "-S", self._spec["script"], str(inside)])
        for number in (output, reported, inside):
            os.close(number)
        with open(report, "rb") as file:
            return file.read()

    def run(self) -> None:
        """Until the service has ended, and is not to be started again."""
        self._wake, woken = os.pipe()
        for number in (self._wake, woken):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
        self._control = self._listener()
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            self._watch(self._ended)
            while self._copy():
                pass
            os.close(self._output)
            self._output = -1
            if not self._goes_on():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > _LONG else pause
            self._turn_away()
            self.record(ended=time.time(), restarts=self._status.get("restarts", 0) + 1)
            self._watch(functools.partial(self._waited, time.monotonic() + pause))
            if self._is_asked_to_end():
                return
            pause = min(2 * pause, LONGEST_PAUSE)
            self._again()

    def _goes_on(self) -> bool:
        policy = self._spec["restart"]
        failed = self._status["exit_code"] != 0
        wanted = policy in ("always", "unless-stopped") or (policy == "on-failure" and failed)
        return wanted and not self._is_asked_to_end()

    def _turn_away(self) -> None:
        """Ends the connections that nobody answers any more; later ones wait for the next start."""
        if (number := self._spec["socket_fd"]) < 0:
            return
        with socket.socket(fileno=os.dup(number)) as listener:
            while select.select([listener], [], [], 0)[0]:
                listener.accept()[0].close()

    def _waited(self, until: float) -> bool:
        return time.monotonic() >= until or self._is_asked_to_end()

    def _is_asked_to_end(self) -> bool:
        return self._kill_at is not None

    def _again(self) -> None:
        self._status["last_exit_code"] = self._status.pop("exit_code")
        # What cannot be started has ended, and the log says why.
        self._log.write(self.start())
        self.record(started=time.time())

    def _watch(self, done: Callable[[], bool]) -> None:
        """Sees to what comes in, until `done`."""
        poll = select.poll()
        leash = -1 if self._is_asked_to_end() else self._spec["leash_fd"]
        for number in (self._output, self._wake, leash, self._control.fileno() if self._control else -1):
            if number >= 0:
                poll.register(number, select.POLLIN)
        while not done():
            for number, _event in poll.poll(100 if self._output < 0 or self._is_asked_to_end() else None):
                if number == self._output and not self._copy():
                    poll.unregister(self._output)
                elif number == self._wake:
                    os.read(self._wake, 512)
                elif number == leash:
                    poll.unregister(leash)
                    self.ask_to_end()
                elif self._control and number == self._control.fileno():
                    self._hand_over(self._control)

    def record(self, **facts: Any) -> None:
        """Writes the status file anew, in one act."""
        self._status.update(facts)
        path = self._spec["status"]
        with open(f"{path}.new", "w") as file:
            json.dump(self._status, file)
        os.replace(file.name, path)

    def ask_to_end(self, *_: object) -> None:
        """On SIGTERM: passes it on, and sets the time after which the service is killed."""
        self._status["stopped"] = True
        self._kill_at = time.monotonic() + self._spec["grace"]
        if "exit_code" not in self._status:
            os.kill(self._child, signal.SIGTERM)

    def _ended(self) -> bool:
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            os.kill(self._child, signal.SIGKILL)
        ended, status = os.waitpid(self._child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            self._status["exit_code"] = code if code >= 0 else 128 - code
        return bool(ended)

    def _copy(self) -> bool:
        # Never more than one file of the log may hold.
        data = os.read(self._output, min(_CHUNK, self._spec["log_bytes"]))
        if data:
            self._log.write(data)
        return bool(data)

    def _listener(self) -> socket.socket | None:
        if self._spec["socket_fd"] < 0:
            return None
        # Bound by its name in the current folder: a socket's path may have no more than 108 bytes.
        server = socket.socket(socket.AF_UNIX)
        server.bind("control")
        server.listen()
        return server

    def _hand_over(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError), control.accept()[0] as connection:
            socket.send_fds(connection, [b"s"], [self._spec["socket_fd"]])


def _start_time(pid: int) -> str:
    """When a process started, in the kernel's ticks since boot (proc_pid_stat(5), field 22); empty for none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _remove(folder: str) -> None:
    """Removes a folder, an overlay's work folder (of mode 0) included; what resists, the next start removes."""
    import shutil

    def enter(_function: object, path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(path, 0o700)
        shutil.rmtree(path, ignore_errors=True)

    shutil.rmtree(folder, onerror=enter)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> NoReturn:
    with open(int(sys.argv[1])) as file:
        spec = json.load(file)
    ready = spec["ready_fd"]
    for number in (ready, spec["socket_fd"], spec["leash_fd"], spec["lock_fd"]):
        if number >= 0:
            os.set_inheritable(number, False)
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir(spec["folder"])
    supervisor = Supervisor(spec)
    supervisor.replace()
    if report := supervisor.start():
        with contextlib.suppress(BrokenPipeError):
            os.write(ready, report)
        os._exit(1)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, supervisor.ask_to_end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.started()
    # Whoever waited for it may have been killed.
    with contextlib.suppress(BrokenPipeError):
        os.write(ready, b"ok")
    os.close(ready)
    supervisor.run()
    supervisor.record(ended=time.time())
    os._exit(0)


if __name__ == "__main__":
    main()
