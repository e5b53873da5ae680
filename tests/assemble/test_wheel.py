"""Wheels become the files that pip would install, with the same bytes whoever unpacked them."""

from __future__ import annotations

import csv
import hashlib
import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.assemble.entry import Entry
from pipeline.assemble.frame import Framed
from pipeline.assemble.wheel import frames, wheel_key
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.recipe import Assemble

SITE = "usr/local/lib/python3.11/dist-packages"
ALPHA = "alpha-1.0-py3-none-any.whl"
INFO = {"alpha-1.0.dist-info/METADATA": "Name: alpha\n", "alpha-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\n"}


@pytest.fixture
def unpack(tmp_path: Path) -> Callable[..., Path]:
    """Writes a wheel's files, with a RECORD of them, as uv's cache would hold them."""

    def write(file: str, content: Mapping[str, str], below: str = "cache") -> Path:
        folder, record = tmp_path / below / file, ""
        for path, text in content.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
            digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(text)}\n"
        info = "-".join(file.split("-")[:2]) + ".dist-info"
        (folder / info / "RECORD").write_text(record + f"{info}/RECORD,,\n")
        return folder

    return write


def _pack(
    folders: Mapping[str, Path], tmp_path: Path, prefix: str = "/usr/local", site: str = f"/{SITE}"
) -> list[Entry]:
    wheels = [[file, "00"] for file in folders]
    inputs = {"wheels": wheels, "python": "3.11", "platform": "manylinux_2_36_x86_64", "prefix": prefix}
    recipe = Assemble("wheel", {**inputs, "site": site, "executable": "/usr/bin/python3"})
    indexes = SimpleNamespace(files=None, pypi=SimpleNamespace(unpacked=lambda *_, **__: dict(folders)))
    return _flat(frames(recipe, Work(tmp_path, indexes, tmp_path, Facts(), list, lambda _: None)))


def _flat(framed: Framed) -> list[Entry]:
    """The members of the layer by path; of two with one path the later stays."""
    found = {entry.path: entry for frame in framed.frames for entry in frame.entries()}
    return sorted([*framed.folders(list(found)), *found.values()], key=lambda entry: entry.path)


def _read(entry: Entry) -> bytes:
    return entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()


def test_every_scheme_goes_to_its_place(unpack: Any, tmp_path: Path) -> None:
    content = {
        **INFO,
        "alpha/__init__.py": "",
        "alpha-1.0.data/scripts/tool": "#!python\nprint(1)\n",
        "alpha-1.0.data/scripts/shell": "#!/bin/sh\n",
        "alpha-1.0.data/data/share/alpha.txt": "text",
        "alpha-1.0.data/headers/alpha.h": "int a;",
        "alpha-1.0.data/purelib/pure.py": "",
        "alpha-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun = alpha.cli:App.main [extra]\n[other]\nx = y\n",
    }
    found = {entry.path: entry for entry in _pack({ALPHA: unpack(ALPHA, content)}, tmp_path)}
    assert [path for path in found if "dist-packages" not in path] == [
        "usr/local/bin",
        "usr/local/bin/run",
        "usr/local/bin/shell",
        "usr/local/bin/tool",
        "usr/local/include",
        "usr/local/include/python3.11",
        "usr/local/include/python3.11/alpha",
        "usr/local/include/python3.11/alpha/alpha.h",
        "usr/local/lib",
        "usr/local/lib/python3.11",
        "usr/local/share",
        "usr/local/share/alpha.txt",
    ]
    assert f"{SITE}/pure.py" in found
    assert not any(".data" in path for path in found)
    assert _read(found["usr/local/bin/tool"]) == b"#!/usr/bin/python3\nprint(1)\n"
    assert _read(found["usr/local/bin/run"]).startswith(b"#!/usr/bin/python3\nimport sys\nfrom alpha.cli import App\n")
    assert b"sys.exit(App.main())" in _read(found["usr/local/bin/run"])
    assert {found[f"usr/local/bin/{name}"].mode for name in ("run", "shell", "tool")} == {0o755}
    assert found["usr/local/lib"].type == "dir"
    assert all(entry.size == len(_read(entry)) for entry in found.values() if entry.type == "file")
    assert {entry.owner for entry in found.values() if entry.type == "file"} == {ALPHA}


def test_record_lists_what_is_installed_and_fits(unpack: Any, tmp_path: Path) -> None:
    content = {**INFO, "z.py": "z", "a.py": "a", "alpha-1.0.dist-info/entry_points.txt": "[console_scripts]\nrun=a:b\n"}
    found = {entry.path: entry for entry in _pack({ALPHA: unpack(ALPHA, content)}, tmp_path)}
    rows = list(csv.reader(_read(found[f"{SITE}/alpha-1.0.dist-info/RECORD"]).decode().splitlines()))
    assert rows == sorted(rows)
    files = {os.path.relpath(path, SITE) for path, entry in found.items() if entry.type == "file"}
    assert {row[0] for row in rows} == files
    assert "../../../bin/run" in files
    for path, digest, size in rows:
        if path != "alpha-1.0.dist-info/RECORD":
            raw = _read(found[os.path.normpath(f"{SITE}/{path}")])
            assert digest == "sha256=" + urlsafe_b64encode(hashlib.sha256(raw).digest()).rstrip(b"=").decode()
            assert size == str(len(raw))


def test_what_installers_leave_behind_changes_nothing(unpack: Any, tmp_path: Path) -> None:
    clean = unpack(ALPHA, {**INFO, "alpha.py": "a"})
    used = unpack(ALPHA, {**INFO, "alpha.py": "a"}, "used")
    for stray in (
        "__pycache__/alpha.cpython-311.pyc",
        "alpha-1.0.dist-info/uv_cache.json",
        "alpha-1.0.dist-info/INSTALLER",
    ):
        (used / stray).parent.mkdir(exist_ok=True)
        (used / stray).write_text("stray")
    (used / "alpha.py").chmod(0o600)
    os.utime(used / "alpha.py", (1, 1))

    def bytes_of(folder: Path) -> list[Any]:
        return [(e.path, e.type, e.mode, e.size, e.type == "dir" or _read(e)) for e in _pack({ALPHA: folder}, tmp_path)]

    assert bytes_of(clean) == bytes_of(used)


def test_what_a_wheel_marks_executable_stays_so(unpack: Any, tmp_path: Path) -> None:
    folder = unpack(ALPHA, {**INFO, "alpha/tool": "binary", "alpha/data": "text"})
    (folder / "alpha/tool").chmod(0o740)
    modes = {entry.path: entry.mode for entry in _pack({ALPHA: folder}, tmp_path)}
    assert (modes[f"{SITE}/alpha/tool"], modes[f"{SITE}/alpha/data"]) == (0o755, 0o644)


def test_a_file_that_was_edited_in_the_cache_is_an_error(unpack: Any, tmp_path: Path) -> None:
    folder = unpack(ALPHA, {**INFO, "alpha.py": "a = 1"})
    (folder / "alpha.py").write_text("a = 2")
    os.link(folder / "alpha.py", tmp_path / "edited-through-this-name")
    with pytest.raises(AssembleError, match=r"alpha\.py .* changed in uv's cache .*uv cache clean alpha"):
        _pack({ALPHA: folder}, tmp_path)


@pytest.mark.parametrize("line", ["../../evil = a:b", "run = a:b; import os", "run = a", "run = a:b()"])
def test_entry_points_cannot_leave_their_folder_or_say_more_than_a_name(unpack: Any, tmp_path: Path, line: str) -> None:
    folder = unpack(ALPHA, {**INFO, "alpha-1.0.dist-info/entry_points.txt": f"[console_scripts]\n{line}\n"})
    with pytest.raises(AssembleError, match="entry point"):
        _pack({ALPHA: folder}, tmp_path)


def test_of_two_wheels_with_one_file_the_later_name_wins(unpack: Any, tmp_path: Path) -> None:
    beta = "beta-1.0-py3-none-any.whl"
    folders = {
        beta: unpack(beta, {"beta-1.0.dist-info/METADATA": "", "shared.py": "beta"}),
        ALPHA: unpack(ALPHA, {**INFO, "shared.py": "alpha"}),
    }
    for order in (folders, dict(reversed(folders.items()))):
        shared = next(entry for entry in _pack(order, tmp_path) if entry.path.endswith("shared.py"))
        assert (_read(shared), shared.owner) == (b"beta", beta)


def test_the_wheels_of_all_parts_that_are_made_are_fetched_side_by_side(unpack: Any, tmp_path: Path) -> None:
    beta, gamma = "beta-2.0-py3-none-any.whl", "gamma-1.0-py3-none-any.whl"
    folders = {ALPHA: unpack(ALPHA, {**INFO, "alpha.py": ""}), beta: unpack(beta, {"beta-2.0.dist-info/METADATA": ""})}
    asked: list[Any] = []

    def fetch(wheels: Any, *_: Any, others: Any, **__: Any) -> Mapping[str, Path]:
        asked.append((wheels, others))
        return {file: folders[file] for file, _ in wheels}

    def part(*files: str, **inputs: str) -> Assemble:
        common = {"python": "3.11", "platform": "manylinux_2_36_x86_64", "prefix": "/usr/local", "site": f"/{SITE}"}
        wheels = [[file, "00"] for file in files]
        return Assemble("wheel", {**common, "wheels": wheels, "executable": "/usr/bin/python3", **inputs})

    mine, other, elsewhere = part(ALPHA, gamma), part(beta, python="3.11.2"), part("c-1-py3-none-any.whl", platform="o")
    indexes = SimpleNamespace(files=None, pypi=SimpleNamespace(unpacked=fetch))
    packed = {wheel_key(mine, (gamma, "00"))}
    work = Work(
        project=tmp_path,
        indexes=indexes,
        scratch=tmp_path,
        parent=Facts(),
        roots=list,
        say=lambda _: None,
        beside=lambda: [mine, other, elsewhere],
        packed=packed.__contains__,
    )
    first = next(iter(frames(mine, work).frames))
    assert {entry.owner for entry in first.entries() if entry.owner} == {ALPHA}
    # What is packed already is not fetched.
    assert asked == [([(ALPHA, "00")], [[(ALPHA, "00")], [(beta, "00")]])]


def test_only_folders_below_the_prefix_are_made(unpack: Any, tmp_path: Path) -> None:
    found = _pack(
        {ALPHA: unpack(ALPHA, {**INFO, "alpha.py": ""})}, tmp_path, "/opt/app", "/opt/app/lib/python3.11/site-packages"
    )
    assert [entry.path for entry in found if entry.type == "dir"] == [
        "opt/app/lib",
        "opt/app/lib/python3.11",
        "opt/app/lib/python3.11/site-packages",
        "opt/app/lib/python3.11/site-packages/alpha-1.0.dist-info",
    ]
