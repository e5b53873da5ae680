"""The lock file: the same lock gives the same text, and anything else in its place is a clear error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ManifestError
from pipeline.kinds import Held
from pipeline.lock.diff import changes
from pipeline.lock.model import Lock, LockEntry, entry_id, request_hash
from pipeline.lock.text import dump, parse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def lock(**packages: str) -> Lock:
    locked = {"packages": [{"name": n, "version": v, "sha256": v * 8} for n, v in packages.items()]}
    return Lock({"layers.science linux/amd64": LockEntry("pip", "abc", locked)})


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=4))
def test_a_lock_is_read_back(locked: dict[str, Any]) -> None:
    made = Lock({id_: LockEntry("pip", request_hash(value), value) for id_, value in locked.items()})
    text = dump(made)
    assert parse(text, "x.lock") == made
    assert dump(parse(text, "x.lock")) == text


def test_each_package_has_a_line_of_its_own() -> None:
    text = dump(lock(numpy="1", scipy="2"))
    assert len([line for line in text.splitlines() if "sha256" in line]) == 2
    assert text.endswith("}\n")


def test_a_merge_conflict_is_shown_with_its_line() -> None:
    text = dump(lock(numpy="1")).replace('  "entries"', '<<<<<<< HEAD\n  "entries"')
    with pytest.raises(ManifestError) as caught:
        parse(text, "prod.lock")
    assert "prod.lock:4:1: the lock has a merge conflict (take either side" in str(caught.value)
    assert "<<<<<<< HEAD" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "1",
        "{}",
        '{"version": 1}',
        '{"version": 1, "entries": []}',
        '{"version": 1, "entries": {"a": 1}}',
        '{"version": 1, "entries": {"a": {"kind": "pip"}}}',
        "[" * 100_000,
        "9" * 5000,
        "\0",
    ],
)
def test_what_is_no_lock_is_one_clear_error(text: str) -> None:
    with pytest.raises(ManifestError, match=r"^x\.lock"):
        parse(text, "x.lock")


@pytest.mark.parametrize(
    ("version", "remedy"), [(3, "upgrade pipeline"), ("x", "remove the file"), (0, "remove the file")]
)
def test_a_lock_of_another_version_says_so(version: Any, remedy: str) -> None:
    with pytest.raises(ManifestError, match=f"lock version {version!r} is not 2 .{remedy}"):
        parse(json.dumps({"version": version, "entries": {}}), "x.lock")


def test_a_lock_of_the_first_version_is_read_and_differs_from_what_is_written_now() -> None:
    entry = {"kind": "pip", "request": "abc", "locked": {}}
    old = parse(json.dumps({"version": 1, "entries": {"layers.a linux/amd64": entry}}), "x.lock")
    assert old.entries["layers.a linux/amd64"] == LockEntry("pip", "abc", {})
    assert old.version == 1
    assert old != parse(dump(old), "x.lock")


def test_an_entry_answers_for_its_kind_and_request() -> None:
    entry = LockEntry("pip", request_hash(["numpy"]), None)
    assert entry.answers("pip", request_hash(["numpy"]))
    assert not entry.answers("pip", request_hash(["numpy", "scipy"]))
    assert not entry.answers("debs", request_hash(["numpy"]))


def test_ids_say_what_an_entry_depends_on_in_a_fixed_order() -> None:
    assert entry_id("layers", "a", "linux/amd64", {"b": "1", "a": "2"}) == "layers.a linux/amd64 a=2 b=1"


def test_changes_are_told_by_package() -> None:
    assert changes(lock(numpy="1", scipy="2"), lock(numpy="3", scipy="2")) == ["layers.science: numpy 1 → 3"]
    assert changes(lock(numpy="1"), lock(numpy="1", scipy="2")) == ["layers.science: scipy 2 is new"]
    assert changes(lock(numpy="1", scipy="2"), lock(numpy="1")) == ["layers.science: scipy 2 is gone"]
    assert changes(Lock(), lock(numpy="1")) == ["layers.science: new, 1 package"]
    assert changes(lock(numpy="1"), Lock()) == ["layers.science: gone"]
    assert changes(lock(numpy="1"), lock(numpy="1")) == []


def test_another_file_of_the_same_version_is_told_by_its_hash() -> None:
    one, other = (
        Lock({"bases.a linux/amd64": LockEntry("x", "", {"packages": [{"name": "n", "version": "1", "sha256": sha}]})})
        for sha in ("a" * 64, "b" * 64)
    )
    assert changes(one, other) == ["bases.a: n 1 (aaaaaaaa) → 1 (bbbbbbbb)"]


def test_what_is_the_same_on_every_platform_is_said_once() -> None:
    def made(amd64: str, arm64: str) -> Lock:
        ids = {"layers.a linux/amd64 libc=2": amd64, "layers.a linux/arm64 libc=2": arm64}
        return Lock({i: LockEntry("pip", "", {"wheels": [{"name": "n", "version": v}]}) for i, v in ids.items()})

    assert changes(made("1", "1"), made("2", "2")) == ["layers.a: n 1 → 2"]
    assert changes(made("1", "1"), made("1", "2")) == ["layers.a linux/arm64: n 1 → 2"]
    assert changes(made("1", "1"), made("3", "2")) == [
        "layers.a linux/amd64: n 1 → 3",
        "layers.a linux/arm64: n 1 → 2",
    ]


def test_an_entry_for_other_needs_is_compared_with_the_one_it_comes_from() -> None:
    def made(id_: str, version: str) -> Lock:
        return Lock({id_: LockEntry("pip", "", {"wheels": [{"name": "n", "version": version}]})})

    old, new = (
        made("layers.a linux/amd64 libc=2 python=3.11", "1"),
        made("layers.a linux/amd64 libc=3 python=3.11", "2"),
    )
    assert changes(old, new) == ["layers.a: was for libc=2", "layers.a: n 1 → 2"]
    old, new = made("layers.a linux/amd64 packages=0f1e", "1"), made("layers.a linux/amd64 packages=2d3c", "1")
    assert changes(old, new) == ["layers.a: was for other packages below"]


def test_what_was_locked_for_an_older_glibc_answers_for_a_newer() -> None:
    def named(libc: str, python: str = "3.11") -> str:
        return f"layers.science linux/amd64 architecture=amd64 libc={libc} python={python}"

    known = Lock({named(libc): LockEntry("pip", "abc", {}) for libc in ("2.9", "2.31", "2.36")})
    assert known.answering(named("2.31"), "pip", "abc") == named("2.31")
    assert known.answering(named("2.35"), "pip", "abc") == named("2.31")
    assert known.answering(named("2.41"), "pip", "abc") == named("2.36")
    for other in (named("2.5"), named("2.41", "3.12"), "layers.other linux/amd64 libc=2.41", "bases.b linux/amd64"):
        assert known.answering(other, "pip", "abc") == other
    assert known.answering(named("2.41"), "pip", "asked otherwise") == named("2.41")


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("layers.a linux/amd64 libc=2 python=3.11", "exact"),
        ("layers.a linux/amd64 libc=3 python=3.11", "exact"),
        ("layers.a linux/amd64 libc=3 python=3.12", "newer"),
        ("layers.a linux/arm64 libc=3 python=3.12", "newer"),
        ("layers.renamed linux/amd64 libc=2 python=3.11", "exact"),
        ("layers.other linux/amd64", "other"),
    ],
)
def test_what_is_nearest_to_an_answer(wanted: str, found: str) -> None:
    entries = {
        "layers.a linux/amd64 libc=2 python=3.11": LockEntry("pip", "asked", "exact"),
        "layers.a linux/amd64 libc=2 python=3.12": LockEntry("pip", "asked", "newer"),
        "layers.other linux/amd64": LockEntry("debs", "else", "other"),
    }
    nearest = Lock(entries).before(wanted, "pip", "asked")
    assert nearest and nearest.locked == found


def test_nothing_is_near_when_nobody_asked_for_it() -> None:
    assert lock(numpy="1").before("layers.new linux/amd64", "pip", "other") is None


@pytest.mark.parametrize("locked", [None, [], {}, {"wheels": None}, {"wheels": ["x", {"name": "n"}]}])
def test_a_kind_holds_nothing_of_a_damaged_answer(locked: Any) -> None:
    assert Held(locked).versions("wheels") == {}


def test_a_kind_holds_what_is_not_to_be_upgraded() -> None:
    locked = {"wheels": [{"name": "a", "version": "1"}, {"name": "b", "version": "2"}]}
    assert Held(locked, frozenset({"a"})).versions("wheels", "sources") == {"b": "2"}


def test_a_kind_holds_nothing_of_what_is_itself_asked_for_otherwise() -> None:
    locked = {"wheels": [{"name": "scikit_learn", "version": "1"}, {"name": "b", "version": "2"}]}
    assert Held(locked, changed=frozenset({"scikit-learn"})).packages("wheels") == locked["wheels"][1:]
