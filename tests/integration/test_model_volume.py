"""A model that pods mount: an image of its own in a real registry, with its files at the image's root."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

from pipeline.registry import transfers
from pipeline.store import Store

PLACE = "/var/azureml-app/azureml-models/diabetes/2"
MODEL = "weights: {model: {name: diabetes, version: 2, path: model, mount: true}}"


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories", ignore_errors=True)
    made = Project(tmp_path, registry.address)
    made.write("project/model/part/weights.bin", "w" * 100_000)
    made.images("web: {base: slim, layers: [weights, code], command: [/srv/app/start], user: '1000', push: {to: prod}}")
    text = made.manifest.read_text().replace("layers:\n", f"layers:\n  {MODEL}\n", 1)
    made.manifest.write_text(f"{text}targets:\n  prod: {{kubernetes: {{image: web, port: 80}}}}\n")
    return made


def mounted(shop: Project) -> str:
    """The reference of what the rendered pods mount at the model's place."""
    code, text, err = shop("render", str(shop.manifest), "prod")
    assert code == 0, err
    (deployment,) = (one for one in yaml.safe_load_all(text) if one and one["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (name,) = (one["name"] for one in pod["containers"][0]["volumeMounts"] if one["mountPath"] == PLACE)
    (volume,) = (one for one in pod["volumes"] if one["name"] == name)
    return str(volume["image"]["reference"])


def test_a_model_goes_to_the_registry_and_comes_back(shop: Project, tmp_path: Path) -> None:
    code, said = shop.run("--no-deploy")
    assert code == 0, said
    where, _, digest = mounted(shop).partition("@")
    assert where == f"{shop.address}/ml/web"
    store = Store(tmp_path / "other")
    transfers.pull(store, shop.registries().repository(where), digest)
    layers = shop.document("web", digest)["layers"]
    found = [path for one in layers for path in _paths(store.blobs.path(one["digest"]))]
    assert found == ["model", "model/part", "model/part/weights.bin"]


def test_a_new_model_moves_no_image_and_the_same_one_nothing(shop: Project) -> None:
    assert shop.run("--no-deploy")[0] == 0
    before, image = mounted(shop), shop.remote("web", "latest")
    code, said = shop.run("--no-deploy")
    assert "nothing to do" in said
    shop.write("project/model/part/weights.bin", "v" * 100_000)
    code, said = shop.run("--no-deploy")
    assert code == 0, said
    assert "push   web+weights" in said
    assert "push   web             hit" in said
    assert mounted(shop) != before
    assert shop.remote("web", "latest") == image
    # A tag of its own keeps it where untagged images are cleared away.
    names = shop.registries().repository(f"{shop.address}/ml/web").tags()
    assert len([name for name in names if name.startswith("weights-")]) == 2


def test_with_a_check_that_fails_no_tag_moves(shop: Project) -> None:
    text = shop.manifest.read_text().replace("push: {to: prod}", "checks: {size: 1}, push: {to: prod}")
    shop.manifest.write_text(text)
    code, said = shop.run("--no-deploy")
    assert code == 3
    assert "push   web+weights" in said
    assert shop.remote("web", "latest") == ""


def _paths(blob: Path) -> list[str]:
    import tarfile

    with tarfile.open(blob) as tar:
        return tar.getnames()
