"""Mirrors, checkouts and reading: damage, kills, odd names, links, other users' folders, Git LFS."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from gitmaker import ENVIRON, Origin, cloned, git

from pipeline.errors import PipelineError, StoreError, UsageError
from pipeline.serve.git import local
from pipeline.serve.git.clone import Clone
from pipeline.serve.git.errors import Refused


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin")
    made.commit({"manifests/a.yaml": "one", "src/x": "x"})
    return made


@pytest.fixture
def clone(origin: Origin, tmp_path: Path) -> Clone:
    return cloned(origin.folder, tmp_path / "state")


# -- the tip without a process ----------------------------------------------------------------------------------------


def test_the_tip_of_a_folder_is_read_wherever_git_keeps_it(origin: Origin) -> None:
    assert local.tip(origin.folder, "main") == origin.head
    origin.git("pack-refs", "--all")
    assert local.tip(origin.folder, "main") == origin.head
    newer = origin.commit({"src/x": "y"})
    assert local.tip(origin.folder, "main") == newer
    origin.git("branch", "a/b")
    assert local.tip(origin.folder, "a/b") == newer
    assert local.tip(origin.folder, "a") == ""
    assert local.tip(origin.folder, "nothing") == ""


def test_what_files_do_not_tell_git_is_asked_for(origin: Origin, tmp_path: Path) -> None:
    origin.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    assert local.tip(origin.folder, "alias") == ""
    made = cloned(origin.folder, tmp_path / "state", branch="alias")
    assert made.tip() == origin.head
    git(origin.folder, "worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "other")
    assert local.tip(tmp_path / "tree", "main") == ""
    assert cloned(tmp_path / "tree", tmp_path / "more").tip() == origin.head


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_folder_of_another_user_is_read(origin: Origin, tmp_path: Path) -> None:
    for path in [origin.folder, *origin.folder.rglob("*")]:
        os.chown(path, 12345, 12345)
    made = cloned(origin.folder, tmp_path / "state")
    made.fetch(made.tip())
    assert made.text(made.tip(), "src/x") == "x"


# -- what commits say -------------------------------------------------------------------------------------------------


def test_names_of_files_are_taken_as_they_are(clone: Clone, origin: Origin) -> None:
    names = {'a "b".txt': "1", "tab\there": "2", "line\nbreak": "3", "ümlaut": "4", "back\\slash": "5", ":(glob)*": "6"}
    tip = origin.commit(dict(names))
    clone.fetch(tip)
    assert set(names) <= set(clone.changed("", tip))
    assert set(names) <= set(clone.files(tip, ["."]))
    for name, text in names.items():
        assert clone.text(tip, name) == text


def test_a_name_that_is_no_text_stays_visible(clone: Clone, origin: Origin) -> None:
    os.close(os.open(os.fsencode(origin.folder) + b"/m\xff.yaml", os.O_CREAT | os.O_WRONLY))
    tip = origin.commit({})
    clone.fetch(tip)
    assert "m\\xff.yaml" in clone.files(tip, ["."])


def test_files_are_read_byte_for_byte(clone: Clone, origin: Origin) -> None:
    tip = origin.commit({"crlf": b"a\r\nb\r", "not-utf-8": b"\xff\n", "empty": b""})
    clone.fetch(tip)
    assert clone.text(tip, "crlf") == "a\r\nb\r"
    assert clone.text(tip, "not-utf-8") == "�\n"
    assert clone.text(tip, "empty") == ""
    with pytest.raises(UsageError):
        clone.text(tip, "nothing")


def test_titles_are_one_plain_line(clone: Clone, origin: Origin) -> None:
    tip = origin.commit({}, "A \x1b[31mred\x1b[0m title\n\nwith more", GIT_AUTHOR_NAME="Ada\tLovelace")
    clone.fetch(tip)
    found = clone.commit(tip)
    assert found.title.isprintable() and found.title.startswith("A ")
    assert found.author.isprintable()


def test_links_and_where_they_lead(clone: Clone, origin: Origin) -> None:
    (origin.folder / "link").symlink_to("src/x")
    tip = origin.commit({})
    clone.fetch(tip)
    assert clone.links(tip) == {"link": "src/x"}


def test_a_long_history_is_fetched_and_counted(tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    lines = []
    for number in range(5000):
        lines += ["commit refs/heads/main", f"committer Ada <a@b> {1_700_000_000 + number} +0000", "data 1", "x"]
        lines += [f"M 100644 inline f{number % 50}", f"data {len(str(number))}", str(number)]
    origin.git("fast-import", "--quiet", input="\n".join(lines) + "\n")
    first = origin.git("rev-list", "--max-parents=0", "main")
    clone = cloned(origin.folder, tmp_path / "state")
    tip = clone.tip()
    clone.fetch(tip)
    assert clone.count(first, tip) == 4999
    assert clone.is_ancestor(first, tip)


def test_what_a_ci_runner_has_checked_out_will_do(origin: Origin, tmp_path: Path) -> None:
    """One commit deep, and on no branch."""
    tip = origin.commit({"src/x": "y"})
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{origin.folder}", str(tmp_path / "ci"))
    git(tmp_path / "ci", "checkout", "--quiet", "--detach")
    clone = cloned(tmp_path / "ci", tmp_path / "state", branch="HEAD")
    assert clone.tip() == tip
    with clone.at(tip, "a") as folder:
        assert (folder / "src/x").read_text() == "y"
    assert clone.changed("", tip) == ["manifests/a.yaml", "src/x"]


# -- checkouts --------------------------------------------------------------------------------------------------------


def test_a_checkout_is_as_the_commit_has_it_and_keeps_times(clone: Clone, origin: Origin) -> None:
    first = origin.head
    with clone.at(first, "a") as folder:
        before = (folder / "src/x").stat()
        (folder / "manifests/a.yaml").write_text("changed by a job")
        (folder / "junk").mkdir()
        (folder / "junk/file").write_text("left by a job")
        (folder / ".gitignore").write_text("junk\n")
    second = origin.commit({"manifests/a.yaml": "two", "more": "m"})
    with clone.at(second, "a") as again:
        assert again == folder
        assert (again / "manifests/a.yaml").read_text() == "two"
        assert sorted(path.name for path in again.iterdir()) == [".git", "manifests", "more", "src"]
        after = (again / "src/x").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_what_is_taken_away_in_a_checkout_is_back(clone: Clone, origin: Origin) -> None:
    with clone.at(origin.head, "a") as folder:
        shutil.rmtree(folder / "src")
    with clone.at(origin.head, "a") as folder:
        assert (folder / "src/x").read_text() == "x"
        (folder / ".git").unlink()
    with clone.at(origin.head, "a") as folder:
        assert (folder / "src/x").read_text() == "x"
        shutil.rmtree(folder)
    with clone.at(origin.head, "a") as folder:
        assert (folder / "src/x").read_text() == "x"


def test_a_checkout_never_touches_a_repository_around_it(tmp_path: Path) -> None:
    """Where the state's folder lies in somebody's repository, and a checkout has lost its own."""
    around = Origin(tmp_path / "around")
    around.commit({"precious": "p"})
    origin = Origin(tmp_path / "origin")
    origin.commit({"src/x": "x"})
    clone = cloned(origin.folder, around.folder / "state")
    (around.folder / "untracked").write_text("u")
    with clone.at(origin.head, "a") as folder:
        (folder / ".git").unlink()
    shutil.rmtree(around.folder / "state/repos/models.git/worktrees")
    with clone.at(origin.head, "a"):
        pass
    assert (around.folder / "untracked").read_text() == "u"
    assert (around.folder / "precious").read_text() == "p"


def test_the_same_commit_again_is_quick_to_take_and_writes_nothing(clone: Clone, origin: Origin) -> None:
    with clone.at(origin.head, "a") as folder:
        before = {path: path.stat().st_ctime_ns for path in folder.rglob("*")}
    with clone.at(origin.head, "a") as folder:
        assert {path: path.stat().st_ctime_ns for path in folder.rglob("*")} == before


# -- damage and kills -------------------------------------------------------------------------------------------------


def damage(folder: Path) -> int:
    """Cuts off every object; how many."""
    objects = [path for path in (folder / "objects").rglob("*") if path.is_file() and len(path.name) >= 38]
    for path in objects:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:10])
    return len(objects)


def test_a_damaged_mirror_is_made_anew(clone: Clone, origin: Origin, tmp_path: Path) -> None:
    tip = clone.tip()
    clone.fetch(tip)
    assert damage(tmp_path / "state/repos/models.git")
    assert clone.text(tip, "src/x") == "x"
    assert damage(tmp_path / "state/repos/models.git")
    with clone.at(tip, "a") as folder:
        assert (folder / "src/x").read_text() == "x"
    newer = origin.commit({"src/x": "y"})
    (tmp_path / "state/repos/models.git/HEAD").write_text("garbage")
    clone.fetch(newer)
    assert clone.text(newer, "src/x") == "y"


def test_a_damaged_origin_is_no_endless_loop(clone: Clone, origin: Origin) -> None:
    clone.fetch(origin.head)
    tip = origin.commit({"src/x": "y"})
    damage(origin.folder / ".git")
    with pytest.raises(PipelineError):
        clone.fetch(tip)


def test_locks_that_a_kill_left_do_not_matter(origin: Origin, tmp_path: Path) -> None:
    clone = cloned(origin.folder, tmp_path / "state")
    with clone.at(origin.head, "a"):
        pass
    mirror = tmp_path / "state/repos/models.git"
    for name in ("HEAD.lock", "packed-refs.lock", "refs/pipeline/branch.lock", "worktrees/0/index.lock", "gc.pid"):
        (mirror / name).write_text("")
    clone.close()
    again = cloned(origin.folder, tmp_path / "state")
    tip = origin.commit({"src/x": "y"})
    with again.at(tip, "a") as folder:
        assert (folder / "src/x").read_text() == "y"


_VICTIM = """
import sys
sys.path.insert(0, {tests!r})
from gitmaker import cloned
clone = cloned({origin!r}, __import__("pathlib").Path({state!r}))
print("begun", flush=True)
while True:
    for commit in {commits!r}:
        with clone.at(commit, "a"):
            pass
    import shutil; shutil.rmtree({state!r} + "/repos/models.git/objects", ignore_errors=True)
"""


def test_killed_anywhere_the_next_use_is_right(origin: Origin, tmp_path: Path) -> None:
    """A process that fetches and checks out all the time is killed at many moments; then it is looked what is there."""
    commits = [origin.commit({f"src/f{n}": str(number) * 2000 for n in range(30)}) for number in range(3)]
    state = tmp_path / "state"
    program = _VICTIM.format(
        tests=str(Path(__file__).parent), origin=str(origin.folder), state=str(state), commits=commits
    )
    for number in range(12):
        victim = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert victim.stdout and victim.stdout.readline() == b"begun\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            victim.wait(0.02 + 0.013 * number)
        victim.kill()
        victim.wait()
        victim.stdout.close()
        clone = cloned(origin.folder, state)
        commit = commits[number % 3]
        with clone.at(commit, "a") as folder:
            texts = {(folder / f"src/f{n}").read_text() for n in range(30)}
        clone.close()
        assert texts == {str(number % 3) * 2000}


def test_only_one_process_has_a_mirror(origin: Origin, tmp_path: Path) -> None:
    clone = cloned(origin.folder, tmp_path / "state")
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path\n"
        "import pipeline.serve.git.mirror as mirror; mirror.PATIENCE = 0.2\n"
        f"from gitmaker import cloned; cloned({str(origin.folder)!r}, Path({str(tmp_path / 'state')!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "the mirror of models is in use" in ended.stderr
    clone.close()


# -- what cannot be had -----------------------------------------------------------------------------------------------


def test_a_program_git_that_is_not_there(origin: Origin, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    clone = cloned(origin.folder, tmp_path / "state", {"PATH": str(tmp_path / "bin")})
    with pytest.raises(UsageError, match="git is not there"):
        clone.fetch(origin.head)


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/full").exists(), reason="needs root, for a small file system")
def test_a_full_disk_is_told(origin: Origin, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(state)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        tip = origin.commit({"big": os.urandom(3 << 20)})
        clone = cloned(origin.folder, state)
        with pytest.raises(StoreError, match="full"):
            clone.fetch(tip)
        clone.close()
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_push_to_a_branch_that_somebody_has_checked_out(clone: Clone, origin: Origin) -> None:
    with clone.at(origin.head, "a") as folder:
        (folder / "lock").write_text("l")
        with pytest.raises(Refused, match="checked out") as refused:
            clone.push(folder, ["lock"], "Lock", "main")
    assert "bare" in refused.value.remedy


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 4\n".format("0" * 64)


def test_files_of_git_lfs_are_never_taken_for_what_they_stand_for(origin: Origin, tmp_path: Path) -> None:
    tip = origin.commit({".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "model.bin": POINTER})
    (tmp_path / "bin").mkdir()
    for name in ("git", "sh"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    without = cloned(origin.folder, tmp_path / "state", {**ENVIRON, "PATH": str(tmp_path / "bin")})
    with pytest.raises(UsageError, match="Git LFS") as failed, without.at(tip, "a"):
        pass
    assert "install git-lfs" in failed.value.remedy


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_files_of_git_lfs_are_checked_out_as_they_are(origin: Origin, tmp_path: Path) -> None:
    origin.git("lfs", "install", "--local")
    origin.git("lfs", "track", "*.bin")
    tip = origin.commit({"model.bin": b"weights" * 1000})
    assert "git-lfs" in origin.git("show", f"{tip}:model.bin")
    clone = cloned(origin.folder, tmp_path / "state")
    with clone.at(tip, "a") as folder:
        assert (folder / "model.bin").read_bytes() == b"weights" * 1000
