"""The kind `model`: Azure ML's folders, big files apart, clear errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError, ResolveError
from pipeline.facts import Facts
from pipeline.layers import model as kind
from pipeline.manifest.model import LayerBudget
from pipeline.manifest.paths import inside
from pipeline.oci.budget import divided
from pipeline.recipe import Assemble
from pipeline.store.files import ProjectFiles

Project = Callable[[Mapping[str, str | bytes]], Path]
TOP = "var/azureml-app/azureml-models/diabetes/2"


def recipes(folder: Path, path: str) -> list[Assemble]:
    spec: dict[str, Any] = {"name": "diabetes", "version": 2, "path": path}
    files = ProjectFiles(folder, lambda relative: inside(folder, folder, relative), None, time.time_ns)
    made = divided(kind.recipes(spec, kind.request(spec, files), Facts()), LayerBudget())
    return [recipe for recipe in made if isinstance(recipe, Assemble)]


def paths(recipe: Assemble) -> list[str]:
    return [member["path"] for member in recipe.inputs["members"] if "dir" not in member]


def test_a_file_lies_where_azure_ml_puts_it(project: Project) -> None:
    (recipe,) = recipes(project({"m/model.pkl": "x"}), "m/model.pkl")
    assert paths(recipe) == [f"{TOP}/model.pkl"]
    assert recipe.compression == "none"
    assert kind.place({"name": "diabetes", "version": 2}) == f"/{TOP}"


def test_a_folder_keeps_its_name_unless_its_path_ends_with_a_slash(project: Project) -> None:
    folder = project({"m/diabetes/model.pkl": "x", "m/diabetes/sub/vocab": "y"})
    assert paths(recipes(folder, "m/diabetes")[0]) == [f"{TOP}/diabetes/model.pkl", f"{TOP}/diabetes/sub/vocab"]
    assert paths(recipes(folder, "m/diabetes/")[0]) == [f"{TOP}/model.pkl", f"{TOP}/sub/vocab"]


def test_a_folder_reached_by_a_link_keeps_the_name_that_was_written(project: Project) -> None:
    folder = project({"m/v3/model.pkl": "x"})
    (folder / "m/current").symlink_to("v3")
    assert paths(recipes(folder, "m/current")[0]) == [f"{TOP}/current/model.pkl"]


def test_every_folder_above_the_files_is_in_the_layer(project: Project) -> None:
    (recipe,) = recipes(project({"m/a": "x"}), "m/")
    folders = [member["path"] for member in recipe.inputs["members"] if "dir" in member]
    assert folders == ["var/azureml-app", "var/azureml-app/azureml-models", TOP.rpartition("/")[0], TOP]


def test_big_files_have_layers_of_their_own_that_need_no_other(project: Project) -> None:
    folder = project({"m/config.json": "{}", "m/deep/x": ""})
    for name in ("a.safetensors", "b.safetensors"):
        with (folder / "m/deep" / name).open("wb") as file:
            file.truncate(kind.BIG)
    first, second, small = recipes(folder, "m/")
    assert paths(small) == [f"{TOP}/config.json", f"{TOP}/deep/x"]
    assert (paths(first), first.piece) == ([f"{TOP}/deep/a.safetensors"], "deep/a.safetensors")
    assert (first.summary, first.compression) == ("model diabetes:2, deep/a.safetensors", "none")
    assert f"{TOP}/deep" in [member["path"] for member in second.inputs["members"]]
    (folder / "m/deep/x").unlink()
    (folder / "m/config.json").unlink()
    assert [recipe.piece for recipe in recipes(folder, "m/")] == ["deep/a.safetensors", "deep/b.safetensors"]


def test_one_of_many_shards_that_changes_moves_only_its_own_layer(project: Project) -> None:
    folder = project({"m/config.json": "{}"})
    shards = [folder / f"m/shard-{number:02}" for number in range(20)]
    for shard in shards:
        with shard.open("wb") as file:
            file.truncate(kind.BIG)
    before = {recipe.piece: recipe.inputs for recipe in recipes(folder, "m/")}
    assert all(f"shard-{number:02}" in before for number in range(20))
    assert len(before) <= LayerBudget().parts
    with shards[3].open("r+b") as file:
        file.write(b"new")
    after = {recipe.piece: recipe.inputs for recipe in recipes(folder, "m/")}
    changed = [piece for piece in after if after[piece] != before[piece]]
    assert changed == ["shard-03"]


@pytest.mark.parametrize(("path", "message"), [("m/none", "not there"), ("m/empty", "empty"), ("../x", "leaves")])
def test_a_model_that_is_not_there_is_one_clear_error(project: Project, path: str, message: str) -> None:
    folder = project({"m/empty/.git/x": "x"})
    with pytest.raises(PipelineError, match=message):
        recipes(folder, path)


def test_the_error_names_model_and_path(project: Project) -> None:
    with pytest.raises(ResolveError, match=r"the model diabetes is not there: no file or folder 'm/gone'"):
        recipes(project({}), "m/gone")
