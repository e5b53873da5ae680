"""Conda layers from environment.yml to packed layers: solved on channels made here, linked without conda."""

from __future__ import annotations

import json
import os
import platform
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from condamaker import TIME, Channel, python

from pipeline.assemble import bytecode, frame_layer
from pipeline.assemble import conda as packer
from pipeline.assemble import layer as writer
from pipeline.assemble.entry import MTIME, Entry
from pipeline.assemble.frame_cache import FrameCache
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError, OutOfReach, ResolveError, UsageError
from pipeline.facts import Facts, Platform
from pipeline.home import Home
from pipeline.indexes import Indexes
from pipeline.kinds import Held
from pipeline.layers import conda
from pipeline.lock.model import Lock, LockEntry
from pipeline.lock.text import dump
from pipeline.manifest.model import LayerBudget
from pipeline.oci.budget import divided
from pipeline.recipe import Assemble
from pipeline.store.blobs import Blobs

BASE = Facts(Platform(), "debian", "12", "2.36", None, {"libc6": "2.36-9"})
VERSION = platform.python_version()
MINOR = ".".join(VERSION.split(".")[:2])


class Folder:
    """The project's files, as kinds see them, without a manifest."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, relative: str) -> Path:
        return self.root / relative

    def text(self, relative: str) -> str:
        return self.path(relative).read_text()


@pytest.fixture
def files(tmp_path: Path) -> Folder:
    (tmp_path / "project").mkdir()
    return Folder(tmp_path / "project")


@pytest.fixture(autouse=True)
def channel(files: Folder) -> Channel:
    """A channel with an interpreter, a library, and a tool for any platform."""
    made = Channel(files.root / "channel")
    python(made, VERSION)
    made.package("tool", "1.1", {"site-packages/tool/__init__.py": "def main(): return 0\n"}, subdir="noarch",
                 depends=["python >=3.8"], entry_points=["tool = tool:main"])  # fmt: skip
    made.package("tool", "1.0", subdir="noarch", depends=["python >=3.8"])
    made.package("gpu", "1", depends=["__cuda >=12"])
    return made


@pytest.fixture
def indexes(tmp_path: Path, files: Folder) -> Indexes:
    return _indexes(tmp_path / "home", files)


def _indexes(home: Path, files: Folder, **environ: str) -> Indexes:
    folders = Home(home / "store", home / "cache", home / "state")
    user = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}
    return Indexes(folders, user, files, lambda _text: None)  # type: ignore[arg-type]


def _spec(*dependencies: Any, **more: Any) -> dict[str, Any]:
    return {"channels": ["./channel"], "dependencies": list(dependencies), **more}


def _solve(indexes: Indexes, spec: Mapping[str, Any], parent: Facts = BASE) -> Any:
    return conda.resolve(spec, conda.request(spec, indexes.files), parent, indexes, Held())


def _versions(locked: Any) -> dict[str, str]:
    return {package["name"]: package["version"] for package in locked["packages"]}


def _pack(recipe: Assemble, indexes: Indexes, scratch: Path, said: list[str] | None = None) -> dict[str, Entry]:
    scratch.mkdir()
    work = Work(scratch, indexes, scratch, BASE, lambda: [], (said if said is not None else []).append)
    return {entry.path: entry for entry in packer.entries(recipe, work)}


def _content(entry: Entry) -> bytes:
    return entry.source if isinstance(entry.source, bytes) else entry.source.read_bytes()


def test_the_lock_has_names_hashes_and_no_place(indexes: Indexes, tmp_path: Path) -> None:
    locked = _solve(indexes, _spec("tool"))
    assert _versions(locked) == {"tool": "1.1", "python": VERSION, "libz": "1.2.13"}
    assert locked["platform"] == "linux-64"
    tool = next(package for package in locked["packages"] if package["name"] == "tool")
    assert tool["file"] == "tool-1.1-0.conda"
    assert tool["channel"] == "channel"
    assert len(tool["sha256"]) == 64
    assert str(tmp_path) not in json.dumps(locked)
    text = dump(Lock({"layers.env linux/amd64": LockEntry("conda", "x", locked)}))
    assert [line.split('"')[3] for line in text.splitlines() if "sha256" in line] == ["libz", "python", "tool"]


def test_a_file_and_the_same_in_the_manifest_ask_for_the_same(indexes: Indexes, files: Folder) -> None:
    (files.root / "environment.yml").write_text(
        "name: serve\nchannels: [./channel, nodefaults]\n"
        "dependencies:\n  - tool=1.0=0\n  - channel::libz  # [linux]\nvariables: {MODE: 010}\n"
    )
    spec = {"file": "environment.yml"}
    locked = _solve(indexes, spec)
    assert _versions(locked) == {"tool": "1.0", "python": VERSION, "libz": "1.2.13"}
    above = conda.facts(spec, locked, BASE)
    assert above.python
    assert above.python.executable == "/opt/conda/envs/serve/bin/python"
    assert above.python.site == f"/opt/conda/envs/serve/lib/python{MINOR}/site-packages"
    assert above.path == ("/opt/conda/envs/serve/bin",)
    assert above.env == {"MODE": "010"}


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (_spec("toool"), ResolveError, r"has toool for linux-64 \(did you mean tool"),
        (_spec("tool>=2"), ResolveError, "no set of conda packages fits linux-64: No candidates were found for tool"),
        (_spec("tool", "python<3"), ResolveError, "No candidates were found for python <3"),
        (_spec("tool===1"), ResolveError, "not a conda package spec"),
        (_spec("gpu"), ResolveError, r"__cuda >=12.*cuda: \"12.4\""),
        (_spec("tool", channels=["./elsewhere"]), ResolveError, "no conda channel at file://.*elsewhere"),
        (_spec("tool", channels=["http://127.0.0.1:9/c"]), OutOfReach, "does not answer: Connection refused"),
        ({"file": "e.yml", "dependencies": ["tool"]}, UsageError, "a file or for dependencies"),
        ({"file": "e.yml"}, ResolveError, r"e.yml:1:1: this file lists no dependencies \(dependancies: did you mean"),
        ({"file": "f.yml"}, ResolveError, "f.yml:3:5: only `pip:` may hold a list here"),
    ],
)
def test_what_cannot_be_had_is_said(
    spec: dict[str, Any], kind: type[Exception], message: str, indexes: Indexes, files: Folder
) -> None:
    (files.root / "e.yml").write_text("dependancies:\n  - tool\n")
    (files.root / "f.yml").write_text("dependencies:\n  - tool\n  - npm: [x]\n")
    with pytest.raises(kind, match=f"(?s){message}"):
        _solve(indexes, spec)


def test_virtual_packages_are_the_bases(indexes: Indexes) -> None:
    with pytest.raises(ResolveError, match=r"(?s)__glibc >=2.17, for which no candidates"):
        _solve(indexes, _spec("tool"), replace(BASE, libc="2.12"))
    assert _versions(_solve(indexes, _spec("gpu", cuda="12.4"))) == {"gpu": "1"}
    with pytest.raises(ResolveError, match="no packages for linux-aarch64"):
        _solve(indexes, _spec("tool"), replace(BASE, platform=Platform("linux", "arm64")))
    with pytest.raises(AssembleError, match="glibc"):
        conda.needs(_spec("tool"), replace(BASE, libc=""))


def test_the_prefix_is_as_conda_would_have_linked_it(channel: Channel, indexes: Indexes, tmp_path: Path) -> None:
    channel.package("hook", "1", {"bin/.hook-post-link.sh": "exit 1\n", "Menu/hook.json": "{}"})
    spec, said = _spec("tool", "hook", prefix="/srv/env"), list[str]()
    recipe = conda.recipes(spec, _solve(indexes, spec), BASE)[0]
    assert isinstance(recipe, Assemble)
    found = _pack(recipe, indexes, tmp_path / "scratch", said)
    assert _content(found["srv/env/etc/z.conf"]) == b"root=/srv/env/lib\n"
    program = found[f"srv/env/bin/python{MINOR}"]
    assert b"\0/srv/env/lib\0" in _content(program)
    assert (program.mode, program.size) == (0o755, len(_content(program)))
    assert found["srv/env/bin/python"].link == f"python{MINOR}"
    script = found["srv/env/bin/tool"]
    assert script.mode == 0o755
    assert _content(script).startswith(f"#!/srv/env/bin/python{MINOR}\n".encode())
    assert f"srv/env/lib/python{MINOR}/site-packages/tool/__init__.py" in found
    assert found[f"srv/env/lib/python{MINOR}/os.py"].owner == f"python-{VERSION}-0.conda"
    assert any("hook-1-0.conda has a script for linking" in line for line in said)
    assert "+channel/noarch::tool-1.1-0\n" in _content(found["srv/env/conda-meta/history"]).decode()
    record = json.loads(_content(found["srv/env/conda-meta/tool-1.1-0.json"]))
    assert (record["channel"], record["name"], record["requested_specs"]) == ("channel", "tool", ["tool"])
    assert record["depends"] == ["python >=3.8"]


def test_an_environment_in_parts_holds_what_it_holds_as_a_whole(indexes: Indexes, tmp_path: Path) -> None:
    spec = _spec("tool", prefix="/srv/env")
    locked = {**_solve(indexes, spec), "variables": {"MODE": "010"}}
    made = conda.recipes(spec, locked, BASE)
    whole = made[0]
    parts = [each for each in divided(made, LayerBudget(own=1, group=1)) if isinstance(each, Assemble)]
    packed = [each for each in parts if each.packer == "conda"]
    assert [each.piece for each in packed] == ["libz", "python", "tool", "conda-meta"]
    assert isinstance(whole, Assemble)
    together: dict[str, Entry] = {}
    for number, part in enumerate(packed):
        found = _pack(part, indexes, tmp_path / f"part-{number}")
        assert not [path for path in found if path in together and found[path].type != "dir"]
        together |= found
    one = _pack(whole, indexes, tmp_path / "whole")
    assert sorted(together) == sorted(one)
    assert all(_content(together[path]) == _content(one[path]) for path in one if one[path].type == "file")
    # Each names its own packages alone, and one for any Python no more of it than what it is linked for.
    tool = packed[2].inputs
    assert [package["name"] for package in tool["packages"]] == ["tool"]
    assert (tool["interpreter"], tool["specs"], tool["history"]) == ([{"version": MINOR}], ["tool"], [])
    assert "tool" not in json.dumps([packed[0].inputs, packed[1].inputs])


def test_the_bytecode_of_a_part_is_of_its_own_packages(indexes: Indexes, tmp_path: Path) -> None:
    spec = _spec("tool", prefix="/srv/env")
    made = conda.recipes(spec, _solve(indexes, spec), BASE)
    parts = [each for each in divided(made, LayerBudget(own=1, group=1)) if isinstance(each, Assemble)]
    whole = made[0]
    assert isinstance(whole, Assemble)
    root = tmp_path / "root"
    for entry in _pack(whole, indexes, tmp_path / "whole").values():
        if entry.type == "file":
            (root / entry.path).parent.mkdir(parents=True, exist_ok=True)
            (root / entry.path).write_bytes(_content(entry))
    compiled = {}
    for part in (each for each in parts if each.packer == "bytecode"):
        work = Work(tmp_path, indexes, tmp_path, BASE, lambda: [root], lambda _text: None, own=lambda: [root])
        compiled[part.piece] = [entry.path for frame in bytecode.frames(part, work).frames for entry in frame.entries()]
    tag = "cpython-" + MINOR.replace(".", "")
    assert compiled == {"": [f"srv/env/lib/python{MINOR}/site-packages/tool/__pycache__/__init__.{tag}.pyc"]}


def test_two_machines_make_the_same_bytes(files: Folder, tmp_path: Path) -> None:
    """Other homes, caches, umasks and places of the channel; the second has only what the lock says."""
    spec = _spec("tool")
    recipe = conda.recipes(spec, _solve(_indexes(tmp_path / "one", files), spec), BASE)[0]
    assert isinstance(recipe, Assemble)
    moved = Folder(tmp_path / "elsewhere")
    digests = set()
    for name, project in (("one", files), ("two", moved)):
        if project is moved:
            files.root.rename(moved.root)
        scratch = tmp_path / f"scratch-{name}"
        scratch.mkdir()
        before = os.umask(0o077 if project is moved else 0o022)
        try:
            work = Work(scratch, _indexes(tmp_path / name, project), scratch, BASE, lambda: [], lambda _text: None)
            made, _ = writer.write(packer.entries(recipe, work), Blobs(tmp_path / f"blobs-{name}", tmp_path))
        finally:
            os.umask(before)
        digests.add(made.blob.digest)
    assert len(digests) == 1


def test_what_was_linked_once_is_not_linked_for_another_store(indexes: Indexes, tmp_path: Path) -> None:
    spec = _spec("tool")
    recipe = conda.recipes(spec, _solve(indexes, spec), BASE)[0]
    assert isinstance(recipe, Assemble)
    layers = []
    # The second has nowhere to take packages from.
    for number, some in enumerate((indexes, None)):
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        work = Work(scratch, some, scratch, BASE, lambda: [], lambda _text: None)
        blobs = Blobs(tmp_path / f"blobs-{number}", tmp_path)
        layers.append(frame_layer.write(packer.frames(recipe, work), blobs, FrameCache(tmp_path / "frames")))
    assert layers[0] == layers[1]
    assert any(member[0].endswith("bin/tool") for member in layers[0][1].members)


def test_bytecode_that_packages_bring_stays_valid(channel: Channel, indexes: Indexes, tmp_path: Path) -> None:
    source, header = "x = 1\n", struct.Struct("<4sIII")

    def compiled(size: int) -> bytes:
        return header.pack(b"MAGI", 0, TIME, size) + b"code"

    tag, site = "cpython-" + MINOR.replace(".", ""), f"lib/python{MINOR}/site-packages"
    content = {f"{site}/fresh.py": source, f"{site}/stale.py": source}
    content |= {f"{site}/__pycache__/fresh.{tag}.pyc": compiled(len(source))}
    content |= {f"{site}/__pycache__/stale.{tag}.pyc": compiled(len(source) + 1)}
    channel.package("native", "1", content, depends=["python"])
    spec = _spec("native", prefix="/p")
    recipe = conda.recipes(spec, _solve(indexes, spec), BASE)[0]
    assert isinstance(recipe, Assemble)
    found = _pack(recipe, indexes, tmp_path / "scratch")
    assert header.unpack_from(_content(found[f"p/{site}/__pycache__/fresh.{tag}.pyc"])) == (b"MAGI", 0, MTIME, 6)
    assert f"p/{site}/__pycache__/stale.{tag}.pyc" not in found


def test_a_damaged_package_and_a_stale_lock_are_named(channel: Channel, indexes: Indexes, tmp_path: Path) -> None:
    spec = _spec("libz")
    locked = _solve(indexes, spec)
    archive = channel.folder / "linux-64/libz-1.2.13-0.tar.bz2"
    archive.write_bytes(archive.read_bytes()[:-20])
    recipe = conda.recipes(spec, locked, BASE)[0]
    assert isinstance(recipe, Assemble)
    with pytest.raises(AssembleError, match=r"damaged, or not the one that was locked.*libz"):
        _pack(recipe, indexes, tmp_path / "a")
    channel.package("libz", "1.2.13", {"lib/libz.so.1": b"another"}, bz2=True)
    with pytest.raises(AssembleError, match=r"damaged, or not the one that was locked.*libz"):
        _pack(recipe, indexes, tmp_path / "other")
    archive.unlink()
    with pytest.raises(AssembleError, match="a locked conda package is gone"):
        _pack(recipe, indexes, tmp_path / "b")
    elsewhere = replace(recipe, sources={**recipe.sources, "channels": ["./other"]})
    with pytest.raises(AssembleError, match="locked from the conda channel channel, which is not asked for"):
        _pack(elsewhere, indexes, tmp_path / "c")


def test_what_moves_which_layer(indexes: Indexes) -> None:
    spec = _spec("tool")
    made = conda.recipes(spec, _solve(indexes, spec), BASE)
    assert [recipe.part for recipe in made] == ["", "bytecode"]
    assert [recipe.part for recipe in conda.recipes({**spec, "bytecode": False}, _solve(indexes, spec), BASE)] == [""]
    # Neither another base nor another place of the channel is part of what the packages' bytes depend on.
    other = replace(BASE, release="13", libc="2.41")
    assert conda.recipes(spec, _solve(indexes, spec), other)[0].inputs == made[0].inputs


def _wheel(files: Folder, name: str, version: str, requires: str = "") -> None:
    info, folder = f"{name}-{version}.dist-info", files.root / "wheels"
    folder.mkdir(exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "x = 1\n")
        wheel.writestr(f"{info}/METADATA", metadata + (f"Requires-Dist: {requires}\n" if requires else ""))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


def test_wheels_of_the_pip_list_fit_beside_what_conda_brings(channel: Channel, indexes: Indexes, files: Folder) -> None:
    """Python comes with the list, as in conda; a distribution that conda brings stays, though no index has it."""
    info = {"site-packages/numeric-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: numeric\nVersion: 1.0\n"}
    channel.package("numeric", "1.0", info, subdir="noarch", depends=["python"])
    _wheel(files, "thing", "1.0", "numeric>=1")
    _wheel(files, "thing", "2.0", "numeric>=2")
    _wheel(files, "numeric", "2.0")
    (files.root / "more.txt").write_text("other\n")
    _wheel(files, "other", "1.0")
    pip = {"pip": ["--no-index", "--find-links wheels", "thing", "-r more.txt"]}
    locked = _solve(indexes, _spec("numeric", pip))
    assert _versions(locked) == {"numeric": "1.0", "python": VERSION, "libz": "1.2.13"}
    assert {wheel["name"]: wheel["version"] for wheel in locked["pip"]} == {"other": "1.0", "thing": "1.0"}
    made = conda.recipes(_spec("numeric", pip), locked, BASE)
    assert [recipe.part for recipe in made] == ["", "bytecode", "pip", "pip-bytecode"]
    assert made[2].inputs["site"] == f"/opt/conda/lib/python{MINOR}/site-packages"
    with pytest.raises(ResolveError, match=r"only numeric<2 is available and thing>=2\.0 depends on numeric>=2"):
        _solve(indexes, _spec("numeric", {"pip": ["--no-index", "--find-links wheels", "thing==2.0"]}))


def test_credentials_are_in_no_request(indexes: Indexes) -> None:
    channels = ["https://me:hunter2@host/c", "https://host/t/hunter2/c"]
    assert "hunter2" not in repr(conda.request(_spec("tool", channels=channels), indexes.files))
