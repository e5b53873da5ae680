"""Fetches, for this machine, the interpreter that an image for another architecture has from its distribution.

Debian and Ubuntu build one version for all architectures, and bytecode does not depend on the architecture.
"""

from __future__ import annotations

import platform
import tarfile
from pathlib import Path
from typing import Any

from pipeline.assemble.deb_archive import open_deb
from pipeline.dpkg import MULTIARCH, SUITES, ArchiveSettings
from pipeline.errors import ResolveError
from pipeline.facts import Facts


def fetch(parent: Facts, minor: str, debian: Any, scratch: Path) -> list[Path]:
    """Folders to run the parent's `/usr/bin/python<minor>` from; none when its distribution no longer has it.

    `debian` is the archives' index. Raises OutOfReach when no mirror answers.
    """
    name = f"python{minor}-minimal"
    version, suite, architecture = parent.packages.get(name), _suite(parent), _own_architecture()
    if not version or not suite or not architecture:
        return []
    settings = ArchiveSettings(parent.distribution, suite)
    try:
        packages = debian.resolve(settings, architecture, [f"{name}={version}"])
        files = debian.fetch(packages, settings, architecture)
    except ResolveError:
        return []
    root = scratch / f"python{minor}-{architecture}"
    for package, path in zip(packages, files, strict=True):
        with tarfile.open(fileobj=open_deb(path, package["file"], scratch).data, mode="r:") as content:
            content.extractall(root, filter="tar")
    for name in ("lib", "lib64"):
        # Merged /usr: packages have the loader below /usr, programs ask for it at the top.
        if (root / "usr" / name).is_dir() and not (root / name).exists():
            (root / name).symlink_to(f"usr/{name}")
    return [root]


def _suite(parent: Facts) -> str:
    """The code name of the parent's release, which facts give as a name or a number."""
    known = (suite for suite in SUITES.values() if suite.distribution == parent.distribution)
    return next((suite.codename for suite in known if parent.release in (suite.codename, suite.release)), "")


def _own_architecture() -> str:
    """dpkg's name of this machine's architecture; empty for one that Debian does not know."""
    triplets = {triplet.split("-")[0]: name for name, triplet in MULTIARCH.items() if name not in ("armel", "i386")}
    return triplets.get(platform.machine(), "")
