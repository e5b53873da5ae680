"""What every container engine understands: images to start from, and containers that run one command each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pipeline.errors import PipelineError, UsageError

ChangeKind = Literal["changed", "added", "deleted"]


class EngineError(PipelineError):
    """Something that an engine in reach refuses to do."""


class NoEngine(UsageError):
    """The manifest wants no engine for commands, and has some."""


@dataclass(frozen=True, slots=True)
class About:
    """An engine in reach: its name (Docker or Podman), its version, what it runs, and where it listens."""

    name: str
    version: str
    platform: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} at {self.address}"


@dataclass(frozen=True, slots=True)
class Job:
    """One command in a container made from `image`, and what surrounds it.

    `files` (absolute path → content, or a file of this machine) are put into the container before it starts; `secrets`
    (name → text) become files below /run/secrets on a tmpfs; `caches` (absolute path → name) are folders that outlive
    the container. `network` is default, host or none. `memory` is in bytes and `cpus` a number of them, 0 without a
    limit. `title` says what it is for, to whoever lists containers.
    """

    image: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    workdir: str = ""
    network: str = "default"
    memory: int = 0
    cpus: float = 0.0
    files: Mapping[str, bytes | Path] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    caches: Mapping[str, str] = field(default_factory=dict)
    title: str = ""


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """An image to build from a Dockerfile at `path`, with the folder `context`; `target` names a build stage, if any.

    `text` is built in place of what the file holds. `secrets` (id → text) are for `RUN --mount=type=secret`, and reach
    no layer. `network` is default, host or none. `logins` (registry → user and password) are for what it starts from.
    """

    path: Path
    context: Path
    args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: str = "default"
    platform: str = ""
    text: str = ""
    logins: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """An image that an engine has: its ID, its names, and its digests in registries (`name@digest`) as far as known."""

    id: str
    names: tuple[str, ...] = ()
    published: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; `out_of_memory` says that the kernel killed it for the memory that it used."""

    exit_code: int
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One path (relative to the root, without a leading slash) that a command added, changed or deleted."""

    path: str
    kind: ChangeKind


class Container(Protocol):
    """A container that was made and not started yet."""

    def run(self, line: Callable[[str], None]) -> Ended:
        """Runs the command to its end; `line` is called with each line of its output."""
        ...

    def kill(self) -> None:
        """Ends the command at once; may be called from another thread, and when it has ended."""
        ...

    def changes(self) -> Sequence[Change]:
        """What differs from the image, in no order; a deleted folder without what was in it."""
        ...

    def own(self) -> Collection[str]:
        """Paths that the engine itself changed for the command, and the command did not."""
        ...

    def upper(self) -> Path | None:
        """The folder on this machine that holds every added and changed path as it is now, where there is one."""
        ...

    def export(self) -> Iterable[bytes]:
        """The container's whole file system as a tar, in pieces."""
        ...


class Engine(Protocol):
    """A container engine. Every method raises OutOfReach when it does not answer, EngineError when it refuses."""

    def about(self) -> About: ...

    def layers(self, image: str) -> tuple[str, ...] | None:
        """The diff IDs of an image that the engine has; None for one that it has not."""
        ...

    def identity(self, image: str) -> Identity | None:
        """An image by its name or ID; None for one that the engine has not."""
        ...

    def tag(self, image: str, name: str) -> None:
        """Gives an image a further name, which another one may have had."""
        ...

    def forget(self, name: str) -> None:
        """Takes a name from an image, and removes the image that has no other; nothing for one that is in use."""
        ...

    def load(self, archive: Iterable[bytes]) -> None:
        """Takes the images of a `docker save` archive, given in pieces. Layers that the engine has may be left out."""
        ...

    def build(self, wanted: Dockerfile, line: Callable[[str], None], halted: Callable[[], bool]) -> str:
        """Builds an image, and gives its ID; `line` is called with each line of output, `halted` says when to stop."""
        ...

    def save(self, image: str) -> Iterable[bytes]:
        """An image as a `docker save` archive, in pieces."""
        ...

    def container(self, job: Job) -> AbstractContextManager[Container]:
        """A container for one command; it is removed at the end of the block, however that comes."""
        ...
