"""Nouns are dataclasses to everybody who uses them."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Mapping

import pytest

from pipeline.noun import noun


@noun
class Point:
    """A place."""

    x: int
    y: int = 0
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.x + self.y


def test_values_by_place_name_and_default() -> None:
    assert Point(1, y=2).total == 3
    assert (Point(1).y, Point(1).tags) == (0, {})
    assert Point(1).tags is not Point(1).tags


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, {}, 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})], ids=str
)
def test_wrong_values_are_refused(values: tuple[int, ...], named: dict[str, int]) -> None:
    with pytest.raises(TypeError, match="Point"):
        Point(*values, **named)  # type: ignore[arg-type]


def test_nothing_changes() -> None:
    point = Point(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del point.x  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.other = 2  # type: ignore[attr-defined]


def test_equal_by_kind_and_fields() -> None:
    @noun
    class Other:
        """The same fields, another kind."""

        x: int
        y: int = 0

    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert Point(1, 2) != Other(1, 2)
    assert hash(Point(1, 2, ())) == hash(Point(1, 2, ()))  # type: ignore[arg-type]
    assert repr(Point(1)) == "Point(x=1, y=0, tags={})"


def test_what_dataclasses_offer() -> None:
    point = Point(1, tags={"a": "b"})
    assert dataclasses.replace(point, y=5) == Point(1, 5, {"a": "b"})
    assert dataclasses.asdict(point) == {"x": 1, "y": 0, "tags": {"a": "b"}}
    assert copy.copy(point) == copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point
