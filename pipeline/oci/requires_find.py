"""What an image holds and in which version, told from its files: package databases, headers, names of libraries.

Nothing is run. dpkg's status (Debian Policy 5, deb-control(5)), conda-meta (conda documentation, "conda-meta"),
.dist-info (PyPA, "Recording installed projects"), os-release(5), CUDA's version files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from pipeline.digest import parsed
from pipeline.dpkg import stanza, upstream
from pipeline.facts import Facts

READ = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/status.d/*",
    "/**/include/python*/patchlevel.h",
    "/**/pkgconfig/ompi.pc",
    "/**/pkgconfig/mpich.pc",
    "/**/include/**/mpi.h",
    "/usr/local/cuda*/version.json",
    "/usr/local/cuda*/version.txt",
    "/**/include/**/cudnn*.h",
    "/**/include/**/nccl.h",
)
"""The files whose content tells something: a reader may fetch them together."""


class Files(Protocol):
    """An image's files. Paths are absolute; in patterns `*` stays in a folder and `**/` stands for any folders."""

    def read(self, path: str) -> bytes | None:
        """A file's content, links followed; None when it is not there."""
        ...

    def glob(self, pattern: str) -> Sequence[str]:
        """The files and links that fit a pattern, sorted."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Something with its version, empty when that cannot be told, and the file that says so."""

    version: str
    file: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version or 'of unknown version'} ({self.file})".strip()


class Evidence:
    """An image's files, read as they are needed and once."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def _text(self, path: str) -> str:
        data = self._files.read(path)
        return data.decode("utf-8", "replace") if data is not None else ""

    @cached_property
    def apt(self) -> Mapping[str, Found]:
        """Installed Debian packages; images without dpkg keep them in status.d."""
        found = {}
        for path in ("/var/lib/dpkg/status", *self._files.glob("/var/lib/dpkg/status.d/*")):
            for text in self._text(path).split("\n\n"):
                fields = stanza(text)
                state = fields.get("Status", "install ok installed").split()
                if fields.get("Package") and state[-1:] == ["installed"]:
                    name = fields["Package"]
                    found[name] = Found(fields.get("Version", ""), path, name)
        return found

    @cached_property
    def conda(self) -> Sequence[Found]:
        """Packages of every conda prefix: the names of the records tell (NAME-VERSION-BUILD.json)."""
        found = []
        for path in self._files.glob("/**/conda-meta/*.json"):
            parts = posixpath.basename(path).removesuffix(".json").rsplit("-", 2)
            if len(parts) == 3:
                found.append(Found(parts[1], path, parts[0].lower()))
        return found

    @cached_property
    def pip(self) -> Sequence[Found]:
        """Python distributions, wherever an interpreter may look for them."""
        found = []
        for pattern in ("/**/*-packages/*.dist-info/METADATA", "/**/*-packages/*.egg-info/PKG-INFO",
                        "/**/*-packages/*.egg-info"):  # fmt: skip
            for path in self._files.glob(pattern):
                folder = path if path.endswith(".egg-info") else posixpath.dirname(path)
                name, _, version = posixpath.basename(folder).rpartition(".")[0].partition("-")
                # Of an egg: NAME-VERSION-py3.11.
                found.append(Found(re.sub(r"-py[0-9.]+$", "", version), path, _normal(name)))
        return found

    def named(self, world: str, name: str) -> list[Found]:
        """A package by its name in a world: apt, pip or conda."""
        if world == "apt":
            return [self.apt[name]] if name in self.apt else []
        wanted = _normal(name) if world == "pip" else name.lower()
        return [found for found in (self.pip if world == "pip" else self.conda) if found.name == wanted]

    def _packages(self, label: str, apt: str = "", conda: str = "", pip: str = "") -> Iterator[Found]:
        """Packages whose whole names fit, by their upstream versions."""
        for package in self.apt.values():
            if apt and re.fullmatch(apt, package.name):
                yield Found(upstream(package.version), package.file, label)
        for pattern, world in ((conda, self.conda), (pip, self.pip)):
            yield from (Found(p.version, p.file, label) for p in world if pattern and re.fullmatch(pattern, p.name))

    def _lines(self, pattern: str, expression: str, label: str) -> Iterator[Found]:
        """Files that say their version: the groups of `expression`, joined by dots."""
        for path in self._files.glob(pattern):
            parts = re.findall(expression, self._text(path), re.MULTILINE)
            if parts:
                yield Found(".".join(parts[:3]), path, label)

    def _names(self, pattern: str, expression: str, label: str) -> Iterator[Found]:
        """Files whose paths tell a version: the first group of `expression`."""
        for path in self._files.glob(pattern):
            if match := re.search(expression, path):
                yield Found(match[1] or "", path, label)

    def os(self) -> Iterator[Found]:
        for path in ("/etc/os-release", "/usr/lib/os-release"):
            fields = dict(line.split("=", 1) for line in self._text(path).splitlines() if "=" in line)
            if fields.get("ID"):
                yield Found(fields.get("VERSION_ID", "").strip("\"'"), path, fields["ID"].strip("\"'"))
                return

    def conda_itself(self) -> Iterator[Found]:
        yield from self._packages("conda", conda="conda", apt="conda")

    def python(self) -> Iterator[Found]:
        yield from self._packages("Python", apt=r"python[23](\.\d+)?-minimal|python[23]\.\d+", conda="python")
        yield from self._lines("/**/include/python*/patchlevel.h", r'^#define\s+PY_VERSION\s+"([^"+]+)', "Python")
        yield from self._names("/**/bin/python[23].*", r"/python([23]\.\d+)$", "Python")

    def git(self) -> Iterator[Found]:
        yield from self._packages("git", apt="git", conda="git")
        yield from self._names("/**/bin/git", r"/bin/git$()", "git")

    def fuse(self) -> Iterator[Found]:
        yield from self._packages("FUSE", apt=r"fuse3?|libfuse-dev|libfuse[23].*", conda="libfuse")
        yield from self._names("/**/bin/fusermount*", r"fusermount3?$()", "FUSE")

    def openmpi(self) -> Iterator[Found]:
        yield from self._packages("Open MPI", apt=r"openmpi-bin|libopenmpi\w+", conda="openmpi")
        yield from self._lines("/**/pkgconfig/ompi.pc", r"^Version:\s*(\d[\w.]*)", "Open MPI")
        header = r"^#define\s+OMPI_(?:MAJOR|MINOR|RELEASE)_VERSION\s+(\d+)"
        yield from self._lines("/**/include/**/mpi.h", header, "Open MPI")
        yield from self._names("/**/bin/ompi_info", r"/ompi_info$()", "Open MPI")

    def intelmpi(self) -> Iterator[Found]:
        apt = r"intel-oneapi-mpi(?:-\d[\d.]*)?|intel-mpi-rt.*"
        yield from self._packages("Intel MPI", apt=apt, conda="impi_rt|intel-mpi.*", pip="impi-rt")
        # /opt/intel/impi/2018.3.222, compilers_and_libraries_2018.3.222/linux/mpi, oneapi/mpi/2021.8.0
        place = r"/(?:impi|oneapi/mpi|compilers_and_libraries_)/?(\d[\d.]*)/"
        yield from self._names("/**/libmpi.so*", place, "Intel MPI")
        yield from self._names("/**/bin/mpiexec.hydra", place, "Intel MPI")

    def mpich(self) -> Iterator[Found]:
        yield from self._packages("MPICH", apt=r"mpich|libmpich12", conda="mpich")
        yield from self._lines("/**/pkgconfig/mpich.pc", r"^Version:\s*(\d[\w.]*)", "MPICH")

    def cuda(self) -> Iterator[Found]:
        for path in self._files.glob("/usr/local/cuda*/version.json"):
            yield Found(_cuda_json(self._text(path)), path, "CUDA")
        yield from self._lines("/usr/local/cuda*/version.txt", r"CUDA Version (\d[\d.]*)", "CUDA")
        conda = "cuda-version|cudatoolkit|cuda-cudart"
        yield from self._packages("CUDA", r"cuda-cudart-\d+-\d+", conda, r"nvidia-cuda-runtime(-cu\d+)?")
        yield from self._names("/**/libcudart.so.*", r"\.so\.(\d[\d.]*)$", "CUDA")

    def cudnn(self) -> Iterator[Found]:
        yield from self._packages("cuDNN", r"libcudnn\d+(-cuda-\d+)?", "cudnn|libcudnn", r"nvidia-cudnn-cu\d+")
        header = r"^#define\s+CUDNN_(?:MAJOR|MINOR|PATCHLEVEL)\s+(\d+)"
        yield from self._lines("/**/include/**/cudnn*.h", header, "cuDNN")
        yield from self._names("/**/libcudnn.so.*", r"\.so\.(\d[\d.]*)$", "cuDNN")

    def nccl(self) -> Iterator[Found]:
        yield from self._packages("NCCL", "libnccl2", "nccl", r"nvidia-nccl-cu\d+")
        yield from self._lines("/**/include/**/nccl.h", r"^#define\s+NCCL_(?:MAJOR|MINOR|PATCH)\s+(\d+)", "NCCL")
        yield from self._names("/**/libnccl.so.*", r"\.so\.(\d[\d.]*)$", "NCCL")

    def mpi(self) -> Iterator[Found]:
        for one in (self.openmpi, self.intelmpi, self.mpich):
            yield from one()

    def finder(self, name: str) -> Callable[[], Iterator[Found]]:
        """What looks for a requirement, by its name in the manifest."""
        finders = {"os": self.os, "conda": self.conda_itself, "python": self.python, "git": self.git, "fuse": self.fuse}
        finders |= {"cuda": self.cuda, "cudnn": self.cudnn, "nccl": self.nccl, "mpi": self.mpi}
        return {**finders, "openmpi": self.openmpi, "intelmpi": self.intelmpi, "mpich": self.mpich}[name]


class Told(Evidence):
    """What facts tell without a look at any file."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(_NoFiles())
        self._facts = facts

    @cached_property
    def apt(self) -> Mapping[str, Found]:
        packages = self._facts.packages.items()
        return {name: Found(version, "/var/lib/dpkg/status", name) for name, version in packages}

    def os(self) -> Iterator[Found]:
        if self._facts.distribution:
            yield Found(self._facts.release, "/etc/os-release", self._facts.distribution)

    def python(self) -> Iterator[Found]:
        yield from super().python()
        if self._facts.python:
            yield Found(self._facts.python.version, self._facts.python.executable, "Python")


class _NoFiles:
    def read(self, path: str) -> bytes | None:  # noqa: ARG002
        return None

    def glob(self, pattern: str) -> Sequence[str]:  # noqa: ARG002
        return ()


def _cuda_json(text: str) -> str:
    try:
        found = parsed(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(found)


def _normal(name: str) -> str:
    """A project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
