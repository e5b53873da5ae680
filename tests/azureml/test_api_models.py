"""Models of a local workspace: registered by content, numbered once, never changed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.azureml._blobs import Blobs
from pipeline.azureml._folder import WorkspaceFolder
from pipeline.azureml._models import Labels, Models
from pipeline.azureml.exceptions import (
    ModelNotFoundException,
    UserErrorException,
    WebserviceException,
)
from pipeline.azureml.model import Model
from pipeline.azureml.workspace import Workspace
from pipeline.errors import StoreError

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    return Workspace.create("myworkspace")


def model(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def blobs(ws: Workspace) -> list[Path]:
    return [path for path in (ws.contents.path / "blobs").rglob("*") if path.is_file()]


def test_row_56_a_model_is_registered_and_found_by_its_id(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("one")
    made = Model.register(ws, "model.pkl", "mymodel", tags={"area": "diabetes"}, description="a model")
    assert (made.id, made.name, made.version) == ("mymodel:1", "mymodel", 1)
    for found in (
        Model(ws, id="mymodel:1"),
        Model(ws, "mymodel"),
        Model(ws, "mymodel", version=1),
        ws.models["mymodel"],
    ):
        assert (found.id, found.tags, found.description) == ("mymodel:1", {"area": "diabetes"}, "a model")
    copy = Path(found.download(str(tmp_path / "copy")))
    assert (copy.name, copy.read_text()) == ("model.pkl", "one")


def test_row_56_versions_do_not_change_once_made(ws: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "model.pkl"
    source.write_text("one")
    first = Model.register(ws, str(source), "mymodel")
    source.write_text("two")
    second = Model.register(ws, str(source), "mymodel")
    assert (first.version, second.version) == (1, 2)
    assert Path(Model(ws, id="mymodel:1").download(tmp_path / "a")).read_text() == "one"
    assert Path(Model(ws, "mymodel").download(tmp_path / "b")).read_text() == "two"
    assert Model.register(ws, str(source), "mymodel").version == 3, "equal content is a new version, as in the SDK"


def test_a_version_that_somebody_changed_is_not_used(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("one")
    made = Model.register(ws, "model.pkl", "mymodel")
    inside = Path(Model.get_model_path("mymodel", 1, _workspace=ws))
    inside.chmod(0o644)
    inside.write_text("two")
    with pytest.raises(StoreError, match=r"mymodel:1 was changed after it was registered: model\.pkl"):
        made.download(tmp_path / "copy")


def test_two_versions_share_the_bytes_of_what_is_equal(ws: Workspace, tmp_path: Path) -> None:
    folder = model(tmp_path / "net", weights__a="A" * 1000, weights__b="B" * 1000, config="1")
    Model.register(ws, str(folder), "net")
    assert len(blobs(ws)) == 3
    (folder / "config").write_text("2")
    Model.register(ws, str(folder), "net")
    assert len(blobs(ws)) == 4
    assert {path.stat().st_nlink for path in blobs(ws)} == {2, 3}
    assert sorted(file["path"] for file in Model(ws, "net").serialize()["files"]) == [
        "net/config",
        "net/weights/a",
        "net/weights/b",
    ]


def test_deleting_a_version_frees_its_bytes_and_not_its_number(ws: Workspace, tmp_path: Path) -> None:
    folder = model(tmp_path / "net", same="same", other="1")
    Model.register(ws, str(folder), "net")
    (folder / "other").write_text("2")
    Model.register(ws, str(folder), "net").delete()
    assert len(blobs(ws)) == 2
    with pytest.raises(ModelNotFoundException, match=r"no model net:2.*there are: net:1"):
        Model(ws, id="net:2")
    assert Model(ws, "net").version == 1
    assert Model.register(ws, str(folder), "net").version == 3


def _register(folder: Path, times: int) -> None:
    os.chdir(folder)
    for _ in range(times):
        Model.register(Workspace.get("myworkspace"), "model.pkl", "mymodel")


def test_parallel_registrations_each_get_a_number_of_their_own(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("one")
    workers = [FORK.Process(target=_register, args=(tmp_path, 5)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sorted(one.version for one in Model.list(ws, "mymodel")) == list(range(1, 21))
    assert len(blobs(ws)) == 1


class Deadly(Blobs):
    """Kills the process once it has taken a file."""

    def take(self, source: Path, place: Path) -> str:
        digest = super().take(source, place)
        os.kill(os.getpid(), signal.SIGKILL)
        return digest


def _killed_in_the_middle(folder: Path) -> None:
    contents = WorkspaceFolder(folder / ".pipeline/azureml/myworkspace")
    models = Models(contents.path / "models", Deadly(contents.path / "blobs", contents.scratch), contents.scratch)
    models.register("net", folder / "net", Labels())


def test_a_registration_that_was_killed_leaves_no_version(ws: Workspace, tmp_path: Path) -> None:
    model(tmp_path / "net", a="a", b="b")
    worker = FORK.Process(target=_killed_in_the_middle, args=(tmp_path,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    assert Model.list(ws) == []
    assert Model.register(ws, "net", "net").version == 1
    assert Path(Model(ws, "net").download(tmp_path / "copy"), "b").read_text() == "b"
    Workspace.get("myworkspace").contents.scratch.path("sweeps")
    assert len(list((ws.contents.path / "tmp").iterdir())) <= 2, "what was left half made is swept away"


@pytest.mark.parametrize("name", ["", "-first", "two words", "a/b", "x" * 256, "ümlaut"])
def test_names_that_the_sdk_refuses_are_refused(ws: Workspace, tmp_path: Path, name: str) -> None:
    (tmp_path / "model.pkl").write_text("one")
    with pytest.raises(WebserviceException, match="is no name for a model"):
        Model.register(ws, "model.pkl", name)


def test_paths_that_are_no_model_are_refused(ws: Workspace, tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match=r"'nowhere\.pkl' is not there"):
        Model.register(ws, "nowhere.pkl", "mymodel")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserErrorException, match="'empty' holds no file"):
        Model.register(ws, "empty", "mymodel")
    os.mkfifo(tmp_path / "empty/pipe")
    with pytest.raises(UserErrorException, match="neither a file nor a folder"):
        Model.register(ws, "empty", "mymodel")
    with pytest.raises(UserErrorException, match="download it"):
        Model.register(ws, "https://example.com/model.pkl", "mymodel")
    assert Model.list(ws) == []


@pytest.mark.parametrize("wrong", ["mymodel:", "mymodel:0", "mymodel:x", "mymodel:1:2"])
def test_a_wrong_id_says_how_one_is_written(ws: Workspace, wrong: str) -> None:
    with pytest.raises(WebserviceException, match="NAME:VERSION"):
        Model(ws, id=wrong)


def test_only_the_children_that_were_named(ws: Workspace, tmp_path: Path) -> None:
    model(tmp_path / "net", a="a", sub__b="b", sub__c="c")
    made = Model.register(ws, "net", "net", child_paths=["sub"])
    assert [file["path"] for file in made.serialize()["files"]] == ["net/sub/b", "net/sub/c"]
    with pytest.raises(WebserviceException, match="has no 'none'"):
        Model.register(ws, "net", "net", child_paths=["none"])


def test_models_are_listed_by_name_tags_and_newest(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("1")
    Model.register(ws, "m", "one", tags={"a": "1"})
    Model.register(ws, "m", "one", tags={"a": "2", "b": ""})
    Model.register(ws, "m", "two", properties={"a": "1"})

    def ids(models: Sequence[Model]) -> list[str]:
        return [each.id for each in models]

    assert ids(Model.list(ws)) == ["two:1", "one:2", "one:1"]
    assert ids(Model.list(ws, latest=True)) == ["two:1", "one:2"]
    assert ids(Model.list(ws, "one", tags=["b"])) == ["one:2"]
    assert ids(Model.list(ws, tags=[["a", "1"]])) == ["one:1"]
    assert Model(ws, "one", tags=[["a", "1"]]).version == 1
    with pytest.raises(UserErrorException, match="by a list, not str"):
        Model.list(ws, tags="a")


def test_labels_may_change(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("1")
    made = Model.register(ws, "m", "one", tags={"a": "1"}, properties={"p": "1"})
    made.add_tags({"b": "2"})
    made.remove_tags(["a"])
    made.add_properties({"p": "2", "q": "3"})
    made.update(description="new")
    found = Model(ws, "one")
    assert (found.tags, found.properties, found.description) == ({"b": "2"}, {"p": "1", "q": "3"}, "new")


def test_a_model_path_is_found_as_in_an_image(ws: Workspace, tmp_path: Path) -> None:
    model(tmp_path / "azureml-models", mymodel__1__model="1", mymodel__10__model="10")
    assert Model.get_model_path("mymodel") == "azureml-models/mymodel/10/model"
    assert Model.get_model_path("mymodel", 1) == "azureml-models/mymodel/1/model"
    (tmp_path / "m").write_text("m")
    Model.register(ws, "m", "other")
    assert Path(Model.get_model_path("other")).read_text() == "m"
    assert Model.get_model_path("m") == "m"


def test_an_existing_download_is_replaced_only_when_asked(ws: Workspace, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("1")
    made = Model.register(ws, "m", "one")
    made.download("out")
    with pytest.raises(WebserviceException, match="is there already"):
        made.download("out")
    Path("out/m").write_text("changed")
    assert Path(made.download("out", exist_ok=True)).read_text() == "1"
