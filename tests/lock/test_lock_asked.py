"""What the lock keeps of what was asked: enough to read, no host, and what changed in words."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.lock.asked import moved, otherwise, readable


@pytest.mark.parametrize(
    "request_",
    [
        {"requirements": ["a"], "index": "https://index.internal/simple"},
        {"requirements": ["a @ https://index.internal/a-1-py3-none-any.whl#sha256=0"]},
        {"channels": ["https://index.internal/chan"], "dependencies": ["https://index.internal/chan::a"]},
        {"reference": "index.internal:5000/ml/base:1"},
        {"sources": {"x": {"uris": ["http://index.internal/debian"]}}},
        {"find_links": ["file:///srv/index.internal/wheels"]},
    ],
)
def test_no_host_is_kept(request_: Any) -> None:
    assert "index.internal" not in str(readable(request_))


def test_what_says_no_host_stays_as_it_is() -> None:
    asked = {"requirements": ["numpy>=2 ; python_version > '3.10'"], "pre": True, "reference": "python:3.11-slim"}
    assert readable(asked) == asked
    assert readable({"reference": "r.example.com/ml/base:1"}) == {"reference": "ml/base:1"}


def test_a_long_text_stands_in_by_its_hash() -> None:
    kept = readable({"dockerfile": "FROM a\nRUN b\n"})["dockerfile"]
    assert kept.startswith("text ") and kept.endswith(", 2 lines")
    assert kept != readable({"dockerfile": "FROM a\nRUN c\n"})["dockerfile"]


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (["numpy>=1", "scipy"], ["numpy>=2", "scipy"], ["numpy>=1 → numpy>=2"]),
        (["numpy"], ["numpy", "scikit-learn[x]>=1"], ["scikit-learn[x]>=1 is new"]),
        (["numpy", "scipy"], ["numpy"], ["scipy is gone"]),
        (["a; os == '1'", "a; os == '2'"], ["a; os == '1'"], ["a; os == '2' is gone"]),
        (["b", "a"], ["a", "b"], []),
    ],
)
def test_packages_are_compared_by_name(before: list[str], now: list[str], said: list[str]) -> None:
    assert moved({"requirements": before}, {"requirements": now}) == said


def test_settings_are_compared_by_name() -> None:
    before = {"suite": "bookworm", "recommends": False, "index": "address 12"}
    now = {"suite": "trixie", "recommends": True, "index": "address 34"}
    assert moved(before, now) == [
        "suite bookworm → suite trixie",
        "recommends False → recommends True",
        "index address 12 → index address 34",
    ]


@pytest.mark.parametrize(
    ("before", "now", "names"),
    [
        (["joblib<1.6", "numpy"], ["joblib", "numpy", "scipy"], {"joblib"}),
        (["Scikit_Learn>=1"], ["scikit-learn>=1"], set()),
        (["scikit_learn>=1"], ["Scikit_Learn >= 2"], {"scikit-learn"}),
        (["uvicorn>=1"], ["uvicorn[standard] >=1"], set()),
        (['a>=1; python_version<"3.12"', "a>=2"], ["a>=2"], {"a"}),
        (["numpy[version='>1']"], ["numpy[version='>2']"], {"numpy"}),
        (["forge::a=1", "forge::b"], ["forge::a=2", "forge::b"], {"a"}),
        (["ham=1"], ["jam"], set()),
    ],
)
def test_packages_that_are_asked_for_in_other_versions(before: list[str], now: list[str], names: set[str]) -> None:
    assert otherwise({"requirements": before}, {"requirements": now}) == names


def test_nothing_is_known_of_a_lock_that_did_not_keep_what_was_asked() -> None:
    assert otherwise(None, {"requirements": ["a"]}) == frozenset()
