"""The real registry for tests: Debian's docker-registry, installed when need be, with passwords and TLS on request."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PROGRAM = "docker-registry"


@dataclass(frozen=True)
class RealRegistry:
    """A registry that runs. `address` is host:port; `ca` whom to trust; `folder` where its blobs are."""

    address: str
    folder: Path
    ca: Path | None = None

    def blob_file(self, digest: str) -> Path:
        """Where it keeps a blob's bytes."""
        name = digest.removeprefix("sha256:")
        return self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"

    def forget(self, repository: str, digest: str) -> None:
        """Takes a blob from a repository, as its garbage collection does."""
        name = digest.removeprefix("sha256:")
        shutil.rmtree(self.folder / "docker/registry/v2/repositories" / repository / "_layers/sha256" / name)


@cache
def program() -> str:
    """The registry's program; skips the test where it is not installed and cannot be."""
    if found := shutil.which(PROGRAM):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"{PROGRAM} is not installed, and installing it needs root on Debian")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", PROGRAM]):
        done = subprocess.run(["apt-get", *command], capture_output=True, text=True, env=environ)
    if done.returncode != 0 or not (found := shutil.which(PROGRAM)):
        pytest.skip(f"{PROGRAM} cannot be installed: {done.stderr.strip()[-200:]}")
    return found


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(users: Mapping[str, str] | None = None, tls: bool = False, auth: str = "") -> Iterator[RealRegistry]:
    """A registry on a free port of this machine, with its own storage, ended afterwards; `auth` is its own setting."""
    registry = program()
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        ca = certificate(folder) if tls else None
        (folder / "config.yml").write_text(_config(folder, port, users, ca) + (f"auth: {auth}\n" if auth else ""))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([registry, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            _wait(process, port, folder / "log")
            yield RealRegistry(f"127.0.0.1:{port}", folder / "data", ca)
        finally:
            process.terminate()
            process.wait(timeout=20)


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with `key.pem` beside it."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=registry"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the test's certificate, is not installed")
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder / "ca.pem"


def _config(folder: Path, port: int, users: Mapping[str, str] | None, ca: Path | None) -> str:
    lines = [
        "version: 0.1",
        "log: {level: warn}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: 127.0.0.1:{port}",
        "  secret: a-secret-of-the-tests",
    ]
    if ca:
        lines.append(f"  tls: {{certificate: {ca}, key: {ca.with_name('key.pem')}}}")
    if users is not None:
        (folder / "htpasswd").write_text("".join(_entry(name, word) for name, word in users.items()))
        lines.append(f"auth: {{htpasswd: {{realm: tests, path: {folder / 'htpasswd'}}}}}")
    return "\n".join(lines) + "\n"


def _entry(name: str, password: str) -> str:
    """A line of an htpasswd file; the registry takes bcrypt only."""
    if not shutil.which("htpasswd"):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("htpasswd (package apache2-utils) is not installed, and installing it needs root on Debian")
        command = ["apt-get", "install", "-y", "--no-install-recommends", "apache2-utils"]
        subprocess.run(command, check=True, capture_output=True)
    # Cost 4: a hash of the default cost takes longer than the test.
    made = subprocess.run(["htpasswd", "-nbB", "-C", "4", name, password], capture_output=True, text=True, check=True)
    return made.stdout.strip() + "\n"


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it accepts connections: the system holds each try back until there is an answer or a refusal."""
    for _ in range(200):
        if process.poll() is not None:
            raise RuntimeError(f"{PROGRAM} ended: {log.read_text()[-500:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise RuntimeError(f"{PROGRAM} does not listen: {log.read_text()[-500:]}")
