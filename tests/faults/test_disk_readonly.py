"""Folders that may not be written: what only reads works, and what has to write says one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from faultlab import Ended, Lab, _wheel

Make = Callable[..., Lab]
Figure = Callable[[str, int], None]

READERS = [
    ("plan", "shop.yaml"),
    ("validate", "shop.yaml"),
    ("status", "shop.yaml"),
    ("runs",),
    ("image", "ls"),
    ("image", "files", "web"),
    ("image", "show", "web"),
    ("store", "verify", "--dry-run"),
    ("gc", "--dry-run"),
]
RUN = ("run", "shop.yaml")
KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.store import Store
store = Store(Path(sys.argv[1]).parent)
store.name_image("shop/late", store.images()["shop/web"][0])
os.kill(os.getpid(), signal.SIGKILL)
"""
How = Callable[[Path], AbstractContextManager[None]]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount, and only root sees no modes")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Mounted so that it may only be read."""
    subprocess.run(["mount", "--bind", str(folder), str(folder)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """Its owner may not write it; root's right to write everything is dropped by `unprivileged`."""
    subprocess.run(["chmod", "-R", "a-w", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)


def ended(lab: Lab, args: tuple[str, ...]) -> Ended:
    process = subprocess.run(
        ["setpriv", "--bounding-set", "-dac_override", sys.executable, "-m", "pipeline", *args],
        env=lab.environ,
        cwd=lab.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    said = process.stdout + process.stderr
    assert "Traceback" not in said and "bug:" not in said, f"{args}: {said}"
    return Ended(process.returncode, said, [], [])


@pytest.mark.parametrize("how", [read_only, without_rights])
def test_a_store_that_may_only_be_read_can_be_looked_into(lab: Make, how: How) -> None:
    one = lab()
    assert one.run().code == 0
    with how(one.home):
        for args in READERS:
            found = ended(one, args)
            assert found.code == 0, f"{args}: {found.said}"
        assert "nothing to do" in ended(one, RUN).said


@pytest.mark.parametrize("index", [True, False])
def test_what_a_killed_process_left_in_its_log_can_be_read(lab: Make, index: bool) -> None:
    one = lab()
    assert one.run().code == 0
    store = one.home / "store"
    subprocess.run([sys.executable, "-c", KILLED, str(store / "store.db")], check=False)
    assert (store / "store.db-wal").stat().st_size
    if not index:
        (store / "store.db-shm").unlink()
    with read_only(one.home):
        assert "late" in ended(one, ("image", "ls")).said


@pytest.mark.parametrize("how", [read_only, without_rights])
@pytest.mark.parametrize("place", ["home", "home/store", "home/cache", "project"])
def test_a_run_that_has_to_write_says_what_it_may_not(lab: Make, figure: Figure, how: How, place: str) -> None:
    one = lab()
    assert one.run().code == 0
    _write(one.project, place == "home/cache")
    with how(one.folder / place):
        found = ended(one, RUN)
        # The lock of new files of the project is not needed to run.
        assert found.code == (0 if place == "project" else 3), found.said
        assert str(one.folder / place) in found.said, found.said
        assert "Read-only" in found.said or "ermission" in found.said or "readonly" in found.said, found.said
    assert one.run().code == 0
    one.result()
    figure("folders without rights", 1)


def _write(project: Path, a_wheel: bool) -> None:
    """A change for a run to take up; of a wheel where the caches are to be used."""
    (project / "src/more.py").write_text("x = 5\n")
    if a_wheel:
        _wheel(project / "wheels", "beta")
        manifest = project / "shop.yaml"
        manifest.write_text(manifest.read_text().replace("packages: [alpha]", "packages: [alpha, beta]"))


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_a_home_that_cannot_be_is_one_clear_error(lab: Make, home: str) -> None:
    one = lab()
    for name in ("PIPELINE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        one.environ.pop(name, None)
    one.environ["HOME"] = home
    for args in (RUN, ("image", "ls"), ("runs",), ("gc",)):
        found = ended(one, args)
        assert found.code in (2, 3) and home in found.said and "PIPELINE_HOME" in found.said, found.said
