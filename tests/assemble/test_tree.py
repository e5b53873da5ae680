"""Packer `tree`: project files as entries, and no other content than was planned."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.assemble import tree
from pipeline.assemble.entry import Entry
from pipeline.assemble.work import Work
from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.layers import files as kind
from pipeline.recipe import Assemble
from pipeline.store.files import ProjectFiles


def planned(folder: Path) -> tuple[Assemble, Work]:
    files = ProjectFiles(folder, lambda path: folder / path, None, time.time_ns)
    (recipe,) = kind.recipes([], kind.request([{"from": "src", "to": "/app/"}], files), Facts())
    assert isinstance(recipe, Assemble)
    indexes = SimpleNamespace(files=files)
    return recipe, Work(folder, indexes, folder, Facts(), lambda: [], lambda _text: None)


def test_members_become_entries(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("x")
    (tmp_path / "src/b").symlink_to("a.py")
    recipe, work = planned(tmp_path)
    assert list(tree.entries(recipe, work)) == [
        Entry("app", "dir", 0o755),
        Entry("app/a.py", "file", 0o644, source=tmp_path / "src/a.py", size=1),
        Entry("app/b", "symlink", 0o777, link="a.py"),
    ]


def test_a_file_that_changed_since_the_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("one")
    recipe, work = planned(tmp_path)
    (tmp_path / "src/a.py").write_text("two")
    with pytest.raises(AssembleError, match="has changed since the build began"):
        list(tree.entries(recipe, work))
