"""How entries are divided into layers: what a change of one piece moves, and which limits hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AssembleError
from pipeline.manifest.model import LayerBudget
from pipeline.oci.budget import check, divided, foreseen, parts
from pipeline.recipe import Assemble, Borrow, Piece, Recipe

MB = 1 << 20
BUDGET = LayerBudget()
SIZES = st.dictionaries(
    st.text("abcdefghij-", min_size=1, max_size=6), st.integers(0, 20 * MB) | st.integers(0, MB // 4), max_size=60
)


def groups(sizes: Mapping[str, int], budget: LayerBudget = BUDGET) -> set[tuple[str, ...]]:
    return {part.pieces for part in parts(sizes, budget)}


def pieces(sizes: Mapping[str, int]) -> tuple[Piece, ...]:
    return tuple(Piece(name, size, {"wheels": [name]}) for name, size in sorted(sizes.items()))


def recipe(sizes: Mapping[str, int], part: str = "wheels") -> Assemble:
    every = [name for piece in pieces(sizes) for name in piece.inputs["wheels"]]
    return Assemble("wheel", {"wheels": every, "python": "3.11"}, part=part, pieces=pieces(sizes), summary="pip, n")


def made(*recipes: Recipe, budget: LayerBudget = BUDGET) -> list[Assemble]:
    return [each for each in divided(recipes, budget) if isinstance(each, Assemble)]


@given(SIZES)
def test_every_piece_is_in_one_part_and_parts_are_no_more_than_allowed(sizes: dict[str, int]) -> None:
    found = parts(sizes, BUDGET)
    assert sorted(name for part in found for name in part.pieces) == sorted(sizes)
    assert len({part.name for part in found}) == len(found) <= BUDGET.parts
    assert all(part.pieces for part in found)


def test_few_small_packages_share_one_layer() -> None:
    assert [part.name for part in parts({"idna": 70_000, "certifi": 160_000, "six": 11_000}, BUDGET)] == ["small"]


def test_big_packages_are_alone_and_below_the_small_ones() -> None:
    found = parts({"numpy": 18 * MB, "scipy": 35 * MB, "six": 11_000, "idna": 70_000}, BUDGET)
    assert [part.name for part in found] == ["numpy", "scipy", "small"]
    assert found[2].pieces == ("idna", "six")


def test_one_package_more_or_less_touches_its_own_group_alone() -> None:
    sizes = {f"package-{number}": 150_000 + 5_000 * number for number in range(60)}
    before = groups(sizes)
    assert len(before) > 5
    for name in sizes:
        rest = {other: size for other, size in sizes.items() if other != name}
        new = groups(rest) - before
        assert len(new) <= 1
        assert sum(sizes[piece] for group in new for piece in group) <= BUDGET.group
        gone = {piece for group in before - groups(rest) for piece in group}
        assert gone == {name, *(piece for group in new for piece in group)}


def test_a_new_version_of_about_the_same_size_moves_no_other_package_to_another_group() -> None:
    sizes = {f"package-{number}": 300_000 for number in range(60)}
    assert groups({**sizes, "package-7": 301_000}) == groups(sizes)


def test_a_small_package_beside_a_large_one_is_not_cut_off_in_vain() -> None:
    sizes = {"a": 2 * MB - 1, "b": 50_000, "c": 60_000}
    assert len(groups(sizes)) == 1


def test_where_many_are_big_the_largest_are_alone_and_the_others_share() -> None:
    sizes = {f"shard-{number:03}": 512 * MB + number for number in range(200)}
    found = parts(sizes, BUDGET)
    assert [part.pieces for part in found[:20]] == [(f"shard-{number:03}",) for number in range(180, 200)]
    totals = [sum(sizes[name] for name in part.pieces) for part in found]
    assert max(totals) <= BUDGET.size
    assert len(found) < 60


def test_all_is_one_layer_where_the_manifest_wants_that() -> None:
    sizes = {"numpy": 18 * MB, "scipy": 35 * MB, "six": 11_000}
    assert groups(sizes, replace(BUDGET, parts=1)) == {("numpy", "scipy", "six")}


def test_a_part_names_its_own_packages_alone() -> None:
    sizes = {"numpy": 18 * MB, "six": 11_000, "idna": 70_000}
    numpy, small, *_ = made(recipe(sizes), recipe(sizes, "bytecode"))
    assert (numpy.inputs, numpy.piece, numpy.summary) == (
        {"wheels": ["numpy"], "python": "3.11"},
        "numpy",
        "pip, numpy",
    )
    assert (small.inputs["wheels"], small.piece, small.summary) == (["idna", "six"], "small", "pip, 2 packages")


def test_a_part_is_the_same_whatever_else_the_entry_has() -> None:
    sizes = {"numpy": 18 * MB, "six": 11_000, "idna": 70_000}
    more = {**sizes, "scipy": 35 * MB}
    before, after = made(recipe(sizes)), made(recipe(more))
    assert [each.inputs for each in after if each.piece != "scipy"] == [each.inputs for each in before]


def test_parts_of_a_later_recipe_are_called_by_its_part() -> None:
    sizes = {"numpy": 18 * MB, "six": 11_000}
    found = made(recipe(sizes), recipe(sizes, "bytecode"))
    assert [each.piece for each in found] == ["numpy", "small", "bytecode-numpy", "bytecode-small"]


def test_what_is_not_to_be_divided_stays_as_it_is() -> None:
    whole = Assemble("deb", {"packages": ["a"]})
    assert made(whole, recipe({"six": 11_000}))[0] is whole
    assert made(recipe({"six": 11_000}))[0] == replace(recipe({"six": 11_000}), pieces=())


def test_no_package_can_take_the_name_of_a_group() -> None:
    names = [part.name for part in parts({"small": 18 * MB, "small-1": 19 * MB, "a": 1}, BUDGET)]
    assert names == ["package-small", "package-small-1", "small"]


def test_a_piece_that_no_registry_would_take_is_refused_with_the_setting() -> None:
    with pytest.raises(AssembleError, match=r"weights\.bin has 9\.0 GB, and a layer may have 8\.0 GB") as caught:
        made(recipe({"weights.bin": 9_000_000_000}))
    assert "build.layers.size" in caught.value.remedy


def test_an_image_of_too_many_layers_is_refused_and_told_where_they_are_from() -> None:
    sizes = {**{f"science/{number}": [1] for number in range(50)}, "weights": [1], "code": [1]}
    check("scoring", sizes, 68, BUDGET)
    with pytest.raises(AssembleError, match=r"scoring would have 121 layers, and may have 120; .* science \(50\)"):
        check("scoring", sizes, 69, BUDGET)


def test_layers_are_counted_before_they_are_made_and_bytecode_only_after() -> None:
    recipes = [("slim", Borrow(({"digest": "a"}, {"digest": "b"}))), ("science", recipe({"numpy": 1}))]
    recipes += [("science", Assemble("bytecode", {})), ("weights", Assemble("tree", {}, mount="/models"))]
    assert foreseen(recipes) == ({"science": 1}, 2)


def test_a_layer_that_turned_out_too_large_is_refused() -> None:
    with pytest.raises(AssembleError, match=r"the layer tools has 9\.0 GB"):
        check("scoring", {"tools": [9_000_000_000]}, 0, BUDGET)
