"""The guard that keeps paths inside the project."""

from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.manifest.paths import check, fixed_part, inside


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "manifests").mkdir(parents=True)
    (root / "models").mkdir()
    (root / "models" / "m.bin").touch()
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("../../nowhere")
    (tmp_path / "project-other").mkdir()
    return root


@pytest.mark.parametrize(
    "relative", ["../models/m.bin", ".//../models/./m.bin", "../models/../models/m.bin", "..", "new/x", ""]
)
def test_inside(project: Path, relative: str) -> None:
    assert inside(project, project / "manifests", relative).is_relative_to(project)


@pytest.mark.parametrize(
    "relative",
    [
        "../..",
        "../../project-other",
        "../../project/models/m.bin",
        "/etc/passwd",
        "../dangling",
        "a\0b",
        "x/../../../y",
    ],
)
def test_outside(project: Path, relative: str) -> None:
    with pytest.raises(PipelineError) as caught:
        inside(project, project / "manifests", relative)
    assert caught.value.remedy


def test_a_path_has_to_exist_unless_it_may_be_missing(project: Path) -> None:
    with pytest.raises(PipelineError, match=r"does not exist \(did you mean 'm.bin'\?\)"):
        check(project, project, "models/n.bin")
    assert check(project, project, "models/n.bin", must_exist=False)
    with pytest.raises(PipelineError, match="does not exist"):
        check(project, project, "loop")


@pytest.mark.parametrize("pattern", ["../../*.py", "*/../../../x", "/etc/*", "../dangling/*"])
def test_a_glob_stays_inside(project: Path, pattern: str) -> None:
    with pytest.raises(PipelineError):
        check(project, project / "manifests", pattern)


def test_a_file_whose_name_looks_like_a_glob(project: Path) -> None:
    (project / "a[1].txt").touch()
    assert check(project, project, "a[1].txt") == project / "a[1].txt"


@pytest.mark.parametrize(
    ("pattern", "part"), [("src/*.py", "src"), ("*.py", "."), ("a/b/c", "a/b/c"), ("/a/*", "/a"), ("/*", "/")]
)
def test_fixed_part(pattern: str, part: str) -> None:
    assert fixed_part(pattern) == part
