"""YAML that is written here is read alike by every reader: PyYAML (1.1), and the manifest's own (1.2)."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.azureml.document import parse_yaml
from pipeline.azureml.yaml_text import Comment, dump

ODD = [
    "yes",
    "No",
    "on",
    "~",
    "null",
    "1.10",
    "0x1f",
    "1e5",
    "1:30",
    "2020-01-01",
    "=",
    "<<",
    "-",
    "- a",
    "a: b",
    "a #b",
]
ODD += [
    "",
    " ",
    "a ",
    "\t",
    "#",
    "!x",
    "&x",
    "*x",
    "%x",
    "@x",
    "`x",
    "'x",
    '"x',
    "[a",
    "{a",
    "a,b",
    "x]",
    "a\nb",
    "é",
    "\u2028",
]
ODD += [
    "\x85",
    "\ufeff",
    "😀",
    ".5",
    ".inf",
    "python=3.6.2",
    "numpy>=1,<2",
    "a[b]~=1",
    "${env:X}",
    "?",
    ": ",
    "---",
    "...",
]
TEXT = st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
VALUE = st.recursive(
    TEXT | st.booleans() | st.none() | st.integers(-(10**12), 10**12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT.filter(bool), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.dictionaries(TEXT.filter(bool), VALUE, max_size=4))
def test_what_is_written_is_read_again(value: dict[str, Any]) -> None:
    text = dump(value)
    assert yaml.safe_load(text) == value
    assert parse_yaml(text, "f.yml").value == value


@pytest.mark.parametrize("word", ODD)
def test_odd_words_stay_text(word: str) -> None:
    for value in ({"a": word}, {"a": [word, "b"]}, {"a": [{"b": word}]}, {word or "x": 1}):
        assert yaml.safe_load(dump(value)) == value


def test_comments_stand_above_their_key() -> None:
    assert dump({"a": {"b": Comment(1, "why")}}) == "a:\n  # why\n  b: 1\n"
