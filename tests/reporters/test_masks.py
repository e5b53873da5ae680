from __future__ import annotations

import json

from pipeline.events import StepEnded, to_json
from pipeline.manifest.model import Secret
from pipeline.reporters.json_lines import JsonLines
from pipeline.reporters.masks import Masks


def test_secrets_are_masked_in_every_text_of_an_event() -> None:
    event = StepEnded("s", "layer", "a", "failed", title="user:hunter22@host", error="401 for hunter22")
    masked = Masks([Secret("hunter22")]).value(event)
    assert masked == StepEnded("s", "layer", "a", "failed", title="user:***@host", error="401 for ***")


def test_secrets_are_masked_as_urls_and_json_write_them() -> None:
    masks = Masks([Secret('p@ss/"word"')])
    assert masks.text("https://u:p%40ss%2F%22word%22@host") == "https://u:***@host"
    assert masks.text('{"a": "p@ss/\\"word\\""}') == '{"a": "***"}'


def test_every_line_of_a_secret_of_several_lines_is_masked() -> None:
    masks = Masks([Secret("-----BEGIN KEY-----\nabcdef\n")])
    assert masks.text("log: abcdef") == "log: ***"


def test_nested_data_is_masked_and_the_rest_left_alone() -> None:
    value = {"a": ["x hunter22", {"b": "hunter22"}], "n": 3, "none": None}
    assert Masks(["hunter22"]).value(value) == {"a": ["x ***", {"b": "***"}], "n": 3, "none": None}


def test_an_empty_secret_masks_nothing() -> None:
    assert Masks(["", "  \n"]).text("a b") == "a b"


def test_json_lines_are_one_object_each() -> None:
    out: list[str] = []
    event = StepEnded("layer a", "layer", "a", "made", "1 → 2\nlines")
    JsonLines(out.append, now=lambda: 1700000000.12345)(event)
    JsonLines(out.append, ascii_only=True, now=lambda: 1700000000.12345)(event)
    assert [json.loads(line) for line in out] == [{**to_json(event), "at": 1700000000.123}] * 2
    assert all("\n" not in line for line in out)
    assert out[1].isascii()
