"""The kind `files`: where members land, who owns them, what is left out and what is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError, ResolveError
from pipeline.facts import Facts
from pipeline.layers import files as kind
from pipeline.manifest.paths import inside
from pipeline.store.database import Database
from pipeline.store.files import ProjectFiles

Project = Callable[[Mapping[str, str | bytes]], Path]


def opened(folder: Path, database: Database | None = None) -> ProjectFiles:
    return ProjectFiles(folder, lambda path: inside(folder, folder, path), database, time.time_ns)


def members(folder: Path, *items: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {member["path"]: member for member in kind.request(items, opened(folder))}


def test_a_folder_is_copied_with_the_folders_that_lead_there(project: Project) -> None:
    folder = project({"src/score.py": "x", "src/lib/a.py": "y"})
    found = members(folder, {"from": "src", "to": "/srv/app/code", "owner": "1000:50"})
    assert list(found) == [
        "srv/app",
        "srv/app/code",
        "srv/app/code/lib",
        "srv/app/code/lib/a.py",
        "srv/app/code/score.py",
    ]
    assert (found["srv/app"]["uid"], found["srv/app"]["gid"]) == (0, 0)
    assert (found["srv/app/code"]["uid"], found["srv/app/code"]["gid"]) == (1000, 50)
    assert found["srv/app/code/lib/a.py"]["source"] == "src/lib/a.py"


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ("/app/", ["app", "app/score.py"]),
        ("/app/x.py", ["app", "app/x.py"]),
        ("/x.py", ["x.py"]),
        ("/", ["score.py"]),
        ("/etc/", ["etc/score.py"]),
        ("/tmp/", ["tmp/score.py"]),
        ("/usr/local/bin/", ["usr/local/bin/score.py"]),
        ("/var/azureml-app/", ["var/azureml-app", "var/azureml-app/score.py"]),
        ("/etc/../opt//x/./y.py", ["opt/x", "opt/x/y.py"]),
    ],
)
def test_one_file_lands_where_it_is_to(project: Project, to: str, expected: list[str]) -> None:
    folder = project({"score.py": "x"})
    assert list(members(folder, {"from": "score.py", "to": to})) == expected


def test_an_executable_stays_one_and_a_mode_overrides(project: Project) -> None:
    folder = project({"run.sh": "x", "data": "y"})
    (folder / "run.sh").chmod(0o700)
    found = members(folder, {"from": "run.sh", "to": "/a"}, {"from": "data", "to": "/b", "mode": "0440"})
    assert (found["a"]["mode"], found["b"]["mode"]) == (0o755, 0o440)


def test_what_differs_between_machines_is_left_out(project: Project) -> None:
    files = ["a.py", "__pycache__/a.cpython-311.pyc", "p/__pycache__/b.pyc", ".git/config", "p/.DS_Store", "p/b.py"]
    folder = project({f"src/{name}": "x" for name in files})
    for item in ({"from": "src", "to": "/app"}, {"from": "src/**", "to": "/app"}, {"from": "src/**/*", "to": "/app"}):
        found = members(folder, item)
        assert [path for path, member in found.items() if "digest" in member] == ["app/a.py", "app/p/b.py"]


def test_ignore_rules_work_as_dockers(project: Project) -> None:
    folder = project(
        {
            "src/.dockerignore": "# comment\n*.md\ndocs\n!docs/keep.md\n\n",
            "src/a.md": "",
            "src/deep/b.md": "",
            "src/docs/x": "",
            "src/docs/keep.md": "",
            "src/c.py": "",
        }
    )
    found = members(folder, {"from": "src", "to": "/app", "ignore": ["**/c.py"]})
    assert [path for path, member in found.items() if "digest" in member] == ["app/deep/b.md", "app/docs/keep.md"]


def test_globs_take_files_with_their_folders(project: Project) -> None:
    folder = project({"src/a.py": "", "src/b.txt": "", "src/p/c.py": ""})
    assert [p for p in members(folder, {"from": "src/*.py", "to": "/app"}) if p.endswith("y")] == ["app/a.py"]
    assert "app/p/c.py" in members(folder, {"from": "src/**/*.py", "to": "/app"})
    with pytest.raises(ResolveError, match="no file matches"):
        members(folder, {"from": "src/*.rs", "to": "/app"})


def test_links_stay_links_inside_the_project(project: Project) -> None:
    folder = project({"src/a.py": "x"})
    (folder / "src/b.py").symlink_to("a.py")
    assert members(folder, {"from": "src", "to": "/app"})["app/b.py"]["link"] == "a.py"


@pytest.mark.parametrize("target", ["../../outside", "/etc/passwd"])
def test_links_that_leave_the_project_are_refused(project: Project, target: str) -> None:
    folder = project({"src/a.py": "x"})
    (folder / "src/b").symlink_to(target)
    with pytest.raises(PipelineError):
        members(folder, {"from": "src", "to": "/app"})


def test_a_link_to_an_absolute_path_of_this_machine_is_refused(project: Project) -> None:
    folder = project({"src/a.py": "x"})
    (folder / "src/b").symlink_to(folder / "src/a.py")
    with pytest.raises(ResolveError, match="relative"):
        members(folder, {"from": "src", "to": "/app"})


@pytest.mark.parametrize("source", ["../x", "src/*/../../../*", "nothing", "nothing/*"])
def test_what_is_outside_or_missing_is_one_clear_error(project: Project, source: str) -> None:
    folder = project({"src/p/a.py": "x"})
    (folder.parent / "secret").write_text("s")
    with pytest.raises(PipelineError):
        members(folder, {"from": source, "to": "/app/"})


def test_odd_files_are_refused_by_name(project: Project) -> None:
    folder = project({"src/a.py": "x"})
    os.mkfifo(folder / "src/pipe")
    with pytest.raises(ResolveError, match="pipe is neither"):
        members(folder, {"from": "src", "to": "/app"})
    assert "app/a.py" in members(folder, {"from": "src", "to": "/app", "ignore": ["pipe"]})


def test_a_name_that_is_not_utf_8_is_refused(project: Project) -> None:
    folder = project({"src/a.py": "x"})
    Path(os.fsdecode(os.fsencode(folder) + b"/src/\xff\xfe")).write_text("x")
    with pytest.raises(ResolveError, match="not UTF-8"):
        members(folder, {"from": "src", "to": "/app"})


def test_a_file_that_would_be_a_whiteout_is_refused(project: Project) -> None:
    folder = project({"src/.wh.passwd": ""})
    with pytest.raises(ResolveError, match="would remove"):
        members(folder, {"from": "src", "to": "/etc"})


def test_a_file_in_place_of_a_folder_is_refused(project: Project) -> None:
    folder = project({"a": "", "src/b": ""})
    with pytest.raises(ResolveError, match="/opt/x would be a file and the folder of /opt/x/b"):
        members(folder, {"from": "a", "to": "/opt/x"}, {"from": "src", "to": "/opt/x"})


def test_the_later_of_two_items_wins(project: Project) -> None:
    folder = project({"a": "1", "b": "22"})
    assert members(folder, {"from": "a", "to": "/x"}, {"from": "b", "to": "/x"})["x"]["size"] == 2


def test_where_files_lie_on_this_machine_stays_out_of_the_inputs(project: Project) -> None:
    folder = project({"src/a.py": "x"})
    (recipe,) = kind.recipes([], kind.request([{"from": "src", "to": "/app"}], opened(folder)), Facts())
    assert str(folder) not in repr(recipe)
    assert "src/" not in repr(recipe.inputs)  # type: ignore[union-attr]
    assert recipe.summary == "1 file"


def test_the_lock_has_a_line_for_each_from(project: Any) -> None:
    folder = project({"src/a.py": "1", "src/b.py": "22", "one.txt": "333"})
    items = [{"from": "src/", "to": "/srv/app/"}, {"from": "one.txt", "to": "/etc/one.txt"}]

    def rows(spec: Any = items) -> list[dict[str, Any]]:
        return kind.contents(spec, kind.request(spec, opened(folder)), Facts())

    before = rows()
    assert [(row["from"], row["files"], row["bytes"]) for row in before] == [("src/", 2, 3), ("one.txt", 1, 3)]
    assert [row["sha256"] for row in rows([{**item, "to": "/opt/other/"} for item in items])][:1] == [
        before[0]["sha256"]
    ]
    (folder / "src/b.py").write_text("23")
    assert [now == was for now, was in zip(rows(), before, strict=True)] == [False, True]
