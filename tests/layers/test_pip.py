"""What a pip layer asks for, what it needs below it, and which changes move which of its layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.digest import cache_key
from pipeline.errors import AssembleError, ResolveError, UsageError
from pipeline.facts import Facts, Platform, Python
from pipeline.layers import pip
from pipeline.manifest.model import Secret
from pipeline.recipe import Assemble

PYTHON = Python("3.11.2", "/usr/bin/python3", "/usr/local", "/usr/local/lib/python3.11/dist-packages")
BASE = Facts(Platform(), "debian", "12", "2.36", PYTHON, {"libc6": "2.36-9"})
LOCKED = {
    "python": "3.11",
    "platform": "manylinux_2_36_x86_64",
    "wheels": [
        {"name": "b", "version": "1", "file": "b-1-py3-none-any.whl", "sha256": "bb", "size": 2},
        {"name": "a", "version": "1", "file": "a-1-py3-none-any.whl", "sha256": "aa", "size": 1},
    ],
}


class Texts:
    def __init__(self, **texts: str) -> None:
        self._texts = {name.replace("__", "/") + ".txt": text for name, text in texts.items()}

    def path(self, relative: str) -> Path:
        return Path(relative)

    def text(self, relative: str) -> str:
        return self._texts[relative]


def _ask(spec: dict[str, Any], **texts: str) -> Any:
    return pip.request(spec, Texts(**texts))  # type: ignore[arg-type]


def test_requirement_files_are_followed() -> None:
    asked = _ask(
        {"packages": ["a>=1"], "requirements": "deps/main.txt", "constraints": ["limits.txt"]},
        deps__main="# comment\nb[x]==1 ; python_version>'3'  # why\n-r more.txt\n-c ../other.txt\n--extra-index-url http://i/\n",
        deps__more="-r main.txt\nc==1 \\\n  --hash=sha256:ab \\\n  --hash=sha256:cd\n--pre\n-f wheels\n",
        limits="d<2\n",
        other="e<3\n",
    )
    assert asked == {
        "requirements": ["a>=1", "b[x]==1 ; python_version>'3'", "c==1   --hash=sha256:ab   --hash=sha256:cd"],
        "constraints": ["e<3", "d<2"],
        "extra_index": ["http://i/"],
        "find_links": ["deps/wheels"],
        "pre": True,
    }


@pytest.mark.parametrize("url", ["https://me:hunter2@host/simple", Secret("https://me:hunter2@host/simple")])
def test_credentials_are_in_no_request_and_no_key(url: str) -> None:
    spec = {"packages": ["a", "b @ https://me:hunter2@host/b-1-py3-none-any.whl"], "index": url, "extra_index": [url]}
    assert "hunter2" not in repr(_ask(spec))
    assert all("hunter2" not in repr(each.inputs) for each in _recipes(spec))
    assert "hunter2" not in repr(
        _ask({"packages": ["a"], "requirements": "r.txt"}, r="--index-url https://me:hunter2@h/")
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-e .", "editable"),
        ("./local", "is a path"),
        ("wheels/a-1-py3-none-any.whl", "is a path"),
        ("git+https://host/a", "repository of sources"),
        ("a @ git+https://me:hunter2@host/a", "repository of sources"),
        ("a @ https://host/a-1.tar.gz", "not the address of a wheel"),
        ("a @ file:///a-1-py3-none-any.whl", "not the address of a wheel"),
        ("--no-binary :all:", "asks for sources"),
        ("--frobnicate", "--frobnicate is not known"),
        ("-r https://host/r.txt", "not in the project"),
        ("a==1 --hash=md5:ab", "md5 hashes"),
        ("==1", "not a requirement"),
    ],
)
def test_what_no_wheel_can_answer_is_refused_with_its_line(line: str, message: str) -> None:
    with pytest.raises(ResolveError, match=message) as caught:
        _ask({"requirements": "r.txt"}, r=f"ok\n\n{line}\n")
    assert str(caught.value.place) == "r.txt:3:1"
    assert caught.value.remedy
    assert "hunter2" not in str(caught.value)


def test_nothing_asked_for_is_an_error() -> None:
    with pytest.raises(UsageError, match="no packages"):
        _ask({})
    with pytest.raises(UsageError, match="no packages"):
        _ask({"requirements": ["r.txt"]}, r="# nothing yet\n")


def test_needs() -> None:
    assert pip.needs({}, BASE) == {"python": "3.11", "libc": "2.36", "architecture": "amd64"}
    with pytest.raises(AssembleError, match=r"needs Python.*add python3"):
        pip.needs({}, replace(BASE, python=None))
    with pytest.raises(AssembleError, match="libc"):
        pip.needs({}, replace(BASE, libc=""))
    with pytest.raises(AssembleError, match="linux/mips64"):
        pip.needs({}, replace(BASE, platform=Platform("linux", "mips64")))


def _recipes(spec: dict[str, Any] | None = None, parent: Facts = BASE, locked: Any = LOCKED) -> list[Assemble]:
    found = list(pip.recipes(spec or {"packages": ["a", "b"]}, locked, parent))
    assert all(isinstance(each, Assemble) for each in found)
    return found  # type: ignore[return-value]


def _keys(*args: Any) -> list[str]:
    return [cache_key([each.packer, each.part, dict(each.inputs)]) for each in _recipes(*args)]


def test_a_new_base_with_the_same_python_moves_nothing() -> None:
    assert _keys(None, replace(BASE, release="13", packages={"libc6": "2.36-10"})) == _keys()


def test_a_patch_release_of_python_moves_only_the_bytecode() -> None:
    wheels, bytecode = _keys()
    moved = _keys(None, replace(BASE, python=replace(PYTHON, version="3.11.7")))
    assert moved[0] == wheels
    assert moved[1] != bytecode


def test_where_packages_come_from_moves_nothing() -> None:
    assert _keys({"packages": ["a"], "index": "http://elsewhere/"}) == _keys()


def test_another_prefix_moves_both() -> None:
    assert not set(_keys({"packages": ["a"], "prefix": "/opt/app/"})) & set(_keys())
    assert (
        _recipes({"packages": ["a"], "prefix": "/opt/app/"})[0].inputs["site"]
        == "/opt/app/lib/python3.11/site-packages"
    )
    assert _keys({"packages": ["a"], "prefix": "/usr/local/"}) == _keys()


def test_parts_and_what_they_need() -> None:
    wheels, bytecode = _recipes()
    assert (wheels.packer, wheels.needs_root, bytecode.packer, bytecode.needs_root) == (
        "wheel",
        False,
        "bytecode",
        True,
    )
    assert wheels.inputs["wheels"] == [["a-1-py3-none-any.whl", "aa"], ["b-1-py3-none-any.whl", "bb"]]
    assert [each.packer for each in _recipes({"packages": ["a"], "bytecode": False})] == ["wheel"]
    assert _recipes(None, BASE, {**LOCKED, "wheels": []}) == []


def test_a_lock_for_another_base_is_refused() -> None:
    with pytest.raises(AssembleError, match=r"3\.11 on manylinux_2_36_x86_64.*manylinux_2_31_x86_64"):
        _recipes(None, replace(BASE, libc="2.31"))


def test_what_was_chosen_for_an_older_glibc_stays_as_it_is_on_a_newer() -> None:
    assert _recipes(None, replace(BASE, libc="2.41")) == _recipes()


@pytest.mark.parametrize("name", ["../../a-1-py3-none-any.whl", "a.whl", "a-1-py3-none-any.tar.gz"])
def test_a_lock_cannot_name_files_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="not the file name of a wheel"):
        _recipes(None, BASE, {**LOCKED, "wheels": [{"name": "a", "version": "1", "file": name, "sha256": "0" * 64}]})
