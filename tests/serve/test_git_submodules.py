"""Submodules: checked out at the commit that is named, with those within them; from this machine only for its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from githttp import GitHttp, needs_backend
from gitmaker import Origin, cloned, git
from servelab import Lab, manifest

from pipeline.errors import PipelineError
from pipeline.manifest.model import Secret

FILE = ("-c", "protocol.file.allow=always")


class Family:
    """A repository `main` with `libs/common`, which has `deep` in it, by relative addresses."""

    def __init__(self, folder: Path) -> None:
        self.deep, self.common, self.main = (Origin(folder / name) for name in ("deep", "common", "main"))
        self.deep.commit({"deep.txt": "deep one"})
        self.common.commit({"common.txt": "common one"})
        self.common.git(*FILE, "submodule", "add", "-q", "../deep", "deep")
        self.common.commit({}, "With deep")
        self.main.commit({"manifests/a.yaml": "a"})
        self.main.git(*FILE, "submodule", "add", "-q", "../common", "libs/common")
        self.first = self.main.commit({}, "With common")

    def moved(self) -> str:
        """A commit of `main` that names a newer one of `common`."""
        self.common.commit({"common.txt": "common two"})
        self.main.git(*FILE, "-C", "libs/common", "pull", "-q", "origin", "main")
        return self.main.commit({}, "Newer common")


@pytest.fixture
def family(tmp_path: Path) -> Family:
    return Family(tmp_path / "origins")


def test_submodules_are_checked_out_at_the_commit_that_is_named(family: Family, tmp_path: Path) -> None:
    clone = cloned(family.main.folder, tmp_path / "state")
    newer = family.moved()
    for commit, text in ((family.first, "common one"), (newer, "common two"), (family.first, "common one")):
        with clone.at(commit, "m", submodules=True) as folder:
            assert (folder / "libs/common/common.txt").read_text() == text
            assert (folder / "libs/common/deep/deep.txt").read_text() == "deep one"
            (folder / "libs/common/common.txt").write_text("a job's")
            (folder / "libs/common/deep/left").write_text("by a job")
    with clone.at(newer, "m", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").read_text() == "common two"
        assert not (folder / "libs/common/deep/left").exists()
        stamp = (folder / "libs/common/common.txt").stat().st_mtime_ns
    shutil.rmtree(family.common.folder)
    with clone.at(newer, "m", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").stat().st_mtime_ns == stamp, "what is here is not asked for again"
    clone.close()


def test_a_submodule_that_a_commit_removes_is_gone(family: Family, tmp_path: Path) -> None:
    clone = cloned(family.main.folder, tmp_path / "state")
    with clone.at(family.first, "m", submodules=True):
        pass
    family.main.git("rm", "-q", "-f", "libs/common")
    without = family.main.commit({"x": "x"}, "Without")
    with clone.at(without, "m", submodules=True) as folder:
        assert not (folder / "libs").exists()
    with clone.at(family.first, "m", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").exists()
    clone.close()


def test_without_the_setting_they_are_empty(family: Family, tmp_path: Path) -> None:
    clone = cloned(family.main.folder, tmp_path / "state")
    with clone.at(family.first, "m", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").exists()
    clone.close()
    clone = cloned(family.main.folder, tmp_path / "state", submodules=False)
    with clone.at(family.first, "m", submodules=True) as folder:
        assert list((folder / "libs/common").iterdir()) == []
    clone.close()


def test_one_that_cannot_be_had_is_said_with_the_remedy(family: Family, tmp_path: Path) -> None:
    clone = cloned(family.main.folder, tmp_path / "state")
    shutil.rmtree(family.common.folder)
    said = pytest.raises(PipelineError, match=r"a submodule of .*; or set `submodules: false`")
    with said, clone.at(family.first, "m", submodules=True):
        pass
    with clone.at(family.first, "m") as folder:
        assert (folder / "manifests/a.yaml").exists(), "who does not read them has the rest"
    clone.close()


def test_a_damaged_submodule_is_made_anew(family: Family, tmp_path: Path) -> None:
    clone = cloned(family.main.folder, tmp_path / "state")
    with clone.at(family.first, "m", submodules=True):
        pass
    modules = next((tmp_path / "state").rglob("modules/libs/common"))
    for path in modules.rglob("*.pack"), (modules / "objects").rglob("??/*"):
        for one in path:
            # git may have linked it from the origin.
            one.unlink()
            one.write_bytes(b"damaged")
    (modules / "HEAD").write_bytes(b"")
    with clone.at(family.first, "m", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").read_text() == "common one"
    clone.close()


def test_a_job_uses_a_file_of_a_submodule_and_a_newer_one_runs_it_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", {})
    common = Origin(tmp_path / "lab/common")
    common.commit({"one.txt": "first", "other.txt": "x"})
    lab.origin.git(*FILE, "submodule", "add", "-q", "../common", "libs")
    files = manifest("one")
    del files["manifests/one.txt"]
    files["manifests/one.yaml"] = files["manifests/one.yaml"].replace("from: one.txt", "from: ../libs/one.txt")
    lab.origin.commit({**files, **manifest("two")}, "Uses the submodule")
    core = lab.core()
    lab.settle(core)
    assert {job.manifest.path: job.state for job in core.queue.jobs(9)} == {
        "manifests/one.yaml": "done",
        "manifests/two.yaml": "done",
    }
    common.commit({"one.txt": "second"})
    lab.origin.git(*FILE, "-C", "libs", "pull", "-q", "origin", "main")
    lab.origin.commit({}, "Newer libs")
    lab.settle(core)
    job, *before = core.queue.jobs(9)
    assert (len(before), job.manifest.path, job.state) == (2, "manifests/one.yaml", "done")
    core.close()


# -- over HTTP --------------------------------------------------------------------------------------------------------


@pytest.fixture
def served(family: Family, tmp_path: Path) -> Iterator[GitHttp]:  # noqa: ARG001
    """The family, for who signs in, and `main` with an address of its own for `common`."""
    for name in ("deep", "common", "main"):
        git(tmp_path, "clone", "-q", "--bare", str(tmp_path / "origins" / name), str(tmp_path / f"served/{name}"))
    made = GitHttp(tmp_path / "served", "pipeline:t0ken-of-the-server")
    yield made
    made.close()


def pointed(family: Family, tmp_path: Path, url: str) -> str:
    """A commit whose submodule is at an address."""
    family.main.git("config", "-f", ".gitmodules", "submodule.libs/common.url", url)
    commit = family.main.commit({}, "Elsewhere")
    family.main.git("push", "-q", str(tmp_path / "served/main"), "HEAD:main")
    return commit


@needs_backend
def test_the_token_goes_to_the_same_host_alone(family: Family, served: GitHttp, tmp_path: Path) -> None:
    login: dict[str, Any] = {"username": "pipeline", "token": Secret("t0ken-of-the-server")}
    clone = cloned(f"{served.url}/main", tmp_path / "state", **login)
    with clone.at(family.first, "m", submodules=True) as folder:
        assert (folder / "libs/common/deep/deep.txt").read_text() == "deep one"
    other = GitHttp(tmp_path / "served")
    elsewhere = pointed(family, tmp_path, f"{other.url}/common")
    with clone.at(elsewhere, "n", submodules=True) as folder:
        assert (folder / "libs/common/common.txt").read_text() == "common one"
    other.login = "pipeline:t0ken-of-the-server"
    fresh = cloned(f"{served.url}/main", tmp_path / "fresh", **login)
    with pytest.raises(PipelineError, match="a submodule of models refuses"), fresh.at(elsewhere, "m", submodules=True):
        pass
    fresh.close()
    kept = [path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert not any(b"t0ken-of-the-server" in data for data in kept)
    other.close()
    clone.close()


@needs_backend
def test_a_commit_leads_to_no_repository_of_the_servers_machine(
    family: Family, served: GitHttp, tmp_path: Path
) -> None:
    login: dict[str, Any] = {"username": "pipeline", "token": Secret("t0ken-of-the-server")}
    clone = cloned(f"{served.url}/main", tmp_path / "state", **login)
    for url in (str(family.common.folder), f"file://{family.common.folder}"):
        commit = pointed(family, tmp_path, url)
        said = pytest.raises(PipelineError, match="a submodule of models")
        with said, clone.at(commit, "m", submodules=True):
            pass
    clone.close()
