from __future__ import annotations

from collections.abc import Mapping

import pytest

from pipeline.serve.model import Entry, Tracked
from pipeline.serve.uses import Snapshot, entry, follow, is_manifest, places

HEAD = "version: 1\nname: diabetes\n"


def of(
    text: str,
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    path: str = "manifests/prod.yaml",
) -> Entry:
    held = {path: text, **(files or {})}
    return entry(Tracked("models", path), "b10b", "c0ffee", Snapshot(links or {}, held.get), environ or {})


def uses(text: str, *args: Mapping[str, str], **named: Mapping[str, str]) -> set[str]:
    return {*of(HEAD + text, *args, **named).uses} - {"manifests/prod.lock"}


def test_the_lock_beside_it_is_used() -> None:
    assert of(HEAD + "images: {}\n").uses == ("manifests/prod.lock",)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("layers: {code: {files: [{from: ../src/, to: /app/}]}}", {"src"}),
        ("layers: {code: {files: [{from: '../src/*.py', to: /app/}]}}", {"src"}),
        ("layers: {weights: {model: {name: m, path: ../models/m}}}", {"models/m"}),
        ("registries: {prod: {address: r, ca: ca.pem}}", {"manifests/ca.pem"}),
        ("registries: {prod: {address: r, username: '${file:../user.txt}'}}", {"user.txt"}),
        ("bases: {b: {layout: ../bases/slim}}", {"bases/slim"}),
        ("layers: {p: {pip: {packages: [a], find_links: [../wheels, 'https://example.com/x']}}}", {"wheels"}),
        ("layers: {code: {files: [{from: /etc/passwd, to: /x}]}}", set()),
        ("layers: {code: {files: [{from: ../../other, to: /x}]}}", set()),
    ],
)
def test_paths_of_settings_are_used(text: str, wanted: set[str]) -> None:
    assert uses(text) == wanted


def test_requirements_that_requirements_include_are_used() -> None:
    files = {"manifests/requirements.txt": "-r more/a.txt\nnumpy\n", "manifests/more/a.txt": "-c ../pins.txt\nscipy\n"}
    found = uses("layers: {p: {pip: {requirements: requirements.txt}}}", files)
    assert found == {"manifests/requirements.txt", "manifests/more/a.txt", "manifests/pins.txt"}


def test_requirements_that_a_conda_environment_includes_are_used() -> None:
    files = {"manifests/environment.yml": "dependencies: [python=3.11, pip, {pip: ['-r requirements.txt']}]\n"}
    found = uses("layers: {env: {conda: {file: environment.yml}}}", files)
    assert found == {"manifests/environment.yml", "manifests/requirements.txt"}


def test_a_dockerfile_that_copies_uses_its_context() -> None:
    text = "bases: {b: {dockerfile: {path: ../docker/Dockerfile}}}"
    assert uses(text, {"docker/Dockerfile": "FROM a\nCOPY x /x\n"}) == {"docker"}
    assert uses(text, {"docker/Dockerfile": "FROM a\nRUN b\n"}) == {"docker/Dockerfile"}


def test_what_a_variable_names_is_used_as_far_as_it_is_known() -> None:
    text = "layers: {weights: {model: {name: m, path: '../models/${env:WHICH}/m'}}}"
    assert uses(text, environ={"WHICH": "big"}) == {"models/big/m"}
    assert uses(text) == {"models"}
    assert uses("layers: {weights: {model: {name: m, path: '../models/${env:WHICH:-small}'}}}") == {"models/small"}


def test_a_value_that_is_not_known_hides_nothing_else() -> None:
    text = "layers: {p: {pip: {packages: ['a==${env:VERSION}'], requirements: requirements.txt}}}"
    found = uses(text, {"manifests/requirements.txt": "-r more.txt\n"})
    assert found == {"manifests/requirements.txt", "manifests/more.txt"}


def test_links_are_used_and_what_they_lead_to() -> None:
    text = "layers: {code: {files: [{from: ../src/app, to: /app}]}}"
    assert uses(text, links={"src": "shared/src"}) == {"src", "shared/src/app"}
    assert follow("a/x", {"a": "b", "b": "a"})[0].endswith("/x")
    assert follow("a/x", {"a": "../outside"}) == ("a/x", ["a"])


def test_a_manifest_that_is_a_link_is_read_where_it_leads() -> None:
    files = {"manifests/prod.yaml": "x", "common/base.yaml": HEAD + "images: {}"}
    found = entry(
        Tracked("models", "manifests/prod.yaml"),
        "b10b",
        "c",
        Snapshot({"manifests/prod.yaml": "../common/base.yaml"}, files.get),
        {},
    )
    assert (found.name, found.error) == ("diabetes", "")
    assert "common/base.yaml" in found.uses


def test_a_manifest_that_cannot_be_read_says_why_and_where() -> None:
    found = of("version: 1\n  name: x\nimages: {}\n")
    assert found.error.startswith("manifests/prod.yaml:2:")
    assert found.name == ""


def test_a_schedule_is_told_where_it_is_right() -> None:
    found = of(HEAD + "schedule: '0 3 * * 1'\nimages: {}\n").schedule
    assert found is not None and found["cron"] == "0 3 * * 1"
    assert of(HEAD + "schedule: 'never'\nimages: {}\n").schedule is None


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        ("manifests/a.yaml", HEAD, True),
        ("manifests/a.yml", "images: {a: {base: b}}", True),
        ("manifests/a.yaml", "version: 1\n\tbroken", True),
        ("manifests/environment.yml", "name: x\ndependencies: [a]\n", False),
        ("manifests/kustomization.yaml", "apiVersion: v1\nimages: []\n", False),
        ("manifests/compose.yaml", "version: '3'\nservices: {}\n", False),
        ("manifests/broken.yaml", "a: [", False),
        ("manifests/list.yaml", "- a\n", False),
        ("manifests/README.md", HEAD, False),
    ],
)
def test_a_manifest_is_told_from_other_files(path: str, text: str, wanted: bool) -> None:
    assert is_manifest(path, text) is wanted


def test_a_path_that_is_the_whole_repository() -> None:
    assert places("manifests/a.yaml", "..", {}) == ["."]
    assert places("a.yaml", "*.py", {}) == ["."]
