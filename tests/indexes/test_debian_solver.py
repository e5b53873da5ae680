"""Which packages a request comes to, on small indexes."""

from __future__ import annotations

import random

import pytest

from pipeline.errors import ResolveError
from pipeline.indexes.debian_packages import PackageFile, Universe
from pipeline.indexes.debian_solver import Solver
from pipeline.indexes.debian_version import Relation


def stanza(name: str, version: str = "1", **fields: str) -> str:
    text = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
    return text + "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in fields.items())


def universe(*indexes: list[str]) -> Universe:
    files = [PackageFile("\n".join(index).encode(), f"archive{n}") for n, index in enumerate(indexes)]
    return Universe(files, "test (amd64)")


def solve(
    where: Universe, *names: str, installed: dict[str, str] | None = None, recommends: bool = False
) -> dict[str, str]:
    wanted = [Relation(n, "=" if e else "", v) for n, e, v in (name.partition("=") for name in names)]
    found = Solver(where, "amd64", installed).solve(wanted, recommends=recommends)
    return {package.name: package.version for package in found}


def test_dependencies_come_with_what_needs_them() -> None:
    where = universe(
        [stanza("a", Depends="b (>= 1)", Pre_Depends="c"), stanza("b", Depends="d"), stanza("c"), stanza("d")]
    )
    assert list(solve(where, "a")) == ["a", "b", "c", "d"]


def test_a_cycle_of_dependencies_ends() -> None:
    where = universe([stanza("a", Depends="b"), stanza("b", Depends="a")])
    assert list(solve(where, "b")) == ["a", "b"]


def test_the_highest_version_among_archives_is_taken() -> None:
    where = universe([stanza("a", "1.9")], [stanza("a", "1.10")])
    assert solve(where, "a") == {"a": "1.10"}
    assert solve(where, "a=1.9") == {"a": "1.9"}


def test_the_first_alternative_wins_unless_another_is_there_anyway() -> None:
    where = universe([stanza("a", Depends="x | y"), stanza("x"), stanza("y"), stanza("b", Depends="y")])
    assert list(solve(where, "a")) == ["a", "x"]
    assert list(solve(where, "a", "b")) == ["a", "b", "y"]


def test_an_alternative_that_cannot_be_installed_is_passed_over() -> None:
    where = universe([stanza("a", Depends="x | y"), stanza("x", Depends="gone"), stanza("y")])
    assert list(solve(where, "a")) == ["a", "y"]


def test_virtual_packages_take_the_most_important_provider() -> None:
    where = universe(
        [
            stanza("a", Depends="awk"),
            stanza("gawk", Provides="awk", Priority="optional"),
            stanza("mawk", Provides="awk", Priority="required"),
        ]
    )
    assert list(solve(where, "a")) == ["a", "mawk"]


def test_versioned_provides_satisfy_versioned_needs_and_others_do_not() -> None:
    where = universe([stanza("a", Depends="v (>= 2)"), stanza("p", Provides="v"), stanza("q", Provides="v (= 3)")])
    assert list(solve(where, "a")) == ["a", "q"]


def test_conflicts_lead_to_another_choice() -> None:
    where = universe([stanza("a", Depends="x | y"), stanza("x", Conflicts="b"), stanza("y"), stanza("b")])
    assert list(solve(where, "a", "b")) == ["a", "b", "y"]


def test_breaks_of_older_versions_do_not_matter() -> None:
    where = universe([stanza("a", Breaks="b (<< 2)"), stanza("b", "2")])
    assert list(solve(where, "a", "b")) == ["a", "b"]


def test_a_package_may_conflict_with_what_it_provides_itself() -> None:
    where = universe([stanza("a", Provides="mta", Conflicts="mta"), stanza("b", Provides="mta", Conflicts="mta")])
    assert list(solve(where, "a")) == ["a"]
    with pytest.raises(ResolveError, match="conflicts with"):
        solve(where, "a", "b")


def test_a_choice_is_taken_back_when_a_later_need_rules_it_out() -> None:
    where = universe(
        [
            stanza("a", Depends="l, k | m"),
            stanza("l", "2"),
            stanza("l", "1"),
            stanza("k", Depends="l (= 1)"),
            stanza("m", Depends="l (= 1)"),
        ]
    )
    assert solve(where, "a") == {"a": "1", "k": "1", "l": "1"}


def test_recommends_come_only_when_asked_for_and_possible() -> None:
    where = universe([stanza("a", Recommends="r, gone"), stanza("r", Recommends="s"), stanza("s")])
    assert list(solve(where, "a")) == ["a"]
    assert list(solve(where, "a", recommends=True)) == ["a", "r", "s"]


def test_foreign_architectures_do_not_satisfy_a_need() -> None:
    where = universe([stanza("a", Depends="b:i386 | c:any"), stanza("b"), stanza("c")])
    assert list(solve(where, "a")) == ["a", "c"]


def test_an_unknown_name_is_told_with_names_that_are_close() -> None:
    with pytest.raises(ResolveError) as raised:
        solve(universe([stanza("python3"), stanza("perl")]), "pyhton3")
    assert str(raised.value) == "no package 'pyhton3' in test (amd64) (did you mean python3?)"


def test_a_virtual_name_of_several_is_told_with_those_that_provide_it() -> None:
    where = universe([stanza("gawk", Provides="awk"), stanza("mawk", Provides="awk")])
    with pytest.raises(ResolveError, match=r"virtual package .*gawk, mawk"):
        solve(where, "awk")


def test_a_version_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ResolveError, match=r"a 9 is not in test \(amd64\) \(it has 2, 1;"):
        solve(universe([stanza("a", "1"), stanza("a", "2")]), "a=9")


def test_what_cannot_be_had_is_told_with_the_chain_of_who_wanted_it() -> None:
    where = universe(
        [stanza("a", Depends="b"), stanza("b", Depends="c"), stanza("c", Depends="lib (>= 2)"), stanza("lib")]
    )
    with pytest.raises(ResolveError) as raised:
        solve(where, "a")
    assert str(raised.value) == (
        "c, wanted by b, wanted by a needs lib (>= 2), which is not in test (amd64) (it has lib 1)"
    )


def test_what_is_below_is_not_added_again() -> None:
    where = universe([stanza("a", Depends="libc"), stanza("libc", "2")])
    assert solve(where, "a", installed={"libc": "1"}) == {"a": "1"}
    assert solve(where, "libc", installed={"libc": "1"}) == {}


def test_what_is_below_provides_and_conflicts_too() -> None:
    where = universe([stanza("a", Depends="awk"), stanza("mawk", Provides="awk", Conflicts="b"), stanza("b")])
    assert solve(where, "a", installed={"mawk": "1"}) == {"a": "1"}
    with pytest.raises(ResolveError, match="mawk 1 conflicts with b 1"):
        solve(where, "b", installed={"mawk": "1"})


def test_another_version_of_what_is_below_is_an_error_that_says_so() -> None:
    where = universe([stanza("a", Depends="libc (>= 2)"), stanza("libc", "2")])
    with pytest.raises(ResolveError) as raised:
        solve(where, "a", installed={"libc": "1"})
    assert "a needs libc (>= 2), but the layers below have libc 1" in str(raised.value)
    assert "pipeline lock" in raised.value.remedy


def test_the_answer_does_not_depend_on_the_order_of_the_index() -> None:
    stanzas = [
        stanza("a", Depends="v, x | y"),
        stanza("p", Provides="v"),
        stanza("q", Provides="v"),
        stanza("x"),
        stanza("y"),
    ]
    first = solve(universe(stanzas), "a")
    for seed in range(5):
        shuffled = random.Random(seed).sample(stanzas, len(stanzas))
        assert solve(universe(shuffled), "a") == first


def test_stanzas_are_found_whatever_field_is_first() -> None:
    text = "Version: 3\nPackage: odd\n\nPackage: even\nVersion: 2\nDescription: x\n Package: no\n"
    where = Universe([PackageFile(text.encode(), "main")], "test")
    assert where.names() == {"odd", "even"}
    assert [p.version for p in where.versions("odd")] == ["3"]
