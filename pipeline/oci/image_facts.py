"""What layers may rely on in an image from elsewhere, told from its files: distribution, libc, Python and packages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from pipeline.dpkg import upstream
from pipeline.facts import Facts, Platform, Python
from pipeline.oci.requires_find import READ, Evidence
from pipeline.oci.requires_find import Files as ReadFiles

LIBC = ("/lib64/libc.so.6", "/usr/lib64/libc.so.6", "/lib/*-linux-*/libc.so.6", "/usr/lib/*-linux-*/libc.so.6")
TOGETHER = (*READ, *LIBC)
"""The files whose content may be asked for: a reader may fetch them together."""
KEPT = (*READ, "/**/pyvenv.cfg", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*.conf")
"""Small files that are asked for with each new image on a layer: they are worth keeping when it is read."""

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ELSEWHERE = ("/opt/conda/bin", "/opt/miniconda/bin", "/opt/venv/bin")


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
    """The interpreter that the image's PATH finds first; one that it does not name where there is no other."""
    env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
    for folder in filter(None, [*env.get("PATH", _PATH).split(":"), *_ELSEWHERE]):
        for name in ("python3", "python"):
            executable = posixpath.join(folder, name)
            if found := re.search(r"/python(3\.\d+)$", files.real(executable)):
                return _interpreter(files, executable, found[1], files.real(executable), evidence)
    return None


def _interpreter(files: Files, executable: str, minor: str, real: str, evidence: Evidence) -> Python:
    place = posixpath.dirname(posixpath.dirname(executable))
    if venv := files.read(f"{place}/pyvenv.cfg"):
        # PEP 405: it has a place of its own for packages; `version_info` is virtualenv's and uv's word.
        own = re.findall(r"^version(?:_info)?\s*=\s*(3\.\d+\.\d+)", venv.decode("utf-8", "replace"), re.MULTILINE)
        version = _full(minor, own) or _interpreter(files, real, minor, real, evidence).version
        return Python(version, executable, place, f"{place}/lib/python{minor}/site-packages")
    prefix = posixpath.dirname(posixpath.dirname(real))
    told = [one.version for one in evidence.python() if one.file.startswith(f"{prefix}/")]
    system = [one.version for one in evidence.python() if one.file.startswith("/var/lib/dpkg/")]
    version = _full(minor, told) or (_full(minor, system) if prefix == "/usr" else "")
    version = version or _full(minor, _in_program(files, minor, prefix, real)) or minor
    if prefix == "/usr" and system:
        # Debian's interpreter looks for what is added in a place of its own (/usr/share/doc/python3/README.Debian).
        return Python(version, executable, "/usr/local", f"/usr/local/lib/python{minor}/dist-packages")
    return Python(version, executable, prefix, f"{prefix}/lib/python{minor}/site-packages")


def _in_program(files: Files, minor: str, prefix: str, real: str) -> Iterator[str]:
    """PY_VERSION, which Py_GetVersion() begins with, as the shared library or else the program holds it."""
    text = re.compile(rb"\0(%s\.\d+(?:(?:a|b|rc)\d+)?)\+?\0" % re.escape(minor.encode()))
    for path in (*files.glob(f"{prefix}/lib/libpython{minor}*.so.1.0"), real):
        yield from (found.decode() for found in text.findall(files.read(path) or b""))


def _full(minor: str, versions: Iterable[str]) -> str:
    """The first version of this minor that says more than the minor."""
    return next((version for version in versions if version.startswith(f"{minor}.")), "")
