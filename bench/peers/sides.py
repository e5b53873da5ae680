"""The contestants. Each builds and pushes what its folder says, as whole processes, and can be made to forget."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from uv import find_uv_bin

from bench.peers.engine import Daemon
from bench.peers.inputs import APT_AND_PIP, MOUNTS_AND_UV, SERVING, Inputs, bake_file, certificates, machine

COMPILED = "bake, cache mounts and uv with --compile-bytecode"
PIPELINE = str(Path(sys.executable).with_name("pipeline"))
_INDEX_SETTINGS = ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_EXTRA_INDEX_URL", "UV_INDEX")


class Failed(Exception):
    """A command that was to be measured failed; the message has what it printed."""


class Side(Protocol):
    """One contestant; `keeps`: it has caches of packages that outlive its store."""

    name: str
    keeps: bool

    def furnish(self, inputs: Inputs) -> None:
        """Puts beside the project what it needs of this machine."""

    def use(self, inputs: Inputs) -> None:
        """What it works on from now on."""

    def aim(self, repository: str) -> None:
        """Where it pushes to from now on."""

    def empty(self) -> None:
        """Makes it forget all."""

    def forget(self) -> None:
        """Makes it forget what it built, but for its caches of packages."""

    def run(self) -> float:
        """Builds and pushes; seconds."""

    def rebase(self) -> float:
        """The same, when the base's tag has moved."""

    def stop(self) -> None:
        """Ends what it started."""


def _timed(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> float:
    log = folder / "last.log"
    with log.open("wb") as said:
        began = time.perf_counter()
        code = subprocess.run(command, cwd=folder, env=environ, stdout=said, stderr=said, check=False).returncode
        seconds = time.perf_counter() - began
    if code:
        raise Failed(f"{' '.join(command)}: exit code {code}\n{log.read_text(errors='replace')[-3000:]}")
    return seconds


class Pipeline:
    """This project, with a home and a cache of uv's own."""

    keeps = True

    def __init__(self, folder: Path, index: str) -> None:
        self.name = "pipeline"
        self._folder = folder
        self._inputs: Inputs | None = None
        self._homes = 0
        # Both sides ask the same index: wheels that lie on this machine are out of a build's reach.
        self._environ = {name: text for name, text in os.environ.items() if name not in (*_INDEX_SETTINGS, "CI")}
        self._environ |= {"PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1", "NO_COLOR": "1"}
        self._environ |= {"PIP_INDEX_URL": index} if index else {}

    def furnish(self, inputs: Inputs) -> None:
        """Nothing: it reads this machine's settings itself."""

    def _home(self) -> Path:
        return self._folder / f"home-{self._homes}"

    def use(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def aim(self, repository: str) -> None:
        self._project.aim(repository)

    @property
    def _project(self) -> Inputs:
        assert self._inputs is not None
        return self._inputs

    def empty(self) -> None:
        shutil.rmtree(self._home(), ignore_errors=True)
        # A new folder: file systems are slow for a while where many files were just deleted.
        self._homes += 1

    def forget(self) -> None:
        old = self._home()
        self._homes += 1
        self._home().mkdir(parents=True)
        for name in ("cache", "uv"):
            (old / name).rename(self._home() / name)
        shutil.rmtree(old)

    def call(self, *arguments: str, folder: Path | None = None) -> float:
        environ = {**self._environ, "PIPELINE_HOME": str(self._home()), "UV_CACHE_DIR": str(self._home() / "uv")}
        return _timed([PIPELINE, *arguments], folder or self._project.folder, environ)

    def said(self) -> str:
        return (self._project.folder / "last.log").read_text()

    def run(self) -> float:
        return self.call("run", self._project.manifest.name)

    def rebase(self) -> float:
        return self.call("run", self._project.manifest.name, "--upgrade", "system")

    def stop(self) -> None:
        shutil.rmtree(self._home(), ignore_errors=True)


class Bake:
    """`docker buildx bake` with a Dockerfile, in the builder of a Docker daemon of its own."""

    def __init__(self, name: str, folder: Path, programs: Path, dockerfile: str) -> None:
        self.name = name
        self.keeps = "type=cache" in dockerfile
        self._folder = folder
        self._programs = programs
        self._dockerfile = dockerfile
        self._inputs: Inputs | None = None
        self._daemon: Daemon | None = None
        self._daemons = 0

    @property
    def _project(self) -> Inputs:
        assert self._inputs is not None
        return self._inputs

    def furnish(self, inputs: Inputs) -> None:
        machine(inputs.folder / "machine", os.environ, certificates(os.environ))
        (inputs.folder / "tools").mkdir()
        shutil.copy(find_uv_bin(), inputs.folder / "tools/uv")

    def use(self, inputs: Inputs) -> None:
        self._inputs = inputs

    def aim(self, repository: str) -> None:
        file = self._project.folder / "Dockerfile"
        file.write_text(self._dockerfile + SERVING)
        (self._project.folder / ".dockerignore").write_text(".git\nmachine\ntools\n*.log\n")
        proxies = {
            name: text for name, text in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")
        }
        bake_file(self._project, repository, file, OUTPUT, proxies)

    def empty(self) -> None:
        self.stop()
        self._daemons += 1
        self._daemon = Daemon.start(self._programs, self._folder / f"daemon-{self._daemons}")

    def forget(self) -> None:
        """All that BuildKit keeps but the cache mounts (`docker buildx du` calls them exec.cachemount)."""
        assert self._daemon is not None
        for kind in ("regular", "source.local", "frontend", "internal"):
            self._daemon.said("buildx", "prune", "-a", "-f", "--filter", f"type={kind}")
        self._daemon.said("image", "prune", "-a", "-f")

    def run(self) -> float:
        assert self._daemon is not None
        command = ["docker", "buildx", "bake", "--progress=plain", "--allow=network.host"]
        return _timed(command, self._project.folder, self._daemon.environ())

    def rebase(self) -> float:
        return self.run()

    def stop(self) -> None:
        if self._daemon:
            self._daemon.stop()
            self._daemon = None


# The fastest of those tried: Docker's own store and gzip. With containerd's, the base is uploaded again to each new
# repository, and unpacking comes on top; zstd made up for neither.
OUTPUT = "type=image,push=true"


def sides(folder: Path, programs: Path | None, index: str) -> list[Side]:
    """Us first, then the peers, weakest first; without Docker's programs only us."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Side] = [Pipeline(folder / "pipeline", index)]
    if programs:
        uv, compiled = (MOUNTS_AND_UV.replace("COMPILE", word) for word in ("", "--compile-bytecode"))
        found.append(Bake("bake, apt and pip", folder / "pip", programs, APT_AND_PIP))
        found.append(Bake("bake, cache mounts and uv", folder / "uv", programs, uv))
        found.append(Bake(COMPILED, folder / "uvc", programs, compiled))
    return found
