"""Blobs: published whole or not at all, whoever is killed, whatever fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.digest import digest_of
from pipeline.errors import StoreError
from pipeline.store.blobs import Blobs
from pipeline.store.scratch import Scratch

HALF_A_BLOB = """
import sys
from pathlib import Path
from pipeline.store.blobs import Blobs
with Blobs(Path(sys.argv[1]) / "blobs", Path(sys.argv[1]) / "scratch").writer() as out:
    out.write(b"x" * (4 << 20))
    print("half", flush=True)
    sys.stdin.read()
"""

MANY_BLOBS = """
import sys
from pathlib import Path
from pipeline.store.blobs import Blobs
blobs = Blobs(Path(sys.argv[1]) / "blobs", Path(sys.argv[1]) / "scratch")
for _ in range(40):
    print(blobs.put(b"the same" * 50000))
"""


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", tmp_path / "scratch")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]


def test_a_blob_lies_where_an_image_layout_has_it(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"hello")
    assert digest == digest_of(b"hello")
    assert (tmp_path / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes() == b"hello"
    assert blobs.has(digest, 5)
    assert not blobs.has(digest, 4)
    assert not blobs.has(digest_of(b"other"))
    assert files(tmp_path / "scratch") == []


def test_a_damaged_blob_is_never_read(blobs: Blobs) -> None:
    digest = blobs.put(b"hello")
    blobs.path(digest).write_bytes(b"hellO")
    with pytest.raises(StoreError, match="damaged"):
        blobs.read(digest)
    with pytest.raises(StoreError, match="not in the store"):
        blobs.read(digest)


def test_an_error_while_writing_leaves_nothing(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(KeyError), blobs.writer() as out:
        out.write(b"half")
        raise KeyError
    assert files(tmp_path) == []


def test_an_error_of_whoever_writes_is_not_the_stores(blobs: Blobs) -> None:
    with pytest.raises(FileNotFoundError), blobs.writer():
        raise FileNotFoundError(2, "gone", "elsewhere")


def test_a_killed_writer_leaves_only_scratch_which_the_next_one_removes(blobs: Blobs, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HALF_A_BLOB, str(tmp_path)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdin
    assert process.stdout.readline() == "half\n"
    blobs.put(b"while the other is at work")
    assert any(path.name.startswith("blob-") for path in files(tmp_path / "scratch"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()
    Blobs(tmp_path / "blobs", tmp_path / "scratch").put(b"after")
    assert files(tmp_path / "scratch") == []
    assert len(files(tmp_path / "blobs")) == 2


def test_processes_publish_the_same_blob_at_once(blobs: Blobs, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MANY_BLOBS, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {line for process in running for line in process.communicate()[0].split()}
    assert [process.returncode for process in running] == [0, 0, 0]
    (digest,) = said
    assert blobs.read(digest) == b"the same" * 50000  # type: ignore[arg-type]
    assert len(files(tmp_path)) == 1


def test_scratch_without_an_owner_goes_once_it_is_old(tmp_path: Path) -> None:
    (tmp_path / "of-old-versions").mkdir()
    (tmp_path / "file").write_text("x")
    made = (tmp_path / "file").stat().st_mtime
    Scratch(tmp_path, now=lambda: made + 60).path("a")
    assert {"of-old-versions", "file"} <= {path.name for path in tmp_path.iterdir()}
    Scratch(tmp_path, now=lambda: made + 2 * 86400).path("a")
    assert not {"of-old-versions", "file"} & {path.name for path in tmp_path.iterdir()}


def test_scratch_whose_owner_was_killed_while_making_it_goes_at_once(tmp_path: Path) -> None:
    (tmp_path / ".new-1-2").mkdir()
    (tmp_path / ".new-1-2" / "lock").write_text("")
    Scratch(tmp_path).path("a")
    assert not (tmp_path / ".new-1-2").exists()


def test_scratch_whose_removal_was_killed_at_its_end_goes_at_once(tmp_path: Path) -> None:
    (tmp_path / "123-abc").mkdir()
    Scratch(tmp_path).sweep()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    Blobs(tmp_path / "blobs", tmp_path / "scratch").has(digest_of(b""))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs root to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(small_disk: Path) -> None:
    blobs = Blobs(small_disk / "blobs", small_disk / "scratch")
    kept = blobs.put(b"k" * 1000)
    with pytest.raises(StoreError, match=r"No space left on device, 0.. MB are free there .*pipeline gc"):
        blobs.put(b"x" * (3 << 20))
    with pytest.raises(StoreError, match="No space left"), blobs.writer() as out:
        for _ in range(3000):
            out.write(b"y" * 1000)
    assert [path.name for path in files(small_disk)] == [kept.removeprefix("sha256:")]
    assert blobs.put(b"z" * 1000)
