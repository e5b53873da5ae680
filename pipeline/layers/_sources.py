"""What turns source distributions into wheels: one command for a container made from the layers below."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.layers import _apt, apt
from pipeline.layers.run import HOUR, shell_argv
from pipeline.recipe import Execute

PRIVATE = "/run/pipeline/sources"
"""The container's folder of requirements, and of sources that are files of this machine; part of no image."""
REQUIREMENTS = f"{PRIVATE}/requirements.txt"
WHEELS = "/var/tmp/pipeline-wheels"
"""The container's folder of the wheels that were made."""

BUILD_PACKAGES: dict[str, Any] = {
    **apt.SCHEMA["properties"]["packages"],
    "minItems": 0,
    "description": "Debian or Ubuntu packages that are there for the build alone: compilers, headers, python3-pip.",
    "examples": [["gcc", "python3-dev", "python3-pip"]],
}


def command(python: str, packages: Sequence[str]) -> Execute:
    """Builds what `REQUIREMENTS` lists, each by its hash, with the interpreter `python`, after apt has installed
    `packages`. What to build from sources, and not to take as a wheel, is in the variable PIP_NO_BINARY.
    """
    asked = {"packages": sorted(packages), "recommends": False, "update": True, "sources": {}}
    lines = [_apt.script(asked)] if packages else []
    words = ["wheel", "--no-cache-dir", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    words += ["--find-links", PRIVATE, "--wheel-dir", WHEELS, "--requirement", REQUIREMENTS]
    lines.append(
        f"if ! {shlex.quote(python)} -m pip --version; then\n"
        "  echo 'pip, which builds, is not there: add python3-pip to build_packages' >&2; exit 1\nfi"
    )
    lines.append(f"{shlex.quote(python)} -m pip {' '.join(words)}")
    return Execute(
        argv=shell_argv("/bin/sh", "\n".join(lines)),
        inputs={},
        env={**_apt.ENV, "PIP_ROOT_USER_ACTION": "ignore"},
        caches=_apt.CACHES if packages else (),
        timeout=HOUR,
    )


def requirements(sources: Sequence[Mapping[str, Any]]) -> str:
    """A requirement file of sources, each pinned by its hash."""
    return "".join(f"{each['name']}=={each['version']} --hash=sha256:{each['sha256']}\n" for each in sources)
