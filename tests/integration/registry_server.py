"""The real registry for tests: Debian's docker-registry, installed when need be, with passwords and TLS on request."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from debian_packages import installed

PROGRAM = "docker-registry"
_PATIENCE = 120.0
"""Seconds that it may take to begin, on a machine that has much to do."""


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
    return installed(PROGRAM, PROGRAM)


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
        folder = Path(name)
        ca = certificate(folder) if tls else None
        (folder / "config.yml").write_text(_config(folder, users, ca) + (f"auth: {auth}\n" if auth else ""))
        with (folder / "log").open("w") as log:
            process = subprocess.Popen([registry, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
        try:
            yield RealRegistry(_address(process, folder / "log"), folder / "data", ca)
        finally:
            process.terminate()
            process.wait()


def certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with `key.pem` beside it."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=registry"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.pem")]
    if not shutil.which("openssl"):
        pytest.skip("openssl, which makes the test's certificate, is not installed")
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder / "ca.pem"


def _config(folder: Path, users: Mapping[str, str] | None, ca: Path | None) -> str:
    lines = [
        "version: 0.1",
        "log: {level: info}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'data'}}}, delete: {{enabled: true}}}}",
        "http:",
        # A port that it chooses itself: one that was free a moment ago may be somebody else's.
        "  addr: 127.0.0.1:0",
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
    htpasswd = installed("htpasswd", "apache2-utils")
    # Cost 4: a hash of the default cost takes longer than the test.
    made = subprocess.run([htpasswd, "-nbB", "-C", "4", name, password], capture_output=True, text=True, check=True)
    return made.stdout.strip() + "\n"


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, by its log."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if found := re.search(r'"listening on ([\d.]+:\d+)', log.read_text()):
            return found[1]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
    raise RuntimeError(f"{PROGRAM} does not listen: {log.read_text()[-500:]}")
