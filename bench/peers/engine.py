"""The peer: Docker and buildx of a newer Debian suite, unpacked aside into a cache folder, with a daemon of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.indexes.debian_apt import AptSettings

SUITES = ("forky", "sid")
"""Suites that are asked for Docker 28, in this order."""
PACKAGES = ("docker.io", "docker-cli", "docker-buildx", "containerd")
OLDEST = 28
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Unavailable(Exception):
    """Why the peer cannot be had here."""


def fetch(cache: Path, environ: Mapping[str, str], etc: Path = Path("/etc")) -> Path:
    """The folder of Docker's programs. They are unpacked there once; raises Unavailable.

    The archive is the one that this machine's apt is set to, and apt checks its signatures; what apt knows of this
    machine stays as it is.
    """
    if os.geteuid() != 0:
        raise Unavailable("a Docker daemon of its own needs root")
    if missing := [name for name in ("apt-get", "dpkg", "runc") if not shutil.which(name)]:
        raise Unavailable(f"not found: {', '.join(missing)}")
    programs = cache / "docker" / "bin"
    if programs.is_dir():
        return programs
    machine = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    source = AptSettings.read(etc, environ).source("debian", machine, security=False)
    if source is None:
        raise Unavailable("apt here is not set to Debian's archive")
    cache.mkdir(parents=True, exist_ok=True)
    for killed in cache.glob("docker-*"):
        shutil.rmtree(killed, ignore_errors=True)
    said = ""
    for suite in SUITES:
        with tempfile.TemporaryDirectory(prefix="docker-", dir=cache) as name:
            try:
                _unpacked(Path(name), source.uri, suite, machine)
            except (Unavailable, subprocess.CalledProcessError) as error:
                said = _words(error)
                continue
            Path(name).rename(cache / "docker")
            Path(name).mkdir()
            return programs
    raise Unavailable(said)


def _words(error: Unavailable | subprocess.CalledProcessError) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (str(said).strip().splitlines() or ["apt-get failed"])[-1]


def _unpacked(folder: Path, uri: str, suite: str, machine: str) -> None:
    """Programs in `folder`/bin; apt works on lists and settings of its own there."""
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial", "etc", "pool"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    # Indexes of a snapshot of the archive are past their date; their signatures hold.
    (apt / "etc/sources.list").write_text(f"deb [signed-by={KEYRING} check-valid-until=no] {uri} {suite} main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "etc/sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "APT::Architecture": machine,
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", "-qq", *options, "update"], apt)
    shown = _run(["apt-cache", *options, "show", "--no-all-versions", "docker.io"], apt)
    version = re.search(r"^Version: (\d+)", shown, re.MULTILINE)
    if version is None or int(version[1]) < OLDEST:
        raise Unavailable(f"{suite} has no Docker {OLDEST}")
    _run(["apt-get", "-qq", *options, "download", *PACKAGES], apt / "pool")
    root = folder / "root"
    for file in sorted((apt / "pool").glob("*.deb")):
        _run(["dpkg", "-x", str(file), str(root)], apt)
    shutil.rmtree(apt)
    _link(folder / "bin", root)


def _link(programs: Path, root: Path) -> None:
    """By relative links: the folder is renamed when it is complete. runc is this suite's, for its libc is."""
    programs.mkdir()
    for place in ("usr/bin", "usr/sbin"):
        for file in (root / place).iterdir():
            (programs / file.name).symlink_to(Path("..", "root", place, file.name))
    (programs / "runc").unlink(missing_ok=True)
    (programs / "runc").symlink_to(str(shutil.which("runc")))
    plugins = programs.parent / "config/cli-plugins"
    plugins.mkdir(parents=True)
    for file in root.rglob("cli-plugins/docker-buildx"):
        (plugins / file.name).symlink_to(Path("../..", file.relative_to(programs.parent)))


def _run(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@dataclass
class Daemon:
    """A Docker daemon with storage of its own, without a bridge: containers have the host's network."""

    programs: Path
    folder: Path
    process: subprocess.Popen[bytes]

    @staticmethod
    def start(programs: Path, folder: Path, options: Sequence[str] = ()) -> Daemon:
        """Raises Unavailable when it does not come up."""
        folder.mkdir(parents=True)
        words = [f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--pidfile={folder}/pid"]
        words += [f"--host=unix://{folder}/sock", "--bridge=none", "--iptables=false", "--ip6tables=false"]
        words += ["--shutdown-timeout=1", *options]
        environ = {**os.environ, "PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}"}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(programs / "dockerd"), *words], stdout=log, stderr=log, env=environ, start_new_session=True
            )
        daemon = Daemon(programs, folder, process)
        for _ in range(200):
            if process.poll() is None and daemon.answers():
                return daemon
            time.sleep(0.1)
            if process.poll() is not None:
                break
        daemon.stop()
        said = (folder / "log").read_text(errors="replace").strip().splitlines() or ["nothing"]
        raise Unavailable(f"the Docker daemon does not start: {said[-1][-300:]}")

    def environ(self) -> dict[str, str]:
        """For programs that talk to it."""
        return {
            **os.environ,
            "PATH": f"{self.programs}:{os.environ.get('PATH', os.defpath)}",
            "DOCKER_HOST": f"unix://{self.folder}/sock",
            "DOCKER_CONFIG": str(self.programs.parent / "config"),
            "BUILDX_CONFIG": str(self.folder / "buildx"),
            "BUILDX_BAKE_ENTITLEMENTS_FS": "0",
        }

    def answers(self) -> bool:
        done = subprocess.run(["docker", "version"], env=self.environ(), capture_output=True, check=False)
        return done.returncode == 0

    def said(self, *words: str) -> str:
        return subprocess.run(["docker", *words], env=self.environ(), capture_output=True, text=True, check=True).stdout

    def stop(self) -> None:
        """Ends it, and removes all that it stored: it need not end in good order."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        remove(self.folder)


def remove(folder: Path) -> None:
    """A folder with all that a killed daemon may have left of it: processes that name it, mounts in it."""
    for _ in range(2):
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdecimal() and f"{folder}/".encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
    for point in reversed(list(_mounts(folder))):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


def _mounts(folder: Path) -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if (point := line.split()[1]).startswith(f"{folder}/"):
            yield point
