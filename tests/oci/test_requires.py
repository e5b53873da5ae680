"""Requirements of a base, checked against files at and below each bound, and how versions of each world compare."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.facts import Facts, Platform, Python
from pipeline.indexes.debian_version import compare as dpkg_compare
from pipeline.manifest.requires import normal
from pipeline.oci.requires import check, undecided
from pipeline.oci.requires_versions import accepts, compare
from pipeline.store.globs import expression

META = "/opt/miniconda/conda-meta/"
STATUS = "/var/lib/dpkg/status"


class Files:
    """An image's files in memory."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files

    def read(self, path: str) -> bytes | None:
        text = self._files.get(path)
        return None if text is None else text.encode()

    def glob(self, pattern: str) -> list[str]:
        return sorted(path for path in self._files if re.fullmatch(expression(pattern[1:]), path[1:]))


def dpkg(**packages: str) -> dict[str, str]:
    def stanza(name: str, version: str) -> str:
        return f"Package: {name}\nStatus: install ok installed\nVersion: {version}\nDescription: x\n y\n"

    return {STATUS: "\n".join(stanza(name.replace("_", "-"), version) for name, version in packages.items())}


def os_release(id_: str, version: str) -> dict[str, str]:
    return {"/etc/os-release": f'NAME="Some Linux"\nID={id_}\nVERSION_ID="{version}"\n'}


def lacks(requires: Any, *files: Mapping[str, str]) -> list[str]:
    together = {path: text for part in files for path, text in part.items()}
    return [str(lack) for lack in check(normal(requires), Files(together))]


@pytest.mark.parametrize(
    ("requires", "good", "bad"),
    [
        ({"os": "ubuntu>=16.04"}, os_release("ubuntu", "16.04"), os_release("ubuntu", "14.04")),
        ({"os": ["ubuntu>=16.04", "debian>=12"]}, os_release("debian", "12"), os_release("debian", "11")),
        ({"os": "ubuntu>=9.10"}, os_release("ubuntu", "10.04"), os_release("debian", "13")),
        ({"conda": ">=4.5"}, {META + "conda-4.5.0-py36_0.json": ""}, {META + "conda-4.4.11-py36_0.json": ""}),
        ({"conda": ">=4.5"}, {META + "conda-4.7.12.1-py37_0.json": ""}, {META + "conda-4.5rc1-py37_0.json": ""}),
        ({"python": ">=3.5"}, dpkg(python3_5="3.5.1-10") | dpkg(**{"python3.5": "3.5.1-10"}), dpkg(python="2.7.11-1")),
        ({"python": ">=3.5"}, {"/usr/bin/python3.10": ""}, {"/usr/bin/python3.4": ""}),
        (
            {"python": ">=3.11.4"},
            {"/usr/local/include/python3.11/patchlevel.h": '#define PY_VERSION              "3.11.4"\n'},
            {"/usr/local/include/python3.11/patchlevel.h": '#define PY_VERSION "3.11.3"\n', "/bin/python3.11": ""},
        ),
        ({"git": True}, {"/usr/bin/git": ""}, {"/usr/bin/gitk": ""}),
        ({"git": ">=2.7"}, dpkg(git="1:2.7.4-0ubuntu1"), dpkg(git="1:2.6.4-1")),
        ({"mpi": True}, {"/usr/bin/ompi_info": ""}, {"/usr/bin/mpi": ""}),
        (
            {"mpi": "openmpi>=3.1.2"},
            {"/usr/local/lib/pkgconfig/ompi.pc": "Name: Open MPI\nVersion: 3.1.2\n"},
            {"/usr/local/lib/pkgconfig/ompi.pc": "Name: Open MPI\nVersion: 3.1.1\n"},
        ),
        (
            {"mpi": "openmpi>=3.1.2"},
            {"/opt/ompi/include/mpi.h": "".join(f"#define OMPI_{n}_VERSION {v}\n" for n, v in
                                                (("MAJOR", 4), ("MINOR", 1), ("RELEASE", 0)))},
            dpkg(openmpi_bin="2.1.1-8"),
        ),
        (
            {"mpi": "intelmpi>=2018.3"},
            {"/opt/intel/compilers_and_libraries_2018.3.222/linux/mpi/intel64/lib/libmpi.so.12": ""},
            {"/opt/intel/impi/2018.2.199/lib64/libmpi.so": ""},
        ),
        ({"mpi": "intelmpi"}, {"/opt/intel/oneapi/mpi/2021.8.0/lib/libmpi.so.12": ""}, {"/usr/lib/libmpi.so.12": ""}),
        ({"mpi": "mpich"}, dpkg(mpich="4.0.2-3"), dpkg(openmpi_bin="4.1.4-3")),
        (
            {"cuda": ">=12"},
            {"/usr/local/cuda-12.4/version.json": '{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}'},
            {"/usr/local/cuda/version.txt": "CUDA Version 10.1.243\n"},
        ),
        (
            {"cuda": ">=12.4"},
            {"/x/libcudart.so.12": "", "/x/libcudart.so.12.4.127": ""},
            {"/x/libcudart.so.12": "", "/x/libcudart.so.12.3.101": ""},
        ),
        (
            {"cuda": "<12.4"},
            dpkg(cuda_cudart_12_3="12.3.101-1"),
            {"/x/libcudart.so.12": "", "/x/libcudart.so.12.4.127": ""},
        ),
        ({"cuda": ">=11"}, {"/e/conda-meta/cudatoolkit-11.3.1-h2bc3f7f_2.json": ""}, {}),
        ({"cudnn": ">=9"}, dpkg(libcudnn9_cuda_12="9.1.0.70-1"), dpkg(libcudnn8="8.9.7.29-1+cuda12.2")),
        (
            {"cudnn": ">=8.9"},
            {"/usr/include/cudnn_version.h": "#define CUDNN_MAJOR 8\n#define CUDNN_MINOR 9\n"},
            {"/usr/lib/x86_64-linux-gnu/libcudnn.so.8.8.1": ""},
        ),
        ({"nccl": ">=2.20"}, dpkg(libnccl2="2.21.5-1+cuda12.4"), {"/usr/lib/libnccl.so.2.19.3": ""}),
        ({"fuse": True}, dpkg(libfuse_dev="2.9.9-5"), dpkg(fuseiso="1")),
        ({"fuse": ">=3"}, dpkg(fuse3="3.10.3-2"), dpkg(fuse="2.9.9-5")),
        ({"packages": {"apt": ["libc6>=2.36-9+deb12u2"]}}, dpkg(libc6="2.36-9+deb12u10"), dpkg(libc6="2.36-9+deb12u1")),
        (
            {"packages": {"pip": ["azureml-defaults>=1.0.45"]}},
            {"/opt/c/lib/python3.8/site-packages/azureml_defaults-1.0.45.dist-info/METADATA": ""},
            {"/opt/c/lib/python3.8/site-packages/azureml_defaults-1.0.45rc1.dist-info/METADATA": ""},
        ),
        (
            {"packages": {"pip": ["Flask==1.0.3"]}},
            {"/usr/lib/python3/dist-packages/flask-1.0.3-py3.7.egg-info/PKG-INFO": ""},
            {"/usr/lib/python3/dist-packages/flask-1.0.4.egg-info/PKG-INFO": ""},
        ),
        (
            {"packages": {"conda": ["numpy=1.2"]}},
            {META + "numpy-1.2.3-py0.json": ""},
            {META + "numpy-1.20.0-py0.json": ""},
        ),
    ],
)  # fmt: skip
def test_each_requirement_at_and_below_its_bound(requires: Any, good: dict[str, str], bad: dict[str, str]) -> None:
    assert lacks(requires, good) == []
    assert len(lacks(requires, bad)) == 1


def test_a_failure_says_what_was_asked_and_found_and_where() -> None:
    files = os_release("ubuntu", "14.04") | {META + "conda-4.3.1-py36_0.json": "", **dpkg(python3="3.4.3-1")}
    asked = {"profile": "azureml", "fuse": True, "packages": {"pip": ["azureml-defaults>=1.0.45"]}}
    assert lacks(asked, files) == [
        "the operating system ubuntu>=16.04 is required, and there is ubuntu 14.04 (/etc/os-release)",
        "conda >=4.5 is required, and there is conda 4.3.1 (/opt/miniconda/conda-meta/conda-4.3.1-py36_0.json)",
        "Python >=3.5 is required, and there is none",
        "FUSE is required, and there is none",
        "the pip package azureml-defaults >=1.0.45 is required, and there is none",
    ]


def test_the_azureml_profile_is_met_by_what_its_document_asks_for() -> None:
    files = os_release("ubuntu", "16.04") | {META + "conda-4.5.0-py36_0.json": "", META + "python-3.5.0-0.json": ""}
    assert lacks("azureml", files) == []
    assert len(lacks({"profile": "azureml", "python": ">=3.9"}, files)) == 1


def test_removed_packages_and_distroless_images() -> None:
    removed = {STATUS: "Package: git\nStatus: deinstall ok config-files\nVersion: 1:2.30\n"}
    assert len(lacks({"packages": {"apt": ["git"]}}, removed)) == 1
    assert lacks({"packages": {"apt": ["git"]}}, {"/var/lib/dpkg/status.d/git": "Package: git\nVersion: 1\n"}) == []


def test_debian_versions_compare_as_the_archives_do() -> None:
    versions = ["1.0", "1.0-1", "1.0~rc1", "1.0~rc1-1", "2:0.1", "1.0+b1", "1.0a", "1.0.1", "1.0-1ubuntu1", "a1", "0",
                "1.0-1+deb12u1", "9.1.0.70-1", "2.21.5-1+cuda12.4", "1.10", "1.9", "1.0~", "1.0~~", "1.a"]  # fmt: skip
    for left, right in itertools.product(versions, versions):
        assert compare("apt", left, right) == dpkg_compare(left, right), (left, right)


def test_conda_versions_are_ordered_as_conda_documents() -> None:
    """conda documentation, "Package match specifications", and the docstring of VersionOrder."""
    ordered = ["0.4", "0.4.1.rc", "0.4.1", "0.5a1", "0.5b3", "0.5c1", "0.5", "0.9.6", "0.960923", "1.0", "1.1dev1",
               "1.1a1", "1.1.0dev1", "1.1.a1", "1.1.0rc1", "1.1.0", "1.1.0post1", "1.1post1", "1996.07.12", "1!0.4.1",
               "1!3.1.1.6", "2!0.4.1"]  # fmt: skip
    same = {("0.4.1.rc", "0.4.1.RC"), ("1.1dev1", "1.1.0dev1"), ("1.1.0post1", "1.1post1"), ("1.1a1", "1.1.a1")}
    for left, right in itertools.combinations(ordered, 2):
        if (left, right) not in same:
            assert compare("conda", left, right) <= 0, (left, right)
            assert compare("conda", right, left) >= 0, (left, right)
    assert compare("conda", "1.1", "1.1.0") == 0
    assert compare("conda", "1.0", "1.0+1") < 0


def test_python_versions_by_pep_440() -> None:
    assert accepts("pip", ">=2,<3", "2.1+cu121")
    assert not accepts("pip", ">=2", "2rc1")
    assert accepts("pip", "~=1.5", "1.9")
    assert not accepts("pip", "~=1.5", "2.0")
    assert not accepts("pip", ">=1", "")


def left(asked: Any, told: Any) -> list[str]:
    """The names of the requirements that facts, or the files of the uppermost layers, leave open."""
    found = normal(asked)
    assert isinstance(found, Mapping)
    return list(undecided(found, told))


def test_facts_decide_what_they_tell() -> None:
    python = Python("3.11.2", "/usr/bin/python3")
    facts = Facts(Platform(), "debian", "12", "2.36", python, {"git": "1:2.39.5-0+deb12u2", "fuse3": "3.14"})
    met = {"os": "debian>=11", "python": ">=3.11.1", "git": ">=2.30", "fuse": True, "packages": {"apt": ["git>=1:2"]}}
    assert left(met, facts) == []
    assert left({"os": "ubuntu", "python": ">=3.12", "conda": True, "packages": {"pip": ["numpy"]}}, facts) == [
        "os", "python", "conda", "packages",
    ]  # fmt: skip
    assert left({"os": "debian", "python": True}, Facts()) == ["os", "python"]


def test_of_a_version_that_is_not_told_to_its_end_the_rest_is_left_open() -> None:
    files = Files({"/usr/bin/python3.11": "", "/usr/local/cuda/lib64/libcudart.so.12": ""})
    assert left({"python": ">=3.8"}, files) == []
    assert left({"python": ">=3.11"}, files) == []
    assert left({"python": "<3.12"}, files) == []
    assert left({"python": "<3.11.5"}, files) == ["python"]
    assert left({"python": "<=3.11"}, files) == ["python"]
    assert left({"cuda": ">=12.1"}, files) == ["cuda"]
    assert left({"cuda": True}, files) == []
