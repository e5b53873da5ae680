"""`pipeline export acr-task`: what Azure's own models read in it, and what a shell makes of the commands."""

from __future__ import annotations

import io
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from azure.mgmt.containerregistry.v2019_06_01_preview import models

from pipeline.cli._door import run

MANIFEST = """\
version: 1
name: diabetes
registries:
  prod: {address: prod.azurecr.io/ml, azure: {}}
  other: {address: registry.example.com, username: puller, password: "${env:OTHER}"}
build: {remote: {timeout: 30m}}
bases:
  heavy:
    dockerfile:
      path: docker/Dockerfile
      args: {PYTHON_VERSION: "3.11", NAME: "[x] $y"}
      secrets: {NPM_TOKEN: "${env:NPM_TOKEN}"}
  slim: {image: "python:3.11-slim"}
images:
  a: {base: heavy, command: [/a], platforms: [linux/amd64, linux/arm64]}
  b: {base: slim, command: [/b]}
"""
DOCKERFILE = "FROM registry.example.com/base:1 AS get\nARG NPM_TOKEN\nFROM python:3.11\nCOPY --from=get /a /a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        ".git/config": '[remote "origin"]\n\turl = git@github.com:org/repo.git\n',
        "manifests/docker/Dockerfile": DOCKERFILE,
        "manifests/prod.yaml": MANIFEST,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def exported(folder: Path, *words: str, code: int = 0) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    environ = {**os.environ, "NPM_TOKEN": "npm-s3cret", "OTHER": "other-s3cret"}
    words = ("export", "acr-task", str(folder / "manifests/prod.yaml"), *words)
    assert run(list(words), environ=environ, out=out, err=err) == code, err.getvalue()
    assert "s3cret" not in out.getvalue() + err.getvalue()
    return out.getvalue(), err.getvalue()


def resources(folder: Path, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(exported(folder, *words)[0])["resources"]
    return found


def test_azures_own_model_reads_all_of_a_task(folder: Path) -> None:
    """What its model writes again is what was written: no key is unknown to it, and none has the wrong form."""
    for resource in resources(folder, "--schedule", "0 3 * * *", "--schedule", "0 15 * * mon"):
        read = models.Task.deserialize({name: resource[name] for name in ("location", "properties")})
        assert read.serialize() == {"location": resource["location"], "properties": resource["properties"]}
        assert isinstance(read.step, models.DockerBuildStep)
        assert read.trigger.base_image_trigger.base_image_trigger_type == "Runtime"
        assert [(one.name, one.schedule) for one in read.trigger.timer_triggers] == [
            ("timer", "0 3 * * *"),
            ("timer2", "0 15 * * 1"),
        ]


def test_a_task_builds_the_base_from_the_repository(folder: Path) -> None:
    amd, arm = resources(folder)
    assert (amd["name"], arm["name"]) == ("prod/diabetes-heavy-amd64", "prod/diabetes-heavy-arm64")
    step = amd["properties"]["step"]
    assert step["contextPath"] == "https://github.com/org/repo.git#main:manifests/docker"
    assert step["dockerFilePath"] == "Dockerfile"
    assert step["imageNames"][0] == "ml/bases/diabetes/heavy-amd64:{{.Run.ID}}"
    assert step["arguments"] == [
        {"name": "PYTHON_VERSION", "value": "3.11", "isSecret": False},
        {"name": "NAME", "value": "[[x] $y", "isSecret": False},
        {"name": "NPM_TOKEN", "value": "[parameters('npmToken')]", "isSecret": True},
    ]
    assert amd["properties"]["timeout"] == 1800
    assert "timerTriggers" not in amd["properties"]["trigger"]
    logins = amd["properties"]["credentials"]["customRegistries"]
    assert list(logins) == ["registry.example.com"]
    assert logins["registry.example.com"]["userName"] == {"type": "Opaque", "value": "puller"}


def test_every_parameter_that_is_used_is_declared(folder: Path) -> None:
    template = json.loads(exported(folder)[0])
    text = json.dumps(template["resources"])
    for name, parameter in template["parameters"].items():
        assert f"parameters('{name}')" in text
        assert parameter["type"] == ("string" if name == "location" else "securestring")


def test_the_commands_say_the_same(folder: Path, tmp_path: Path) -> None:
    """A shell runs them with an `az` that notes how it was called."""
    script, err = exported(folder, "--format", "az", "--schedule", "0 3 * * *", "--base-images", "all")
    assert "the base slim is no Dockerfile" in err
    az = tmp_path / "bin/az"
    az.parent.mkdir()
    az.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/asked\necho -- >> {tmp_path}/asked\n')
    az.chmod(0o755)
    environ = {"PATH": f"{az.parent}:/usr/bin:/bin", "NPM_TOKEN": "n", "REGISTRY_EXAMPLE_COM_PASSWORD": "p"}
    subprocess.run(["sh"], input=script, text=True, env=environ, check=True)
    calls = [call.split("\n") for call in (tmp_path / "asked").read_text().split("--\n") if call.strip()]
    create = (tmp_path / "asked").read_text()
    assert "NAME=[x] $y\n" in create
    assert "NPM_TOKEN=n\n" in create
    assert "ml/bases/diabetes/heavy-arm64:{{.Run.ID}}\n" in create
    assert "--schedule\n0 3 * * *\n" in create
    assert "All\n" in create
    assert "git-access-token" not in create
    assert len(calls) >= 4


def test_what_cannot_be_a_task_says_why(folder: Path) -> None:
    assert "is no hour of a schedule" in exported(folder, "--schedule", "0 99 * * *", code=2)[1]
    assert "unknown registry 'prd'" in exported(folder, "--registry", "prd", code=2)[1]
    (folder / "manifests/docker/Dockerfile").write_text("FROM python:3.11\nARG NPM_TOKEN\n")
    assert "the history of the image would show NPM_TOKEN" in exported(folder, code=2)[1]
    (folder / ".git/config").write_text('[remote "origin"]\n\turl = https://me:s3cret@example.com/a.git\n')
    assert "holds a name or a password" in exported(folder, code=2)[1]
    (folder / ".git/config").unlink()
    assert "give its address with --context" in exported(folder, code=2)[1]
    text = MANIFEST.replace("base: heavy", "base: slim")
    start, end = text.index("  heavy:"), text.index("  slim:")
    (folder / "manifests/prod.yaml").write_text(text[:start] + text[end:])
    words = ("--context", "https://example.com/a.git")
    assert "has no base of a Dockerfile" in exported(folder, *words, code=2)[1]
