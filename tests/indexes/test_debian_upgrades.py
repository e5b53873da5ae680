"""What may move of the packages below when a layer upgrades them, and what the lock holds still."""

from __future__ import annotations

import pytest

from pipeline.errors import ResolveError
from pipeline.indexes.debian_packages import PackageFile, Universe
from pipeline.indexes.debian_solver import Solver
from pipeline.indexes.debian_version import Relation


def stanza(name: str, version: str = "1", **fields: str) -> str:
    text = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    return text + "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())


def universe(*stanzas: str) -> Universe:
    return Universe([PackageFile("\n".join(stanzas).encode(), "main")], "test (amd64)")


def solve(
    where: Universe,
    *names: str,
    below: dict[str, str] | None = None,
    upgrade: bool = True,
    held: dict[str, str] | None = None,
) -> dict[str, str]:
    wanted = [Relation(n, "=" if e else "", v) for n, e, v in (name.partition("=") for name in names)]
    found = Solver(where, "amd64", below, upgrade=upgrade, held=held).solve(wanted)
    return {package.name: package.version for package in found}


STRICT = universe(
    stanza("libc6", "2"),
    stanza("libc6-dev", "2", Depends="libc6 (= 2)"),
    stanza("libc-bin", "2", Depends="libc6 (>= 1)"),
    stanza("other", "2"),
)


def test_what_stands_in_the_way_is_upgraded_and_nothing_else() -> None:
    below = {"libc6": "1", "libc-bin": "1", "other": "1"}
    assert solve(STRICT, "libc6-dev", below=below) == {"libc6": "2", "libc6-dev": "2"}
    with pytest.raises(ResolveError, match="the layers below have libc6 1"):
        solve(STRICT, "libc6-dev", below=below, upgrade=False)


def test_a_package_that_is_asked_for_is_brought_up_to_date() -> None:
    assert solve(STRICT, "other", below={"other": "1"}) == {"other": "2"}
    assert solve(STRICT, "other", below={"other": "2"}) == {}
    assert solve(STRICT, "other", below={"other": "3"}) == {}


def test_parts_of_one_source_move_together() -> None:
    below = {"libc6": "1", "libc6-dev": "1", "other": "1"}
    where = universe(
        stanza("libc6", "2"),
        stanza("libc6-dev", "2", Depends="libc6 (= 2)"),
        stanza("new", Depends="libc6 (>= 2)"),
        stanza("other", "2"),
    )
    assert solve(where, "new", below=below) == {"libc6": "2", "libc6-dev": "2", "new": "1"}


def test_a_package_that_a_new_one_breaks_is_upgraded() -> None:
    where = universe(stanza("new", Breaks="old (<< 2)"), stanza("old", "2"))
    assert solve(where, "new", below={"old": "1"}) == {"new": "1", "old": "2"}
    with pytest.raises(ResolveError, match="new 1 conflicts with old 1"):
        solve(universe(stanza("new", Breaks="old")), "new", below={"old": "1"})


def test_an_exact_version_may_be_older_than_what_is_there() -> None:
    where = universe(stanza("tool", "1"), stanza("tool", "2"))
    assert solve(where, "tool=1", below={"tool": "2"}) == {"tool": "1"}


def test_held_versions_stay_where_the_archive_has_them() -> None:
    where = universe(stanza("tool", "1"), stanza("tool", "2"), stanza("a", Depends="tool"))
    assert solve(where, "a", held={"tool": "1"}) == {"a": "1", "tool": "1"}
    assert solve(where, "a", held={"tool": "0.9"}) == {"a": "1", "tool": "2"}
    assert solve(where, "a", "tool", below={"tool": "1"}, held={"tool": "1"}) == {"a": "1"}


def test_versions_of_an_archive_that_is_not_automatic_are_for_who_asks_for_them() -> None:
    stable = PackageFile(stanza("tool", "1").encode(), "main")
    backports = PackageFile((stanza("tool", "2") + "\n" + stanza("only", "2")).encode(), "backports", False)
    where = Universe([backports, stable], "test (amd64)")
    assert solve(where, "tool") == {"tool": "1"}
    assert solve(where, "tool=2", "only") == {"only": "2", "tool": "2"}
