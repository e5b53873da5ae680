"""Finds the container engine to use: Docker by its usual ways, then Podman, then none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

from pipeline.engine.ask import NoAnswer, ask, asks_plainly
from pipeline.engine.model import About, Engine, NoEngine
from pipeline.errors import OutOfReach, UsageError

Choice = Literal["auto", "docker", "podman", "none", "acr"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
_INSTALL = "install Docker (package docker.io) or Podman (package podman), and see that its service runs"
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where an engine may listen: its address, and what names it, for people."""

    address: str
    named_by: str


def candidates(environ: Mapping[str, str], choice: Choice = "auto", root: Path = Path("/")) -> Iterator[Candidate]:
    """Where to look, in order: DOCKER_HOST, Docker's current context, Docker's sockets, Podman's sockets.

    `root` is the machine's root folder, for the sockets whose path is fixed.
    """
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if choice in ("auto", "docker"):
        if host := environ.get("DOCKER_HOST"):
            yield Candidate(host, "DOCKER_HOST")
            return
        if context := _context(environ):
            yield context
            return
        yield Candidate(f"unix://{root / 'var/run/docker.sock'}", "Docker's socket")
        if runtime:
            yield Candidate(f"unix://{runtime}/docker.sock", "rootless Docker's socket")
    if choice in ("auto", "podman"):
        if host := environ.get("CONTAINER_HOST"):
            yield Candidate(host, "CONTAINER_HOST")
        if runtime:
            yield Candidate(f"unix://{runtime}/podman/podman.sock", "Podman's socket")
        yield Candidate(f"unix://{root / 'run/podman/podman.sock'}", "Podman's socket")


def find(environ: Mapping[str, str], choice: Choice = "auto", root: Path = Path("/")) -> About | None:
    """The first engine that answers; None for `none` and `acr`, and for `auto` where there is none.

    Raises OutOfReach for an engine that was asked for and does not answer: by `choice`, DOCKER_HOST or a context.
    """
    if choice not in CHOICES:
        raise UsageError(f"{choice!r} is no engine", remedy=f"one of {', '.join(CHOICES)}")
    if choice in ("none", "acr"):
        return None
    refused: list[tuple[Candidate, str]] = []
    for candidate in candidates(environ, choice, root):
        try:
            return about(candidate.address)
        except NoAnswer as error:
            refused.append((candidate, str(error)))
    named = [pair for pair in refused if "'s socket" not in pair[0].named_by]
    if choice == "auto" and not named:
        return None
    raise _silent(named or refused)


def why_none(environ: Mapping[str, str], choice: Choice = "auto", root: Path = Path("/")) -> OutOfReach | NoEngine:
    """The error for work that needs an engine where there is none: what was tried, and the remedy. A manifest that
    wants none, and has work for one, is wrong; an engine that does not answer may do so later.
    """
    if choice == "none":
        remedy = "set `engine: auto` under `build`, or use kinds that are assembled"
        return NoEngine("commands need a container engine, and the manifest says `engine: none`", remedy=remedy)
    if choice == "acr":
        remedy = "put the commands into a `dockerfile` base, or set `engine: auto` where there is Docker or Podman"
        return NoEngine(
            "the manifest says `engine: acr`, which builds Dockerfiles and runs nothing else", remedy=remedy
        )
    refused = []
    for candidate in candidates(environ, choice, root):
        try:
            about(candidate.address)
        except NoAnswer as error:
            refused.append((candidate, str(error)))
    return _silent(refused)


def connect(found: About) -> Engine:
    """The engine itself, for work."""
    from pipeline.engine.docker import DockerEngine

    return DockerEngine(found)


def about(address: str, answer: Callable[[str, str], tuple[int, Any]] = ask) -> About:
    """Who answers at an address. Raises NoAnswer."""
    if not asks_plainly(address):
        from pipeline.engine.sdk import version

        value = version(address)
    else:
        status, value = answer(address, "/version")
        if status != 200 or not isinstance(value, dict):
            raise NoAnswer(f"it answers with status {status}")
    components = [part.get("Name", "") for part in value.get("Components") or ()]
    name = "Podman" if any("Podman" in part for part in components) else "Docker"
    machine = value.get("Arch", "")
    platform = f"{value.get('Os', 'linux')}/{_MACHINES.get(machine, machine)}"
    return About(name, value.get("Version", ""), platform, address)


def _context(environ: Mapping[str, str]) -> Candidate | None:
    """Docker's current context (docs.docker.com, "Docker contexts"), if it is not the default one."""
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _json(folder / "config.json").get("currentContext") or "default"
    if name == "default":
        return None
    meta = _json(folder / "contexts" / "meta" / sha256(name.encode()).hexdigest() / "meta.json")
    host = (meta.get("Endpoints") or {}).get("docker", {}).get("Host", "")
    if not host:
        raise UsageError(f"Docker's context {name!r} has no host", remedy="choose one with 'docker context use'")
    return Candidate(host, f"Docker's context {name}")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _silent(refused: list[tuple[Candidate, str]]) -> OutOfReach:
    """What was tried, and how to get an engine."""
    tried = "; ".join(f"{one.named_by} {one.address}: {why}" for one, why in refused)
    remedy = _INSTALL
    denied = any("permission denied" in why for _, why in refused)
    if denied:
        remedy = "run as root, or add yourself to the group docker ('sudo usermod -aG docker $USER') and log in again"
    elif any("'s socket" not in one.named_by for one, _ in refused):
        remedy = "start it, or correct what names it"
    return OutOfReach(f"no container engine is in reach ({tried})", remedy=remedy, lasting=denied)
