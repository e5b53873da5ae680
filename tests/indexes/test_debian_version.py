"""Version order and relationship fields, as Debian Policy has them."""

from __future__ import annotations

import pytest

from pipeline.indexes.debian_version import compare, parse


@pytest.mark.parametrize(
    ("lower", "higher"),
    [
        ("1.0", "1.1"),
        ("1.9", "1.10"),
        ("1.0~rc1", "1.0"),
        ("1.0", "1.0-1"),
        ("1.0-1", "1.0-1+deb12u1"),
        ("1.0-1+deb12u9", "1.0-1+deb12u10"),
        ("9.9", "1:0.1"),
        ("1.0a", "1.0+"),
        ("2.36-9+deb12u4", "2.36-9+deb12u14"),
    ],
)
def test_order(lower: str, higher: str) -> None:
    assert compare(lower, higher) == -1
    assert compare(higher, lower) == 1
    assert compare(lower, lower) == 0


def test_field_is_read_into_groups_of_alternatives() -> None:
    groups = parse("libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any, libfoo1 (= 1:2-3~x)")
    assert [[str(r) for r in group] for group in groups] == [
        ["libc6 (>= 2.34)"],
        ["debconf (>= 0.5)", "debconf-2.0"],
        ["python3"],
        ["libfoo1 (= 1:2-3~x)"],
    ]
    assert groups[2][0].arch == "any"


@pytest.mark.parametrize(
    ("field", "version", "accepted"),
    [
        ("a (>= 2)", "2", True),
        ("a (>> 2)", "2", False),
        ("a (<< 2)", "2~rc1", True),
        ("a (<= 2)", "2-1", False),
        ("a (= 2)", "2", True),
        ("a", "", True),
        ("a (>= 1)", "", False),
    ],
)
def test_accepts(field: str, version: str, accepted: bool) -> None:
    assert parse(field)[0][0].accepts(version) is accepted
