from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Project


@pytest.fixture
def built(shop: Project) -> Project:
    """A project whose code changed three times; nothing is deployed."""
    for version in range(4):
        shop.write("src/start", f"#!/bin/sh\necho {version}\n")
        assert shop("build").code == 0
    return shop


def blobs(project: Project) -> set[str]:
    return {path.name for path in (project.folder / "home/store/blobs/sha256").iterdir()}


def test_what_changed_goes_and_a_run_still_has_nothing_to_do(built: Project) -> None:
    before = blobs(built)
    told = built("gc", "--older", "0", "--dry-run", "--output", "json").json
    assert blobs(built) == before
    ended = built("gc", "--older", "0s", "--output", "json").json
    assert {**told, "dry_run": False, "rows": ended["rows"]} == ended
    # Of each of three versions a layer, a config and an image manifest.
    assert len(before - blobs(built)) == 9 and ended["rows"]
    assert "nothing to do" in built("build").out
    assert built("store", "verify").code == 0
    assert built("gc", "--older", "0s", "-v").out.startswith("nothing to remove")


def test_nothing_of_this_week_goes_by_default(built: Project) -> None:
    before = blobs(built)
    assert "nothing to remove" in built("gc").out
    assert blobs(built) == before


def test_with_a_size_alone_age_does_not_count(built: Project) -> None:
    built("gc", "--keep", "0")
    assert len(blobs(built)) == 4
    assert "needed" in built("gc", "--keep", "10B").out.splitlines()[-1]


def test_what_went_is_a_miss_when_it_is_wanted_again(built: Project) -> None:
    built("gc", "--older", "0s")
    built.write("src/start", "#!/bin/sh\necho 1\n")
    plan = built("plan", "--output", "json").json
    assert {step["step"]: step["hit"] for step in plan["steps"] if step["kind"] in ("base", "layer", "image")} == {
        "base slim": True,
        "layer code": False,
        "image web": False,
    }
    run = built("build", "--output", "json")
    assert {event["step"] for event in run.events if event.get("outcome") == "made"} == {"layer code", "image web"}


def test_a_deleted_manifest_keeps_nothing(built: Project) -> None:
    (built.folder / "pipeline.yaml").unlink()
    ended = built("gc", "--older", "0s")
    assert "manifest shop is gone" in ended.out
    assert blobs(built) == set()
    assert "no images" in built("image", "ls").out


def test_old_caches_and_logs_go_and_new_ones_stay(built: Project) -> None:
    home = built.folder / "home"
    files = [home / "cache/frames/a", home / "cache/debian/debs/a.deb", home / "state/logs/shop/a.log"]
    for file in files:
        for age, path in ((10**6, file), (0, file.with_name(f"new-{file.name}"))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 10)
            os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    assert {entry["kind"] for entry in built("gc", "--output", "json").json["removed"]} == {"cache", "log"}
    assert not any(file.exists() for file in files)
    assert all(file.with_name(f"new-{file.name}").exists() for file in files)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--older", "soon"], "'soon' is no age: write it as in 30d, 12h or 0s"),
        (["--keep", "much"], "'much' is no size: write it as in 20GB or 500MB"),
    ],
)
def test_wrong_words(shop: Project, words: list[str], message: str) -> None:
    ended = shop("gc", *words)
    assert ended.code == 2 and message in ended.err


_RUN = "from pipeline.cli import main; import sys; sys.exit(main())"


def process(project: Project, *words: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(Path(__file__).with_name("plugin")), *sys.path])
    environ = {**project.environ, "PYTHONPATH": path}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", _RUN, *words], env=environ, **silent)  # type: ignore[call-overload,no-any-return]


def test_collections_beside_builds_lose_nothing(built: Project) -> None:
    for version in range(4):
        built.write("src/start", f"#!/bin/sh\necho again {version % 2}\n")
        both = [process(built, "build"), *(process(built, "gc", "--older", "0s") for _ in range(2))]
        for each in both:
            _, err = each.communicate()
            assert each.returncode == 0, err
        assert "nothing to do" in built("build").out
        assert built("store", "verify").code == 0


def test_whatever_is_killed_the_next_ones_are_right(built: Project) -> None:
    chance = random.Random(5)
    for version in range(6):
        built.write("src/start", f"#!/bin/sh\necho killed {version}\n")
        both = [process(built, "build"), process(built, "gc", "--older", "0s")]
        for each in both:
            try:
                each.wait(chance.uniform(0.05, 0.4))
            except subprocess.TimeoutExpired:
                each.send_signal(signal.SIGKILL)
            each.communicate()
        assert built("build").code == 0
        assert built("gc", "--older", "0s").code == 0
        assert built("store", "verify").code == 0
        assert len(blobs(built)) == 4
        assert [path.name for path in (built.folder / "home/store/uses").iterdir()] == ["gate"]
