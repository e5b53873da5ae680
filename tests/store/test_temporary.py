"""Temporary folders outside the store: gone afterwards, and after a kill gone once the next one is made."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.store.temporary import temporary

KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store.temporary import temporary
with temporary(Path(sys.argv[1])) as folder:
    (folder / "sub").mkdir()
    (folder / "sub/file").write_text("left")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def files(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if not path.is_dir()]


def test_what_a_killed_process_left_goes_with_the_next_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert [path.name for path in files(tmp_path) if path.name != "lock"] == ["file"]
    with temporary(tmp_path) as folder:
        (folder / "new").write_text("at work")
        assert [path.name for path in files(tmp_path) if path.name != "lock"] == ["new"]
    assert [path.name for path in files(tmp_path) if path.name != "lock"] == []


def test_nobody_else_may_read_there(tmp_path: Path) -> None:
    with temporary(tmp_path) as folder:
        assert folder.parent.parent.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a folder away needs root")
def test_a_folder_that_somebody_else_made_under_our_name_is_not_used(tmp_path: Path) -> None:
    taken = tmp_path / f"pipeline-{os.geteuid()}"
    taken.mkdir()
    os.chown(taken, 65534, 65534)
    with temporary(tmp_path) as folder:
        (folder / "secret").write_text("x")
        assert taken not in folder.parents
    assert list(taken.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named_with_what_helps(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as caught, temporary(tmp_path / "file"):
        pass
    assert str(tmp_path / "file") in caught.value.message
    assert "TMPDIR" in (caught.value.remedy or "")


def test_what_such_a_program_makes_anew_goes_with_the_next_folder(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (sub,) = tmp_path.rglob("sub")
    sweep(tmp_path)
    assert not sub.parents[1].exists()
    sub.mkdir(parents=True)
    (sub / "answer").write_text("late")
    sweep(tmp_path)
    assert not sub.parents[1].exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="what cannot be removed is a mount here, which needs root")
def test_what_a_program_still_writes_after_its_starter_was_killed_goes_later(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (sub,) = tmp_path.rglob("sub")
    stays = sub.parents[1] / "mounted"
    stays.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(stays)], check=False).returncode:
        pytest.skip("this root may not mount")
    try:
        sweep(tmp_path)
    finally:
        subprocess.run(["umount", str(stays)], check=True)
    assert stays.exists()
    sweep(tmp_path)
    assert not stays.parent.exists()


def sweep(place: Path) -> None:
    code = "import sys; from pathlib import Path; from pipeline.store.temporary import temporary\n"
    subprocess.run([sys.executable, "-c", code + "with temporary(Path(sys.argv[1])): pass", str(place)], check=True)
