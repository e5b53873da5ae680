"""What is to be taken anew, by name."""

from __future__ import annotations

import pytest

from pipeline.errors import UsageError
from pipeline.lock.model import Lock
from pipeline.lock.upgrade import selection

HEADS = ("bases.slim", "bases.cuda", "layers.science")


@pytest.mark.parametrize(
    ("names", "heads"),
    [
        (["bases.*"], {"bases.slim", "bases.cuda"}),
        (["layers.*"], {"layers.science"}),
        (["bases.*", "science"], set(HEADS)),
        (["slim"], {"bases.slim"}),
    ],
)
def test_sections_stand_for_all_that_is_in_them(names: list[str], heads: set[str]) -> None:
    assert selection(names, Lock(), HEADS).heads == heads


def test_a_section_may_be_empty() -> None:
    assert selection(["bases.*"], Lock(), ["layers.science"]).heads == frozenset()


def test_other_patterns_are_names() -> None:
    with pytest.raises(UsageError, match=r"'images\.\*' is no base, no layer"):
        selection(["images.*"], Lock(), HEADS)
