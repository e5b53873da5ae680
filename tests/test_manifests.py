"""Every manifest of the repository loads, and plans as far as it can without a network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.lock.model import path_of
from pipeline.manifest.load import load

ROOT = Path(__file__).parents[1]
MANIFESTS = sorted(path.name for path in (ROOT / "manifests").glob("*.yaml"))
# What manifests take from outside and have no default for.
ENVIRON = {"REGISTRY": "registry.example.com", "REGISTRY_USER": "someone", "REGISTRY_PASSWORD": "a password"}
# A base from a Dockerfile is known once it is built, and a conda channel may be out of reach: those have no lock here.
LOCKED = [name for name in MANIFESTS if path_of(ROOT / "manifests" / name).exists()]


def test_there_is_a_quickstart() -> None:
    assert "quickstart.yaml" in MANIFESTS


@pytest.mark.parametrize("name", MANIFESTS)
def test_it_loads(name: str) -> None:
    manifest = load(ROOT / "manifests" / name, environ={**os.environ, **ENVIRON})
    assert manifest.images
    assert manifest.root == ROOT


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_editor_finds_the_schema(name: str) -> None:
    first = (ROOT / "manifests" / name).read_text(encoding="utf-8").splitlines()[0]
    marker, _, schema = first.partition("$schema=")
    assert marker == "# yaml-language-server: "
    assert (ROOT / "manifests" / schema).resolve().is_file()


@pytest.mark.parametrize("name", LOCKED)
def test_it_plans_from_its_lock_alone(name: str) -> None:
    from pipeline.run import open_bench, prepare

    bench = open_bench(ROOT / "manifests" / name, {**os.environ, **ENVIRON}, {})
    plan = prepare(bench, frozen=True, write=False)
    assert {step.kind for step in plan.steps} >= {"base", "layer", "image", "tag"}
    assert not any(verdict.hit for verdict in plan.verdicts.values())
