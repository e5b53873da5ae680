"""What an image from elsewhere is known to hold: Debian's Python, conda's, and none."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from pipeline.facts import Platform, Python
from pipeline.oci.image_facts import from_json, image_facts, to_json

STATUS = """\
Package: libc6
Status: install ok installed
Version: 2.36-9+deb12u9

Package: python3.11
Status: install ok installed
Version: 3.11.2-6
"""
DEBIAN = {
    "/etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
    "/var/lib/dpkg/status": STATUS.encode(),
    "/usr/bin/python3.11": b"",
}


class Tree:
    """Files and links by path."""

    def __init__(self, files: Mapping[str, bytes], links: Mapping[str, str]) -> None:
        self._files, self._links = files, links

    def read(self, path: str) -> bytes | None:
        return self._files.get(path)

    def glob(self, pattern: str) -> list[str]:
        return sorted(path for path in self._files if fnmatch.fnmatch(path, pattern.replace("/**/", "/*")))

    def real(self, path: str) -> str:
        path = self._links.get(path, path)
        return path if path in self._files else ""


def test_debians_python_has_a_place_for_what_is_added() -> None:
    facts = image_facts(Tree(DEBIAN, {"/usr/bin/python3": "/usr/bin/python3.11"}), {}, Platform())
    assert (facts.distribution, facts.release, facts.libc) == ("debian", "12", "2.36")
    assert facts.packages["python3.11"] == "3.11.2-6"
    site = "/usr/local/lib/python3.11/dist-packages"
    assert facts.python == Python("3.11.2", "/usr/bin/python3", "/usr/local", site)
    assert from_json(to_json(facts), Platform()) == facts


def test_the_first_python_of_path_counts() -> None:
    conda = {"/opt/conda/conda-meta/python-3.12.4-h1_0.json": b"{}", "/opt/conda/bin/python3.12": b""}
    links = {"/opt/conda/bin/python": "/opt/conda/bin/python3.12", "/usr/bin/python3": "/usr/bin/python3.11"}
    config = {"Env": ["PATH=/opt/conda/bin:/usr/bin"]}
    facts = image_facts(Tree({**DEBIAN, **conda}, links), config, Platform())
    site = "/opt/conda/lib/python3.12/site-packages"
    assert facts.python == Python("3.12.4", "/opt/conda/bin/python", "/opt/conda", site)


def test_a_libc_without_a_package_tells_its_version() -> None:
    banner = b"\0GNU C Library (GNU libc) stable release version 2.34.\n"
    facts = image_facts(Tree({"/lib64/libc.so.6": banner}, {}), {}, Platform())
    assert (facts.libc, facts.python, facts.distribution) == ("2.34", None, "")


def test_a_virtual_environment_has_a_place_of_its_own() -> None:
    venv = {"/opt/venv/pyvenv.cfg": b"home = /usr/bin\nversion = 3.11.2\n"}
    links = {"/opt/venv/bin/python": "/usr/bin/python3.11", "/usr/bin/python3": "/usr/bin/python3.11"}
    config = {"Env": ["PATH=/opt/venv/bin:/usr/bin"]}
    facts = image_facts(Tree({**DEBIAN, **venv}, links), config, Platform())
    site = "/opt/venv/lib/python3.11/site-packages"
    assert facts.python == Python("3.11.2", "/opt/venv/bin/python", "/opt/venv", site)


def test_a_program_tells_its_version_where_no_header_does() -> None:
    files = {"/usr/local/bin/python3.13": b"\x7fELF..\0" + b"3.13.1+\0more\0" + b"3.9\0"}
    facts = image_facts(Tree(files, {"/usr/local/bin/python3": "/usr/local/bin/python3.13"}), {}, Platform())
    assert facts.python is not None and facts.python.version == "3.13.1"
