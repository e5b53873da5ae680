"""Programs of Debian that tests need: found, or installed where that is possible, by one test process at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


def installed(program: str, package: str, path: str | None = None) -> str:
    """Where a program is (looked for in `path`, like PATH); skips the test where it is not and cannot be had."""
    if found := shutil.which(program, path=path):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"{program} is not installed, and installing {package} needs root on Debian")
    # apt-get does not wait for another one.
    with (Path(tempfile.gettempdir()) / "tests-apt-get.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        said = "" if shutil.which(program, path=path) else _install(package)
    if not (found := shutil.which(program, path=path)):
        pytest.skip(f"{package} cannot be installed: {said}")
    return found


def _install(package: str) -> str:
    """The last that was said."""
    # No service of the package is to be started beside the tests' own.
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    said = ""
    for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
        said = subprocess.run(["apt-get", *command], capture_output=True, text=True, env=environ, check=False).stderr
    return said.strip()[-200:]
