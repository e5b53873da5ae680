"""What layers may rely on in an image from elsewhere, told from its files: distribution, libc, Python and packages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pipeline.dpkg import upstream
from pipeline.facts import Facts, Platform, Python
from pipeline.oci.requires_find import READ, Evidence
from pipeline.oci.requires_find import Files as ReadFiles

LIBC = ("/lib64/libc.so.6", "/usr/lib64/libc.so.6", "/lib/*-linux-*/libc.so.6", "/usr/lib/*-linux-*/libc.so.6")
TOGETHER = (*READ, *LIBC)
"""The files whose content may be asked for: a reader may fetch them together."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Files(ReadFiles, Protocol):
    """An image's files, with links."""

    def real(self, path: str) -> str:
        """The path that `path` leads to once every link in it is followed; empty when there is no such file."""
        ...


def image_facts(files: Files, config: Mapping[str, Any], platform: Platform) -> Facts:
    """The facts of an image whose config's own `config` property is `config`."""
    evidence = Evidence(files)
    system = next(evidence.os(), None)
    packages = {name: found.version for name, found in sorted(evidence.apt.items())}
    return Facts(
        platform=platform,
        distribution=system.name if system else "",
        release=system.version if system else "",
        libc=_libc(files, packages),
        python=_python(files, evidence, config),
        packages=packages,
    )


def to_json(facts: Facts) -> dict[str, Any]:
    python = facts.python
    return {
        "distribution": facts.distribution,
        "release": facts.release,
        "libc": facts.libc,
        "python": [python.version, python.executable, python.prefix, python.site] if python else None,
        "packages": dict(facts.packages),
    }


def from_json(value: Mapping[str, Any], platform: Platform) -> Facts:
    python = Python(*value["python"]) if value["python"] else None
    return Facts(platform, value["distribution"], value["release"], value["libc"], python, value["packages"])


def _libc(files: Files, packages: Mapping[str, str]) -> str:
    """Of glibc, as its package or its own banner says; empty for another libc."""
    if "libc6" in packages:
        return ".".join(upstream(packages["libc6"]).split(".")[:2])
    for path in (path for pattern in LIBC for path in files.glob(pattern)):
        if banner := re.search(rb"GNU C Library .*?release version (\d+\.\d+)", files.read(path) or b""):
            return banner[1].decode()
    return ""


def _python(files: Files, evidence: Evidence, config: Mapping[str, Any]) -> Python | None:
    """The interpreter that the image's PATH finds first."""
    env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
    for folder in filter(None, env.get("PATH", _PATH).split(":")):
        for name in ("python3", "python"):
            executable = posixpath.join(folder, name)
            if found := re.search(r"/python(3\.\d+)$", files.real(executable)):
                return _interpreter(executable, found[1], files.real(executable), evidence)
    return None


def _interpreter(executable: str, minor: str, real: str, evidence: Evidence) -> Python:
    prefix = posixpath.dirname(posixpath.dirname(real))
    told = [one.version for one in evidence.python() if one.file.startswith(f"{prefix}/")]
    system = [one.version for one in evidence.python() if one.file.startswith("/var/lib/dpkg/")]
    version = _full(minor, told) or (_full(minor, system) if prefix == "/usr" else "") or minor
    if prefix == "/usr" and system:
        # Debian's interpreter looks for what is added in a place of its own (/usr/share/doc/python3/README.Debian).
        return Python(version, executable, "/usr/local", f"/usr/local/lib/python{minor}/dist-packages")
    return Python(version, executable, prefix, f"{prefix}/lib/python{minor}/site-packages")


def _full(minor: str, versions: Iterable[str]) -> str:
    """The first version of this minor that says more than the minor."""
    return next((version for version in versions if version.startswith(f"{minor}.")), "")
