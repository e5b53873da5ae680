"""A disk that is full, at many points of a run: one clear error, a whole store, and a run that ends well with room."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faultlab import Ended, Lab

Make = Callable[..., Lab]
Figure = Callable[[str, int], None]

PLACES = {
    "home": "home",
    "store": "home/store",
    "cache": "home/cache",
    "state": "home/state",
    "project": "project",
    "temporary files": "tmp",
}
SIZE = 16 << 20
PAGE = 4096

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A disk of its own at `folder`, with what is there already."""
    held = folder.with_name(folder.name + ".held")
    folder.mkdir(parents=True, exist_ok=True)
    folder.rename(held)
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "small", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{held}/.", str(folder)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def used(folder: Path) -> int:
    found = os.statvfs(folder)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@contextmanager
def room(folder: Path, size: int) -> Iterator[None]:
    """So many bytes are free on the disk, and no more."""
    found = os.statvfs(folder)
    filler = folder / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(PAGE, found.f_bfree * found.f_frsize - size))
    try:
        yield
    finally:
        filler.unlink()


def said_clearly(ended: Ended, folder: Path) -> None:
    assert "Traceback" not in ended.said and "bug:" not in ended.said, ended.said
    assert ended.code in (0, 3), ended.said
    if ended.code:
        errors = [line for line in ended.said.splitlines() if "No space left" in line or "full" in line]
        assert errors, ended.said
        # Of the project's folder nothing is ours to remove.
        assert str(folder) in ended.said and ("gc" in ended.said or "space" in ended.said), ended.said


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_is_one_clear_error(lab: Make, figure: Figure, place: str) -> None:
    filled(lab, figure, place, 4)


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
def test_a_disk_that_is_full_a_little_later_each_time(lab: Make, figure: Figure, place: str) -> None:
    filled(lab, figure, place, 40)


def filled(lab: Make, figure: Figure, place: str, steps: int) -> None:
    """From no room at all to half as much again as a run needs at its end."""
    sound = lab()
    assert sound.run().code == 0
    failed = 0
    one = lab()
    one.environ["TMPDIR"] = str(one.folder / "tmp")
    folder = one.folder / PLACES[place]
    with disk(folder):
        before = used(folder)
        assert one.run().code == 0
        needed = used(folder) - before
        sizes = sorted({needed * part // steps // PAGE * PAGE for part in range(steps * 3 // 2 + 1)})
    for size in sizes:
        one = lab()
        one.environ["TMPDIR"] = str(one.folder / "tmp")
        folder = one.folder / PLACES[place]
        with disk(folder):
            with room(folder, size):
                ended = one.run()
                said_clearly(ended, folder)
                failed += ended.code != 0
            again = one.run()
            assert again.code == 0, again.said
            found = one.result()
            assert (found.images, found.lock) == (sound.result().images, sound.result().lock)
    figure("full disks", failed)


def test_room_is_made_on_a_disk_without_any(lab: Make) -> None:
    one = lab()
    store = one.home / "store"
    with disk(one.home):
        for version in range(3):
            (one.project / "src/more.py").write_text(f"x = {version}\n")
            assert one.run().code == 0
        before = {path.name for path in (store / "blobs/sha256").iterdir()}
        with room(one.home, 0):
            ended = one.run("gc", "--older", "0s")
            assert ended.code == 0, ended.said
            after = {path.name for path in (store / "blobs/sha256").iterdir()}
            assert after < before, ended.said
        assert one.run("gc", "--older", "0s").code == 0
        assert "nothing to do" in one.run().said
        one.result()
