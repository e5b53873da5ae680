"""The target kind `local`: a service on this machine, in a container engine or without one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import OutOfReach
from pipeline.targets._runtime import Process, Runtime
from pipeline.targets.model import Observation, Release

if TYPE_CHECKING:
    from pipeline.store.roots import Roots

DEADLINE = 60.0
"""Seconds that a service may take until it is healthy, unless the manifest says otherwise."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "description": "A service on this machine: in Docker or Podman, or in Linux namespaces where there is neither.",
    "required": ["image", "port"],
    "additionalProperties": False,
    "properties": {
        "image": {"type": "string", "description": "The image to serve, by its name in `images`."},
        "port": {"type": "integer", "minimum": 1, "maximum": 65535, "description": "Where clients call the service."},
        "host": {
            "type": "string",
            "minLength": 1,
            "default": "127.0.0.1",
            "description": "The address to listen on; 0.0.0.0 lets other machines call.",
        },
        "env": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Environment variables, over those of the image.",
        },
        "engine": {
            "enum": ["auto", "docker", "podman", "none"],
            "default": "auto",
            "description": "What runs it: auto takes Docker, then Podman, then namespaces (none).",
        },
        "memory": {
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B?$",
            "description": "The most memory that it may use, as in 2GiB; in an engine only.",
        },
        "cpus": {
            "type": "number",
            "exclusiveMinimum": 0,
            "description": "The most processors that it may use; in an engine only.",
        },
        "gpus": {
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": "^all$",
            "description": "How many GPUs it gets, or all; in an engine only.",
        },
        "restart": {
            "enum": ["no", "on-failure", "always", "unless-stopped", False],
            "default": "unless-stopped",
            "description": "Whether it is started again when it ends by itself; `pipeline stop` ends it in any case.",
        },
        "workers": {"type": "integer", "minimum": 1, "description": "Processes that score (WORKER_COUNT)."},
        "health": {
            "type": "object",
            "additionalProperties": False,
            "description": "How to tell that the service is well.",
            "properties": {
                "path": {
                    "type": "string",
                    "pattern": "^/[!-~]*$",
                    "default": "/",
                    "description": "GET on it is answered with 200 to 399.",
                },
                "deadline": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 60,
                    "description": "Seconds from the start until it must be healthy.",
                },
                "timeout": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "default": 5,
                    "description": "Seconds to wait for the answer to one health request.",
                },
            },
        },
    },
}


def accelerators(spec: Mapping[str, Any]) -> frozenset[str]:
    """What the target has of what base images may need."""
    return frozenset({"cuda"}) if spec.get("gpus") else frozenset()


class LocalTarget:
    """One service on this machine, run by `runtime`; `probe(host, port, path, timeout)` tells what is wrong with it."""

    def __init__(
        self,
        runtime: Runtime,
        spec: Mapping[str, Any],
        *,
        probe: Callable[[str, int, str, float], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._runtime = runtime
        self._host: str = spec.get("host", "127.0.0.1")
        self._health: Mapping[str, Any] = spec.get("health") or {}
        self._probe = probe
        self._clock = clock

    def observe(self) -> Observation:
        try:
            process = self._runtime.inspect()
        except OutOfReach as error:
            return Observation("failed", detail=error.message)
        if process is None:
            return Observation("absent")
        if not process.alive:
            return self._ended(process)
        wrong = self._probe(process.host, process.port, self._health.get("path", "/"), self._health.get("timeout", 5))
        if not wrong:
            return _observation("running", process, f"in {process.by}" if process.by else "")
        # It may have ended while it was asked.
        now = self._runtime.inspect() or process
        if not now.alive:
            return self._ended(now)
        if now.restarts:
            times = f"{now.restarts} time{'s' * (now.restarts != 1)}"
            return _observation("failed", now, f"{_end(now)}, and was started again {times}; now {wrong}")
        young = self._clock() - now.started < self._health.get("deadline", DEADLINE)
        return _observation("starting" if young else "failed", now, wrong)

    def rollout(self, release: Release) -> Observation:
        self._runtime.start(release, self._host)
        process = self._runtime.inspect()
        return _observation("starting", process) if process and process.alive else self.observe()

    def rollback(self, release: Release) -> Observation:
        return self.rollout(release)

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        return self._runtime.logs(follow=follow, lines=lines)

    def stop(self) -> Observation:
        self._runtime.stop()
        return self.observe()

    def remove(self) -> None:
        """Ends the service and leaves nothing of it on this machine but its log."""
        self._runtime.remove()

    def _ended(self, process: Process) -> Observation:
        if process.stopped:
            return _observation("stopped", process)
        if not process.started:
            return _observation("failed", process, "it was not started: its rollout was broken off")
        if process.exit_code is None:
            return _observation("failed", process, "it ended without a word: killed, or the machine was restarted")
        return _observation("failed", process, _end(process))


def _end(process: Process) -> str:
    if process.exit_code is None:
        return "it ended"
    if process.exit_code > 128:
        return f"it was killed by signal {process.exit_code - 128}"
    return f"it ended with exit code {process.exit_code}"


def _observation(state: Any, process: Process, detail: str = "") -> Observation:
    host = f"[{process.host}]" if ":" in process.host else process.host
    address = f"http://{host}:{process.port}"
    return Observation(state, process.revision, process.image, address, detail, process.started)


def target(
    service: str,
    spec: Mapping[str, Any],
    *,
    state: Path,
    roots: Roots,
    detached: bool = True,
    environ: Mapping[str, str] | None = None,
) -> LocalTarget:
    """The target of one manifest entry. `service` is unique on this machine, `state` holds all services' folders.

    A service that is not `detached` ends with this process, and needs no engine. `environ` names the engines.
    """
    from pipeline.targets._chosen import ChosenRuntime
    from pipeline.targets._ports import health

    # Quoted as in a URL, so that no two services share a folder.
    folder = "".join(c if c.isalnum() or (c in "-_." and c.isascii()) else f"%{ord(c):02X}" for c in service)
    home = state / "services" / folder.replace("..", "%2E%2E")
    engine = spec.get("engine", "auto") if detached else "none"
    runtime = ChosenRuntime(service, home, roots, engine, os.environ if environ is None else environ, detached=detached)
    return LocalTarget(runtime, spec, probe=health)
