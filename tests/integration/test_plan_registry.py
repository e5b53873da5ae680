"""Plans with a real registry: bytes to upload, a registry out of reach, and tags that moved since a plan was saved."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = "web: {base: slim, layers: [code], command: [/srv/app/start], tags: [v1], push: {to: prod}}"


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories", ignore_errors=True)
    return Project(tmp_path, registry.address)


def _plan(shop: Project) -> dict[str, Any]:
    code, out, err = shop("plan", str(shop.manifest), "--output", "json")
    assert code == 0, err
    return {**json.loads(out), **{step["step"]: step for step in json.loads(out)["steps"]}}


def test_what_the_registry_has_is_not_uploaded_again(shop: Project) -> None:
    shop.images(WEB, more=", compression: zstd")
    before = _plan(shop)["upload"]
    assert before["bytes"] > 0 and not before["exact"], "nothing is made yet: an estimate"
    shop("build", str(shop.manifest))
    built = _plan(shop)["upload"]
    assert built["bytes"] > 0 and built["exact"], "all layers are known"
    assert shop.run()[0] == 0
    assert _plan(shop)["upload"] == {"bytes": 0, "exact": True}
    shop.write("project/src/start", "#!/bin/bash\n")
    (code,) = (step for step in _plan(shop)["steps"] if step["step"] == "layer code")
    assert code["changes"][0]["text"] == "src/start changed"
    changed = _plan(shop)["upload"]
    assert 0 < changed["bytes"] < built["bytes"], "the base is there"
    assert not changed["exact"], "the new layer is as large as the last one, about"


def test_what_another_repository_of_the_registry_has_is_mounted_and_not_uploaded(
    shop: Project, registry: RealRegistry
) -> None:
    shop.images(WEB)
    assert shop.run()[0] == 0
    shop.images(WEB.replace("{to: prod}", "{to: prod, repository: second}"))
    planned = _plan(shop)
    assert planned["push web"]["upload"] == {"bytes": 0, "exact": True}
    assert planned["tag web"]["why"] == planned["push web"]["why"]
    assert planned["tag web"]["why"].endswith("/ml/web → " + f"{shop.address}/ml/second")
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories")
    assert _plan(shop)["push web"]["upload"]["bytes"] > 0


def test_a_registry_out_of_reach_is_told_and_no_error(shop: Project, registry: RealRegistry) -> None:
    shop.images(WEB)
    shop("build", str(shop.manifest))
    shop.write("project/pipeline.yaml", shop.manifest.read_text().replace(registry.address, "127.0.0.1:1"))
    code, out, _ = shop("plan", str(shop.manifest))
    assert code == 0
    assert "uploads are not known: " in out and "127.0.0.1:1 does not answer" in out


def test_a_lost_image_of_the_registry_is_no_hit(shop: Project, registry: RealRegistry) -> None:
    shop.images(WEB)
    assert shop.run()[0] == 0
    shutil.rmtree(registry.folder / "docker/registry/v2/repositories")
    found = _plan(shop)
    misses = {step["step"] for step in found["steps"] if not step["hit"]}
    assert misses == {"push web", "tag web"}
    assert shop.report()["made"] == len(misses)
    assert _plan(shop)["to_make"] == 0


def test_a_saved_plan_is_refused_when_somebody_moved_its_tag(shop: Project) -> None:
    shop.images(WEB)
    assert shop.run()[0] == 0
    shop.write("project/src/start", "#!/bin/bash\n")
    saved = str(shop.folder / "plan.json")
    assert shop("plan", str(shop.manifest), "--save", saved)[0] == 0
    repository = shop.registries().repository(f"{shop.address}/ml/web")
    first = repository.manifest("v1")
    other = json.dumps({**first.value, "annotations": {"by": "somebody"}}).encode()
    from pipeline.registry.documents import document

    repository.for_push().put_manifest(document(other, "test", first.descriptor.media_type), "v1")
    code, _, err = shop("run", "--plan", saved)
    assert code == 3
    assert "ml/web:v1 was" in err
    assert shop("plan", str(shop.manifest), "--save", saved)[0] == 0
    assert shop("run", "--plan", saved)[0] == 0
    assert PASSWORD not in Path(saved).read_text()
