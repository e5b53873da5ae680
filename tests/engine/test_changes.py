"""From what changed to the members of a layer: what surrounds a command stays out, times do not matter."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pipeline.assemble.entry import MTIME, Entry
from pipeline.engine.changes import Metadata, entries
from pipeline.engine.memory import MemoryEngine, Scene
from pipeline.engine.model import Change, Job
from pipeline.errors import AssembleError

BELOW = {"opt": Metadata(0o755, 0, 0), "run": Metadata(0o755, 0, 0)}


class Below:
    """The folders of BELOW, and nothing in them."""

    def folders(self, paths: set[str]) -> Mapping[str, Metadata]:
        return {path: BELOW[path] for path in paths & BELOW.keys()}

    def children(self, folder: str) -> list[str]:  # noqa: ARG002
        return []


def made(perform: Callable[[Scene], None], tmp_path: Path, **more: object) -> dict[str, Entry]:
    def act(scene: Scene) -> int:
        perform(scene)
        return 0

    with MemoryEngine(act).container(Job("i", ())) as container:
        container.run(lambda _: None)
        return {entry.path: entry for entry in entries(container, Below(), tmp_path, **more)}  # type: ignore[arg-type]


def test_what_surrounds_a_command_stays_out(tmp_path: Path) -> None:
    def perform(scene: Scene) -> None:
        for path in ("run/pipeline/ca.crt", "etc/hosts", "run/secrets/T", ".dockerenv", "root/.cache/pip/x"):
            scene.write(path)

    assert list(made(perform, tmp_path, mounts=["/root/.cache/pip"])) == []


def test_a_folder_of_the_layers_below_is_kept_when_its_mode_differs(tmp_path: Path) -> None:
    assert list(made(lambda scene: scene.folder("opt"), tmp_path)) == []
    assert list(made(lambda scene: scene.folder("opt", mode=0o700), tmp_path)) == ["opt"]


def test_folders_above_a_change_are_as_below(tmp_path: Path) -> None:
    found = made(lambda scene: scene.delete("opt/a/b"), tmp_path)
    assert list(found) == ["opt", "opt/a", "opt/a/.wh.b"]
    assert found["opt"].mode == 0o755


class Exported:
    """A container whose files are told by a tar alone; `a` and `z` are hard links to a file of the layers below."""

    def __init__(self, added: str, order: str) -> None:
        self._added, self._order = added, order

    def own(self) -> list[str]:
        return []

    def upper(self) -> None:
        return None

    def changes(self) -> list[Change]:
        return [Change("opt", "changed"), Change(f"opt/{self._added}", "added")]

    def export(self) -> list[bytes]:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            folder = tarfile.TarInfo("opt")
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(folder)
            first, second = (tarfile.TarInfo(f"opt/{name}") for name in self._order)
            first.size = 4
            tar.addfile(first, io.BytesIO(b"text"))
            second.type, second.linkname = tarfile.LNKTYPE, first.name
            tar.addfile(second)
        return [data.getvalue()]


@pytest.mark.parametrize("added", ["a", "z"])
def test_a_hard_link_to_a_file_below_takes_that_along(added: str, tmp_path: Path) -> None:
    """Engines unpack a layer alone: a link out of it leads nowhere."""
    found = {one.path: one for one in entries(Exported(added, "az"), Below(), tmp_path)}  # type: ignore[arg-type]
    assert list(found) == ["opt", "opt/a", "opt/z"]
    assert (found["opt/a"].type, found["opt/a"].source) == ("file", b"text")
    assert (found["opt/z"].type, found["opt/z"].link) == ("hardlink", "opt/a")


def test_members_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    def perform(scene: Scene) -> None:
        for path in ("b", "a.b", "a/c", "a/.d"):
            scene.write(path)

    assert list(made(perform, tmp_path)) == ["a", "a/.d", "a/c", "a.b", "b"]


def pyc(time: int, flags: int = 0) -> bytes:
    return b"\xa7\r\r\n" + struct.pack("<III", flags, time, 3) + b"code"


def test_bytecode_follows_its_source_to_the_layers_time(tmp_path: Path) -> None:
    def perform(scene: Scene) -> None:
        scene.write("m/a.py", b"x=1", mtime=1000)
        scene.write("m/__pycache__/a.cpython-311.pyc", pyc(1000))
        scene.write("m/__pycache__/b.cpython-311.pyc", pyc(1000))
        scene.write("m/__pycache__/a.cpython-39.pyc", pyc(999))
        scene.write("m/__pycache__/a.cpython-38.pyc", pyc(1000, flags=1))

    found = made(perform, tmp_path)
    assert found["m/__pycache__/a.cpython-311.pyc"].source == pyc(MTIME)
    assert found["m/__pycache__/b.cpython-311.pyc"].source == pyc(1000)
    assert found["m/__pycache__/a.cpython-39.pyc"].source == pyc(999)
    assert found["m/__pycache__/a.cpython-38.pyc"].source == pyc(1000, flags=1)


@pytest.mark.parametrize(
    "perform",
    [
        lambda scene: scene.write("opt/hunter22.txt"),
        lambda scene: scene.folder("opt/hunter22"),
        lambda scene: scene.link("opt/link", "/nowhere/hunter22"),
    ],
    ids=["file", "folder", "link"],
)
def test_a_secret_in_a_name_or_a_links_target_is_found(perform: Callable[[Scene], None], tmp_path: Path) -> None:
    with pytest.raises(AssembleError, match="the secret T into the name or the target of /opt/") as raised:
        made(perform, tmp_path, secrets={"T": "hunter22"})
    assert "hunter22" not in str(raised.value)


def test_a_secret_in_a_large_file_is_found(tmp_path: Path) -> None:
    content = bytes(3_000_000) + b"hunter22" + bytes(100)
    with pytest.raises(AssembleError, match="the secret T into /big"):
        made(lambda scene: scene.write("big", content), tmp_path, secrets={"T": "hunter22\n"})
