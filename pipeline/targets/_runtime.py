"""How a local service is run, whatever runs it: the verbs that the target `local` needs, and what they answer."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from pipeline.noun import noun
from pipeline.targets.model import Release


@noun
class Process:
    """A service that was started here. `exit_code` is None while it runs, and when nobody was left to see its end;
    `by` names the engine that it runs in, if any; `restarts` counts how often it was started again after it ended.
    """

    alive: bool
    revision: str
    image: str
    host: str
    port: int
    started: float
    exit_code: int | None = None
    stopped: bool = False
    by: str = ""
    restarts: int = 0


class Runtime(Protocol):
    """Runs at most one process of one service."""

    def start(self, release: Release, host: str) -> None:
        """Runs `release` on host:port in place of what runs; returns once its program is started."""
        ...

    def inspect(self) -> Process | None:
        """The process that runs or ran last; quick."""
        ...

    def stop(self) -> None:
        """Asks it to end, ends it after a time of grace, and removes what it wrote."""
        ...

    def remove(self) -> None:
        """Stops it and takes away what is left of it, for it runs elsewhere from now on."""
        ...

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        """Its output, oldest line first; with `follow` until it ends."""
        ...


def on_port(argv: Sequence[str], container_port: int, port: int) -> tuple[str, ...]:
    """A command with the container's port replaced where it stands alone or at an option's or an address's end."""
    pattern = re.compile(rf"(?:(?<=^)|(?<=[:=])){container_port}$")
    return (*argv[:1], *(pattern.sub(str(port), word) for word in argv[1:]))


def restart(release: Release) -> str:
    """The restart policy, by Docker's name for it."""
    # An unquoted `no` is false in YAML.
    return release.settings.get("restart", "unless-stopped") or "no"


def environment(release: Release) -> dict[str, str]:
    """What the target adds to the image's environment: its settings, and the port that the service is to listen on."""
    # Else the lines that Python buffers come last in the log, after the error that they led to.
    env = {"PYTHONUNBUFFERED": "1", **(release.settings.get("env") or {})}
    if workers := release.settings.get("workers"):
        # The name that azureml-inference-server-http reads.
        env.setdefault("WORKER_COUNT", f"{workers:d}")
    return {**env, "PORT": str(release.container_port)}


def last_lines(lines: Iterable[str], number: int | None) -> list[str]:
    """The last `number` lines; all of them for None."""
    return list(deque(lines, maxlen=number))
