"""Bytecode is equal however it is made, is what the interpreter would make, and comes from the right interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.assemble.bytecode import alone, frames, pack
from pipeline.assemble.bytecode_pool import Compilers, Source
from pipeline.assemble.bytecode_python import Interpreter, Merged, find
from pipeline.assemble.entry import MTIME, Entry
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.facts import Facts, Python
from pipeline.recipe import Assemble

VERSION = sys.version.split()[0]
TAG = sys.implementation.cache_tag
HERE = Interpreter((sys.executable,))
SOURCE = """
'''Names that an interpreter knows already, constants of every type, code within code.'''
import os, sys
def outer(self, path, name="name", *args, key=None, **kwargs):
    cell = {"a": 1.5, "b": (1, 2, "x y", b"bytes", 3j, 10**40, None, ...)}
    def inner(): return cell, self, path in {"read", "write", "close"}
    return [inner for _ in range(3) if name in ("self", "path")]
class Thing:
    x: int = 1
    def __init__(self): super().__init__()
"""


@pytest.fixture
def sources(tmp_path: Path) -> list[Source]:
    found = []
    for number in range(40):
        path = tmp_path / f"tree/pkg{number % 3}/m{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SOURCE + f"value_{number % 7} = 'value_{number % 5} self'\n")
        found.append(Source(path, f"usr/lib/{path.relative_to(tmp_path)}", "a.whl"))
    return found


def _packed(found: list[Source], workers: int = 1, interpreter: Interpreter = HERE) -> list[Entry]:
    return list(pack(found, interpreter, VERSION, Compilers(workers)))


def test_bytes_do_not_depend_on_order_company_or_the_number_of_workers(sources: list[Source]) -> None:
    expected = _packed(sources)
    assert _packed(sources, 3) == expected
    assert _packed(sources[::-1], 2) == expected
    alone = {entry.path: entry for source in sources[::9] for entry in _packed([source])}
    assert all(entry == alone[entry.path] for entry in expected if entry.path in alone)
    hashed = Interpreter((sys.executable,), {"PYTHONHASHSEED": "7"})
    assert _packed(sources, 1, hashed) == expected


def test_entries_are_sorted_files(sources: list[Source]) -> None:
    found = _packed(sources, 2)
    assert [entry.path for entry in found] == sorted(entry.path for entry in found)
    assert f"usr/lib/tree/pkg0/__pycache__/m0.{TAG}.pyc" in {entry.path for entry in found}
    assert {(entry.type, entry.owner) for entry in found} == {("file", "a.whl")}


def test_one_interpreter_compiles_for_many_layers(sources: list[Source], tmp_path: Path) -> None:
    counted = tmp_path / "python"
    counted.write_text(f'#!/bin/sh\necho >> {tmp_path}/starts\nexec {sys.executable} "$@"\n')
    counted.chmod(0o755)
    compilers, interpreter = Compilers(1), Interpreter((str(counted),))
    for some in (sources[:5], sources[5:9], sources[9:12]):
        assert len(list(pack(some, interpreter, VERSION, compilers))) == len(some)
    assert (tmp_path / "starts").read_text() == "\n"


def test_an_interpreter_uses_it_in_place_of_the_source(tmp_path: Path) -> None:
    source = tmp_path / "thing.py"
    source.write_text("which = 'compiled'\n")
    file = next(e for e in _packed([Source(source, "opt/app/thing.py")]) if e.type == "file")
    assert isinstance(file.source, bytes)
    cache = tmp_path / "__pycache__" / Path(file.path).name
    cache.parent.mkdir()
    cache.write_bytes(file.source)
    # As long and as old as what was compiled, so that only one who reads the source can tell.
    source.write_text("which = 'original'\n")
    os.utime(source, (MTIME, MTIME))
    command = [sys.executable, "-c", "import thing; print(thing.which)"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "compiled"
    assert b"/opt/app/thing.py" in file.source


def test_what_does_not_compile_is_left_out(tmp_path: Path) -> None:
    for name, text in {"old.py": b"print 1\n", "nul.py": b"a\0b", "bytes.py": b"\xff\xfe", "good.py": b""}.items():
        (tmp_path / name).write_bytes(text)
    found = _packed([Source(path, f"lib/{path.name}") for path in sorted(tmp_path.glob("*.py"))])
    assert [entry.path for entry in found] == [f"lib/__pycache__/good.{TAG}.pyc"]


def test_an_interpreter_that_dies_is_an_error(sources: list[Source]) -> None:
    with pytest.raises(AssembleError, match="Python ended"):
        _packed(sources, 2, Interpreter(("/bin/true",)))


def test_another_version_is_never_taken_in_its_place(tmp_path: Path) -> None:
    assert find(Python(VERSION), lambda: [tmp_path], MTIME).command
    minor = ".".join(VERSION.split(".")[:2])
    with pytest.raises(AssembleError, match=rf"Python {minor}\.999 .*bytecode: false"):
        find(Python(f"{minor}.999"), lambda: [tmp_path], MTIME)


def test_folders_of_the_layers_below_are_compiled_without_their_tests(tmp_path: Path) -> None:
    for path in ("one/usr/lib/py/a.py", "one/usr/lib/py/test/b.py", "two/usr/lib/py/c.py", "two/usr/share/d.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n")
    (tmp_path / "two/usr/lib/py/a.py").write_text("y = 'of the layer above'\n")
    recipe = Assemble("bytecode", {"python": VERSION, "packages": [], "trees": ["usr/lib/py"]}, needs_root=True)
    work = Work(
        tmp_path,
        None,
        tmp_path,
        Facts(python=Python(VERSION)),
        lambda: [tmp_path / "one", tmp_path / "two"],
        lambda _: None,
    )
    framed = frames(recipe, work)
    found = {entry.path: entry.source for frame in framed.frames for entry in frame.entries()}
    assert list(found) == [f"usr/lib/py/__pycache__/{name}.{TAG}.pyc" for name in "ac"]
    assert [entry.path for entry in framed.folders(found)] == ["usr/lib/py/__pycache__"]
    assert b"of the layer above" in found[f"usr/lib/py/__pycache__/a.{TAG}.pyc"]  # type: ignore[operator]


def test_folders_on_another_base_are_compiled_anew_only_when_a_source_is_another(tmp_path: Path) -> None:
    def key(name: str, text: str) -> str | None:
        (tmp_path / name / "usr/lib/py").mkdir(parents=True)
        (tmp_path / name / "usr/lib/py/a.py").write_text(text)
        inputs = {"python": VERSION, "packages": [], "trees": ["usr/lib/py"], "below": {"base": name}}
        work = Work(tmp_path, None, tmp_path, Facts(), lambda: [tmp_path / name], lambda _: None)
        (frame,) = frames(Assemble("bytecode", inputs, needs_root=True), work).frames
        return frame.key

    first = key("first", "x = 1\n")
    assert first is not None
    assert key("second", "x = 1\n") == first
    assert key("third", "x = 2\n") != first


def test_links_are_followed_inside_the_image(tmp_path: Path) -> None:
    low, high = tmp_path / "low", tmp_path / "high"
    (low / "usr/bin").mkdir(parents=True)
    (low / "usr/bin/python3.11").write_text("")
    (low / "bin").symlink_to("usr/bin")
    (high / "etc/alternatives").mkdir(parents=True)
    (high / "etc/alternatives/python").symlink_to("/bin/python3.11")
    (high / "usr").mkdir()
    (high / "usr/loop").symlink_to("loop")
    image = Merged([low, high])
    assert image.real("/etc/alternatives/python") == "/usr/bin/python3.11"
    assert image.real("/bin/../bin/python3.11") == "/usr/bin/python3.11"
    assert image.real("/usr/loop") is None
    assert image.real("/absent") is None
    assert image.host("/usr/bin/python3.11") == low / "usr/bin/python3.11"


def test_wheels_need_nothing_below_where_this_machine_has_the_interpreter() -> None:
    wheels = Assemble("bytecode", {"python": VERSION, "wheels": [["a.whl", "1"]]}, needs_root=True, root_decides=False)
    assert alone(wheels, Facts())
    assert not alone(replace(wheels, inputs={**wheels.inputs, "python": "3.11.999"}), Facts())
    assert not alone(replace(wheels, inputs={"python": VERSION, "trees": ["usr/lib/python3"]}), Facts())
