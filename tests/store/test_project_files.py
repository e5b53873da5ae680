"""The project's files: digests from the stat index, walks that take no wrong turn, rules as Docker's."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pipeline.digest import digest_of
from pipeline.errors import ResolveError
from pipeline.store.database import Database
from pipeline.store.files import ProjectFiles
from pipeline.store.globs import keeper
from pipeline.store.seal import sealed


def opened(folder: Path, database: Database | None = None, later: int = 10) -> ProjectFiles:
    """Files of a project, seen `later` seconds after now."""
    return ProjectFiles(folder, lambda path: folder / path, database, lambda: time.time_ns() + later * 10**9)


def test_a_digest_is_remembered_while_the_file_is_the_same(tmp_path: Path) -> None:
    database, file = Database(tmp_path / "db"), tmp_path / "file"
    file.write_bytes(b"one")
    assert opened(tmp_path, database).digest("file") == (digest_of(b"one"), 3)
    [(path, stamp)] = database.execute("SELECT path, stamp FROM files")
    database.execute("UPDATE files SET digest = ?", sealed(f"{path} {stamp}", "remembered"))
    assert opened(tmp_path, database).digest("file") == ("remembered", 3)
    file.write_bytes(b"two")
    assert opened(tmp_path, database).digest("file") == (digest_of(b"two"), 3)


def test_a_file_of_the_last_moment_is_not_remembered(tmp_path: Path) -> None:
    database = Database(tmp_path / "db")
    (tmp_path / "file").write_bytes(b"one")
    opened(tmp_path, database, later=0).digest("file")
    assert database.execute("SELECT count(*) FROM files") == [(0,)]


def test_another_file_put_in_its_place_with_the_same_times_is_seen(tmp_path: Path) -> None:
    database, file = Database(tmp_path / "db"), tmp_path / "file"
    file.write_bytes(b"one")
    info = file.stat()
    opened(tmp_path, database).digest("file")
    (tmp_path / "new").write_bytes(b"two")
    os.utime(tmp_path / "new", ns=(info.st_atime_ns, info.st_mtime_ns))
    (tmp_path / "new").replace(file)
    assert opened(tmp_path, database).digest("file")[0] == digest_of(b"two")


def test_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ResolveError, match=r"cannot read latin.*UTF-8"):
        opened(tmp_path).text("latin")
    with pytest.raises(ResolveError, match="gone"):
        opened(tmp_path).text("gone")
    with pytest.raises(ResolveError, match="gone"):
        opened(tmp_path).digest("gone")


def test_a_tree_is_sorted_and_keeps_empty_folders(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", "b-c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "empty").mkdir()
    assert [member["path"] for member in opened(tmp_path).tree(".")] == ["a", "b-c", "b/1", "b/2", "empty"]


@pytest.mark.skipif(not os.geteuid(), reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(ResolveError, match=r"cannot read .*closed"):
        opened(tmp_path).tree(".")
    assert opened(tmp_path).tree(".", ["closed"]) == []


RULES = [
    (["*.md"], "a.md", False),
    (["*.md"], "deep/a.md", True),
    (["**/*.md"], "a.md", False),
    (["**/*.md"], "very/deep/a.md", False),
    (["docs"], "docs/x/y", False),
    (["docs/"], "docs/x", False),
    (["/docs"], "docs/x", False),
    (["./docs"], "docs/x", False),
    (["docs"], "docs2", True),
    (["docs"], "a/docs", True),
    (["docs", "!docs/keep"], "docs/keep", True),
    (["docs", "!docs/keep"], "docs/other", False),
    (["!docs/keep", "docs"], "docs/keep", False),
    (["*", "!src"], "src/a/b", True),
    (["*", "!src", "src/a"], "src/a/b", False),
    (["**"], "any/thing", False),
    (["a/**"], "a/b/c", False),
    (["a/**/z"], "a/z", False),
    (["a/**/z"], "a/b/c/z", False),
    (["a?c"], "abc", False),
    (["a?c"], "a/c", True),
    (["[ab].py"], "a.py", False),
    (["[ab].py"], "c.py", True),
    (["[^ab].py"], "c.py", False),
    (["#x"], "#x", True),
    (["\\#x"], "#x", False),
    (["", "   "], "a", True),
    (["  spaced  "], "spaced", False),
    (["[z-a]"], "z", True),
    (["a.c"], "abc", True),
    (["("], "(", False),
    ([], "a", True),
]


@pytest.mark.parametrize(("rules", "path", "kept"), RULES)
def test_ignore_rules(rules: list[str], path: str, kept: bool) -> None:
    assert keeper(rules)[0](path) is kept


def test_ignored_folders_are_not_walked_unless_a_rule_brings_something_back(tmp_path: Path) -> None:
    (tmp_path / ".venv/lib").mkdir(parents=True)
    (tmp_path / ".venv/lib/a").write_text("")
    assert keeper(["**/.venv"])[1] is False
    assert opened(tmp_path).tree(".", ["**/.venv"]) == []
    found = opened(tmp_path).tree(".", ["**/.venv", "!.venv/lib/a"])
    assert [member["path"] for member in found] == [".venv/lib/a"]
