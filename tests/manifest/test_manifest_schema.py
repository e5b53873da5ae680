"""The JSON Schema that editors use: current, sound, and right about the golden manifests."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from pipeline.manifest.schema import schema, text

ROOT = Path(__file__).parents[2]
GOOD = [*sorted((ROOT / "tests/golden/good").glob("*.yaml")), *sorted((ROOT / "manifests").glob("*.yaml"))]


def test_the_file_is_current() -> None:
    """`python -m pipeline.manifest.schema > schemas/manifest.schema.json` brings it up to date."""
    assert (ROOT / "schemas/manifest.schema.json").read_text() == text()


def test_it_is_a_sound_schema() -> None:
    Draft202012Validator.check_schema(schema())
    json.dumps(schema(), allow_nan=False)


def described(value: Any, path: str = "") -> list[str]:
    """The properties without a description."""
    if not isinstance(value, dict):
        return []
    found = [f"{path}/{k}" for k, v in value.get("properties", {}).items() if not {"description", "title"} & {*v}]
    for name, child in value.get("properties", {}).items():
        found += described(child, f"{path}/{name}")
    return (
        found + described(value.get("additionalProperties"), path + "/*") + described(value.get("items"), path + "/0")
    )


def test_every_property_is_explained() -> None:
    own = [path for path in described(schema()) if path.count("/") < 3 or path.startswith("/images")]
    assert own == []


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_in_good_manifests(path: Path) -> None:
    data = yaml.safe_load(path.read_text().replace("0644", '"0644"'))
    assert [error.message for error in Draft202012Validator(schema()).iter_errors(data)] == []


@pytest.mark.parametrize(
    ("images", "count"),
    [
        ({"a": {"base": "b", "serve": {"entry_script": "s.py", "port": "${env:PORT}"}, "tags": ["${env:TAG}"]}}, 0),
        ({"a": {"base": "b", "serve": {"entry_script": "s.py", "port": "many"}}}, 1),
        ({"a": {"base": "b", "tags": ["a b"]}}, 1),
        ({"a": {"base": "b", "usr": 1}}, 1),
    ],
)
def test_editors_admit_references_where_values_are_checked(images: dict[str, Any], count: int) -> None:
    data = {"version": 1, "name": "x", "images": images}
    assert len(list(Draft202012Validator(schema()).iter_errors(data))) == count
