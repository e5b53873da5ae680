"""push, pull, copy, tag and login against a real registry, as a user types them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = "web: {base: slim, layers: [code], command: [/srv/app/start], tags: [v1]}"


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.fixture(scope="module")
def other() -> Iterator[RealRegistry]:
    with running() as found:
        yield found


@pytest.fixture
def shop(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with one image built, and nobody signed in."""
    monkeypatch.syspath_prepend(str(PLUGIN))
    project = Project(tmp_path, registry.address)
    project.environ["DOCKER_CONFIG"] = str(tmp_path / "docker")
    project.images(WEB)
    assert project.run()[0] == 0
    return project


def login(shop: Project, monkeypatch: pytest.MonkeyPatch, password: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(password + "\n"))
    return shop("login", shop.address, "-u", USER, "--password-stdin")


def test_login_keeps_only_what_the_registry_takes(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = shop.folder / "docker" / "config.json"
    code, out, err = login(shop, monkeypatch, "wr0ng-word")
    assert code == 4 and "refuses the name or the password of user 'bob'" in err
    assert "wr0ng-word" not in out + err and not kept.exists()
    code, out, err = login(shop, monkeypatch, PASSWORD)
    assert (code, err) == (0, "") and str(kept) in out and PASSWORD not in out
    assert shop.address in json.loads(kept.read_text())["auths"]


def test_what_is_pushed_is_pulled_elsewhere(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{shop.address}/ml/pushed"
    code, _, err = shop("push", "web", f"{name}:v1")
    assert code == 4 and f"pipeline login {shop.address}" in err
    login(shop, monkeypatch, PASSWORD)
    code, out, err = shop("push", "web", f"{name}:v1", "--output", "json")
    assert code == 0, err
    pushed = json.loads(out)
    assert pushed["tags"] == ["v1"] and pushed["blobs"]["copied"] == 3
    shop.environ["PIPELINE_HOME"] = str(shop.folder / "elsewhere")
    code, out, err = shop("pull", f"{name}:v1", "--output", "json")
    assert code == 0, err
    assert json.loads(out)["digest"] == pushed["digest"] == shop.remote("pushed", "v1")
    assert "/srv/app/start" in shop("image", "files", f"{name}:v1")[1]


def test_a_copy_between_registries_is_the_same_image(
    shop: Project, other: RealRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(shop, monkeypatch, PASSWORD)
    shop("push", "web", f"{shop.address}/ml/copied:v7")
    code, _, err = shop("copy", f"{shop.address}/ml/copied:v7", f"{other.address}/mirror/copied")
    assert code == 0, err
    code, out, _ = shop("pull", f"{other.address}/mirror/copied:v7", "--output", "json")
    assert code == 0 and json.loads(out)["digest"] == shop.remote("copied", "v7")


def test_tags_move_here_or_there(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    login(shop, monkeypatch, PASSWORD)
    shop("push", "web", f"{shop.address}/ml/tagged:v1")
    assert shop("tag", f"{shop.address}/ml/tagged:v1", "stable")[0] == 0
    assert shop.remote("tagged", "stable") == shop.remote("tagged", "v1") != ""
    assert shop("tag", "web:v1", "stable")[0] == 0
    assert '"stable"' in shop("image", "ls", "--output", "json")[1]
    code, _, err = shop("tag", f"{shop.address}/ml/tagged:v1", f"{shop.address}/ml/two:v1")
    assert code == 2 and "pipeline copy" in err


def test_what_is_not_there_is_named(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    login(shop, monkeypatch, PASSWORD)
    shop("push", "web", f"{shop.address}/ml/named:v1")
    code, _, err = shop("pull", f"{shop.address}/ml/named:v2")
    assert code == 3 and f"{shop.address}/ml/named:v2" in err
    code, _, err = shop("pull", f"{shop.address}/ml/named:v1", "--platform", "linux/s390x")
    assert code == 3 and "and not for linux/s390x" in err
    code, _, err = shop("push", "web", f"{shop.address}/ml/named@sha256:{'0' * 64}")
    assert code == 2 and "names a digest" in err
