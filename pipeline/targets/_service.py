"""Services without a container engine: a supervised sandbox each, found again by the files in its state folder.

STATE/status.json says what runs; STATE/<start>/ holds one start's log, control socket and writable layer.

Servers built on gunicorn, as azureml-inference-server-http is, take over a socket that is already listening
(systemd's protocol, sd_listen_fds(3)) and ignore the address in their command. They get one: the port is taken before
anything starts, the image stays as it is, nothing listens anywhere else, and a successor inherits the socket, so that
callers wait instead of being refused. Any other server gets the environment variable PORT, and the container's port in
its command replaced; what address it listens on is its own choice, for the host's network is shared.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.oci.descriptor import Layer
from pipeline.store.roots import remove_tree
from pipeline.targets._runtime import Process, environment, on_port, restart
from pipeline.targets._status import guard, read
from pipeline.targets._supervised import alive, end, inherit
from pipeline.targets.model import Release, mounted

if TYPE_CHECKING:
    import socket

    from pipeline.targets._sandbox import Command

_SUPERVISE = Path(__file__).with_name("_supervise.py")
_TAKES_SOCKET = {"gunicorn", "azmlinfsrv", "azureml_inference_server_http"}
_KEPT_STARTS = 3


class NamespaceRuntime:
    """Runs one service below the folder `state`; `unpacked` gives the folder of a layer.

    `grace` is how many seconds a service has to end when asked; `log_bytes` is when its log is rotated (one older file
    is kept). A service that is not `detached` ends with this process, however that ends.
    """

    def __init__(
        self,
        state: Path,
        unpacked: Callable[[Layer], Path],
        *,
        grace: float = 10,
        log_bytes: int = 10_000_000,
        detached: bool = True,
    ) -> None:
        self._state = state
        self._unpacked = unpacked
        self._grace = grace
        self._log_bytes = log_bytes
        self._detached = detached
        self._leash = -1

    def start(self, release: Release, host: str) -> None:
        """Raises RolloutError for a port that is taken, SandboxError for a sandbox or a command that does not start."""
        from pipeline.targets import _ports, _sandbox

        with guard(self._state) as lock:
            layers = [self._unpacked(layer) for layer in (*release.layers, *mounted(release.mounts))]
            command = _sandbox.command(layers, release.config, env=environment(release))
            takes_socket = _takes_socket(command.argv)
            current = read(self._state)
            same = alive(current) and (current["host"], current["port"]) == (host, release.port)
            listener = inherit(current) if same and takes_socket else None
            if not same:
                listener = _ports.bind(host, release.port)
            elif takes_socket and not listener:
                # The one before listens by itself: the port is free only once that has ended.
                end(self._state, self._grace)
                listener = _ports.bind(host, release.port)
            with listener or nullcontext():
                if not takes_socket:
                    if listener:
                        listener.close()
                    command = _on_port(command, release.container_port, release.port)
                self._launch(release, host, layers, command, listener if takes_socket else None, lock)

    def inspect(self) -> Process | None:
        status = read(self._state)
        if not status:
            return None
        return Process(
            # One that has ended and is about to be started again counts as ended: its exit code tells why.
            alive=alive(status) and "exit_code" not in status,
            revision=status["revision"],
            image=status["image"],
            host=status["host"],
            port=status["port"],
            started=status["started"],
            exit_code=status.get("exit_code", status.get("last_exit_code")),
            restarts=status.get("restarts", 0),
            stopped=status.get("stopped", False),
        )

    def stop(self) -> None:
        with guard(self._state):
            end(self._state, self._grace)
            self._prune()
        self._drop_leash()

    def remove(self) -> None:
        self.stop()

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        from pipeline.targets._log import read as lines_of

        status = read(self._state)
        if status:
            yield from lines_of(Path(status["folder"]) / "log", lines, (lambda: alive(status)) if follow else None)

    def _launch(
        self,
        release: Release,
        host: str,
        layers: Sequence[Path],
        command: Command,
        listener: socket.socket | None,
        lock: int,
    ) -> None:
        import tempfile

        from pipeline.targets import _sandbox

        self._prune()
        folder = Path(tempfile.mkdtemp(prefix="start-", dir=self._state))
        facts = {
            "revision": release.revision,
            "image": release.image,
            "host": host,
            "port": release.port,
            "folder": str(folder),
            "restart": restart(release) if self._detached else "no",
        }

        def attempt(lower: str) -> None:
            inside = _sandbox.specification(folder / "run", lower, command)
            self._supervise(folder, facts, inside, listener, lock)

        try:
            (folder / "run").mkdir()
            _sandbox.in_root(folder / "run", layers, attempt)
        except BaseException:
            remove_tree(folder)
            raise

    def _supervise(
        self, folder: Path, facts: dict[str, Any], inside: dict[str, Any], listener: socket.socket | None, lock: int
    ) -> None:
        """Starts the supervisor and waits until the service's program runs.

        From here on the supervisor does all of it, the end of the service before included, and has the lock until it
        is done: should this process be killed, the service changes all the same, and the next run waits for that.
        """
        import subprocess

        from pipeline.targets import _sandbox

        told, write = os.pipe()
        leash, before = self._new_leash(), read(self._state)
        numbers = {
            "ready_fd": write,
            "socket_fd": listener.fileno() if listener else -1,
            "leash_fd": leash,
            "lock_fd": lock,
        }
        spec = {**self._spec(folder, facts, inside), **numbers, "before": before if alive(before) else {}}
        file = _sandbox.memory_file(spec)
        passed = tuple(number for number in (file, write, spec["socket_fd"], leash, lock) if number >= 0)
        with open(told, "rb") as ready:  # noqa: PTH123
            try:
                subprocess.run(
                    [sys.executable, "-I", "-S", str(_SUPERVISE), str(file)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=passed,
                    check=False,
                )
            finally:
                for number in {write, file, leash} - {-1}:
                    os.close(number)
            answer = ready.read()
        if answer != b"ok":
            raise _sandbox.refusal(answer or b'{"kind": "setup", "message": "its supervisor did not start"}')

    def _spec(self, folder: Path, facts: Mapping[str, Any], inside: Mapping[str, Any]) -> dict[str, Any]:
        """What the supervisor is told of the service."""
        from pipeline.targets import _sandbox

        return {
            "folder": str(folder),
            "status": str(self._state / "status.json"),
            # Not changed in place: this is called again where an overlay is refused.
            "facts": {name: fact for name, fact in facts.items() if name != "restart"},
            "inside": inside,
            "script": str(_sandbox.INSIDE),
            "log_bytes": self._log_bytes,
            "grace": self._grace,
            "restart": facts["restart"],
        }

    def _new_leash(self) -> int:
        """The end for the supervisor of a pipe whose other end the system closes when this process ends; or -1."""
        self._drop_leash()
        if self._detached:
            return -1
        given, self._leash = os.pipe()
        return given

    def _drop_leash(self) -> None:
        if self._leash >= 0:
            os.close(self._leash)
        self._leash = -1

    def _prune(self) -> None:
        """Removes the leavings of earlier starts, but for the newest logs, and for what runs."""
        status = read(self._state)
        running = Path(status["folder"]) if alive(status) else None
        starts = sorted(self._state.glob("start-*"), key=lambda folder: folder.stat().st_mtime)
        starts = [start for start in starts if start != running]
        # What was killed before it began has no log.
        begun = [start for start in starts if (start / "log").exists()]
        kept = begun[-(_KEPT_STARTS - 1 - bool(running)) :]
        for folder in starts:
            remove_tree(folder / "run" if folder in kept else folder)


def _takes_socket(argv: Sequence[str]) -> bool:
    """Whether a command is one of the servers that take a listening socket, run directly or as a Python module."""
    name = argv[0].rpartition("/")[2]
    module = argv[argv.index("-m") + 1] if "-m" in argv[:-1] and name.startswith("python") else ""
    return name in _TAKES_SOCKET or module.partition(".")[0] in _TAKES_SOCKET


def _on_port(command: Command, old: int, port: int) -> Command:
    return replace(command, argv=on_port(command.argv, old, port), env={**command.env, "PORT": str(port)})
