"""What the Docker SDK is called with: for a Dockerfile's build, for a command's container, and for files put there."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.engine import owner
from pipeline.engine.model import Dockerfile, Job
from pipeline.engine.secrets import SECRETS, script

OWNER = "pipeline.owner"
STEP = "pipeline.step"
DOCKERFILE = ".pipeline.dockerfile"
CHUNK = 1 << 20


def building(wanted: Dockerfile) -> dict[str, Any]:
    """The arguments that build a Dockerfile, which is in the build context by the name DOCKERFILE."""
    return {
        "custom_context": True,
        "dockerfile": DOCKERFILE,
        "buildargs": dict(wanted.args),
        "target": wanted.target or None,
        "network_mode": None if wanted.network == "default" else wanted.network,
        "platform": wanted.platform or None,
        "rm": True,
        "forcerm": True,
        "decode": True,
    }


def ignored(wanted: Dockerfile) -> list[str]:
    """The rules of what stays out of the build context (docs.docker.com, "Build context", ".dockerignore files")."""
    places = (wanted.path.with_name(f"{wanted.path.name}.dockerignore"), wanted.context / ".dockerignore")
    text = next((place.read_text(encoding="utf-8") for place in places if place.is_file()), "")
    return [rule for line in text.splitlines() if (rule := line.strip()) and not rule.startswith("#")]


def creation(api: Any, job: Job) -> dict[str, Any]:
    """The arguments that make a job's container; `api` is the SDK's client."""
    host: dict[str, Any] = {"network_mode": job.network if job.network != "default" else None}
    if job.memory:
        host |= {"mem_limit": job.memory, "memswap_limit": job.memory}
    if job.cpus:
        host["nano_cpus"] = int(job.cpus * 1e9)
    if job.secrets:
        host["tmpfs"] = {SECRETS: "mode=1777,size=16m"}
    if job.caches:
        # What the image has there is not copied into the cache: it is the image's.
        host["binds"] = [f"{name}:{path}:nocopy" for path, name in job.caches.items()]
    return {
        "image": job.image,
        "command": script(job.argv) if job.secrets else list(job.argv),
        "entrypoint": [],
        "environment": dict(job.env),
        "user": job.user or None,
        "working_dir": job.workdir or None,
        "stdin_open": bool(job.secrets),
        "labels": {OWNER: owner.own(), STEP: job.title},
        "host_config": api.create_host_config(**host),
    }


def archive(files: Mapping[str, bytes | Path]) -> Iterator[bytes]:
    """A tar (GNU format) of files by their absolute paths, in pieces: those of this machine are read when sent."""
    for path, content in files.items():
        info = tarfile.TarInfo(path.lstrip("/"))
        info.size = len(content) if isinstance(content, bytes) else content.stat().st_size
        info.mode = 0o644
        yield info.tobuf(tarfile.GNU_FORMAT)
        yield from (content,) if isinstance(content, bytes) else _pieces(content, info.size)
        if rest := info.size % tarfile.BLOCKSIZE:
            yield bytes(tarfile.BLOCKSIZE - rest)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size and (piece := file.read(min(size, CHUNK))):
            size -= len(piece)
            yield piece
