"""Packs a conda prefix as conda would have linked it, with the same bytes on every machine.

Records in conda-meta/ follow conda's PrefixRecord (conda documentation, "conda-meta"), without what only tells of the
machine that linked them: folders, hosts, link types and times.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.assemble.entry import MTIME, Entry
from pipeline.assemble.frame import Frame, Framed, frame_key
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.layers._environment import read, spec_name
from pipeline.recipe import Assemble

# What the linking tool leaves for itself.
_NOT_THE_PACKAGES = {"CACHEDIR.TAG", "conda-meta/history", "conda-meta/pixi", "conda-meta/.condarc"}
_MACHINE = ("extracted_package_dir", "package_tarball_full_path", "link", "timestamp")
_TIME = "1980-01-01 00:00:00"
_FLAGS = struct.Struct("<4sIII")


def frames(recipe: Assemble, work: Work) -> Framed:
    """One frame for the layer: packages are linked together, and their folders follow from what was linked."""
    key = frame_key(recipe.packer, dict(recipe.inputs))
    return Framed((Frame(key, lambda: entries(recipe, work)),), lambda _paths: ())


def entries(recipe: Assemble, work: Work) -> Iterator[Entry]:
    """The members of a layer with `inputs["packages"]` linked at `inputs["prefix"]`, sorted by path.

    An interpreter in `inputs["interpreter"]` is in another layer. The environment's own files, which tell of all its
    packages, are where `inputs["history"]` says what is to stand there.
    """
    inputs, prefix = recipe.inputs, recipe.inputs["prefix"].strip("/")
    folder = work.scratch / "prefix"
    if inputs["packages"]:
        _link(recipe, folder, work)
    records = _records(folder, inputs["packages"], inputs["specs"])
    _say_scripts(records, work)
    written = {f"conda-meta/{name}.json": _json(record) for name, record in records.items()}
    for linked, specs in inputs["history"]:
        written["conda-meta/history"] = _history(linked, specs)
    if inputs["variables"]:
        written["conda-meta/state"] = _json({"env_vars": dict(inputs["variables"])})
    owners = {path: record["fn"] for record in records.values() for path in record["files"]}
    found = {entry.path: entry for entry in _walk(folder, prefix, owners)}
    for path, content in written.items():
        entry = Entry(f"{prefix}/{path}", source=content, size=len(content), owner=owners.get(path, ""))
        found[entry.path] = entry
    yield Entry(prefix, "dir", 0o755)
    for path in sorted(found):
        yield found[path]


def _link(recipe: Assemble, folder: Path, work: Work) -> None:
    inputs, files = recipe.inputs, work.indexes.files
    work.indexes.conda.link(
        inputs["packages"],
        read(recipe.sources, files),
        files,
        subdir=inputs["platform"],
        prefix=inputs["prefix"],
        into=folder,
        interpreter=next(iter(inputs["interpreter"]), None),
    )


def _walk(folder: Path, prefix: str, owners: Mapping[str, str]) -> Iterator[Entry]:
    """What was linked; records apart."""
    for here, folders, names in os.walk(folder):
        inside = os.path.relpath(here, folder).removeprefix(".").lstrip("/")
        for name in [*folders, *names]:
            path = f"{inside}/{name}".lstrip("/")
            if path in _NOT_THE_PACKAGES or (inside == "conda-meta" and name.endswith(".json")):
                continue
            source, owner = Path(here, name), owners.get(path, "")
            if source.is_symlink():
                yield Entry(f"{prefix}/{path}", "symlink", 0o777, link=os.fspath(source.readlink()), owner=owner)
            elif source.is_dir():
                yield Entry(f"{prefix}/{path}", "dir", 0o755)
            elif entry := _file(source, f"{prefix}/{path}", owner):
                yield entry


def _file(source: Path, path: str, owner: str) -> Entry | None:
    """A file as it was linked; bytecode with the time that its source will have, or left out when it is stale."""
    stat = source.stat()
    mode = 0o755 if stat.st_mode & 0o111 else 0o644
    if source.suffix != ".pyc" or source.parent.name != "__pycache__":
        return Entry(path, "file", mode, source=source, size=stat.st_size, owner=owner)
    code = _stamped(source)
    return None if code is None else Entry(path, "file", mode, source=code, size=len(code), owner=owner)


def _stamped(bytecode: Path) -> bytes | None:
    """Bytecode whose header names the time that every source gets in a layer (PEP 552, "Specification").

    None when it is not of the source beside it, as Python would find, too: linking changed that, or it is not there.
    """
    code = bytecode.read_bytes()
    if len(code) < _FLAGS.size:
        return None
    magic, flags, mtime, size = _FLAGS.unpack_from(code)
    if flags:
        # By hash: no time in it.
        return code
    try:
        source = (bytecode.parent.parent / f"{bytecode.name.split('.')[0]}.py").stat()
    except FileNotFoundError:
        return None
    if (int(source.st_mtime) & 0xFFFFFFFF, source.st_size & 0xFFFFFFFF) != (mtime, size):
        return None
    return _FLAGS.pack(magic, flags, MTIME, size) + code[_FLAGS.size :]


def _records(folder: Path, packages: Sequence[Mapping[str, Any]], specs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The record of each package by the stem of its file name. Addresses are as conda's default alias has them."""
    found, asked = {}, [(spec_name(spec), spec) for spec in specs]
    for package in packages:
        stem = package["file"].removesuffix(".conda").removesuffix(".tar.bz2")
        try:
            record: dict[str, Any] = json.loads((folder / f"conda-meta/{stem}.json").read_bytes())
        except FileNotFoundError:
            raise AssembleError(f"{package['file']} was not linked", remedy="run again") from None
        place = f"{package['channel']}/{package['subdir']}"
        record |= {"channel": package["channel"], "url": f"https://conda.anaconda.org/{place}/{package['file']}"}
        record["requested_specs"] = [spec for name, spec in asked if name == package["name"]]
        found[stem] = {key: value for key, value in record.items() if key not in _MACHINE}
    return found


def _history(packages: Sequence[str], specs: Sequence[str]) -> bytes:
    """What conda's own history would say (conda, history.py), at a time that does not change."""
    lines = [f"==> {_TIME} <==", "# cmd: pipeline", *(f"+{package}" for package in packages)]
    lines.append(f"# update specs: {list(specs)!r}")
    return ("\n".join(lines) + "\n").encode()


def _say_scripts(records: Mapping[str, Mapping[str, Any]], work: Work) -> None:
    """Tells of what conda would have run: scripts at linking, and on activation."""
    for record in records.values():
        for path in record["files"]:
            name = path.rsplit("/", 1)[-1]
            if path.startswith("bin/.") and name.endswith(("-post-link.sh", "-pre-link.sh")):
                work.say(f"{record['fn']} has a script for linking, which is not run: {path}")
            elif path.startswith("etc/conda/activate.d/"):
                work.say(f"{record['fn']} has a script for activation, which no image runs: {path}")


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
