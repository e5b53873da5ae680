"""What is exported, judged by the libraries that read it: azure-ai-ml and azureml-core."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from judging import Judge

from pipeline.azureml.exporting import Subject, chosen
from pipeline.azureml.exporting_v1 import exported_v1
from pipeline.azureml.exporting_v2 import exported_v2
from pipeline.errors import Location, UsageError
from pipeline.manifest.load import load
from pipeline.manifest.model import Entry

Project = Callable[[Mapping[str, str | bytes]], Path]
BUILT = "registry.example.com/ml/scoring@sha256:" + "ab" * 32
WHOLE = """\
version: 1
name: diabetes
registries: {prod: {address: registry.example.com/ml, username: bob, password: "${env:PASSWORD}"}}
bases: {slim: {debian: {suite: bookworm, packages: [python3]}}}
layers:
  weights: {model: {name: diabetes, version: 3, path: models/a.json}}
  code: {files: [{from: src/, to: /var/azureml-app/}]}
images:
  scoring:
    base: slim
    layers: [weights, code]
    serve: {entry_script: score.py, port: 5009}
    push: {to: prod}
targets:
  here:
    local:
      {image: scoring, port: 8890, workers: 2, env: {LEVEL: debug, KEY: "${env:API_TOKEN}"}, health: {path: /live}}
"""
PARTS = """\
version: 1
name: diabetes
registries: {prod: {address: registry.example.com/ml, username: bob, password: "${env:PASSWORD}"}}
bases: {own: {image: {reference: "base/python:1", registry: prod}}}
layers:
  env: {conda: {channels: [main], dependencies: [python=3.11, {pip: [azureml-defaults]}], prefix: /azureml-envs/e}}
  more: {pip: {packages: [numpy]}}
  code: {files: [{from: src/score.py, to: /var/azureml-app/score.py}]}
images:
  scoring: {base: own, layers: [env, more, code], serve: {entry_script: score.py}, env: {A: b}}
"""
FILES = {"src/score.py": "def init(): ...\ndef run(data): return data\n", "models/a.json": "{}"}
ENVIRON = {"PASSWORD": "pa55word", "API_TOKEN": "t0ken-secret"}


def subject(project: Project, text: str, reference: str = BUILT) -> Subject:
    folder = project({**FILES, "pipeline.yaml": text})
    manifest = load(folder / "pipeline.yaml", environ=ENVIRON, sets={})
    image, target = chosen(manifest)
    return Subject(manifest, image, reference, target)


def read(found: Subject) -> Callable[[str], str]:
    return lambda path: (found.manifest.path.parent / path).read_text()


def written(found: Subject, files: Mapping[str, str]) -> Path:
    folder = found.manifest.path.parent / "azureml"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_the_current_api_takes_the_image_that_was_built(judge: Judge, project: Project) -> None:
    found = subject(project, WHOLE)
    made = exported_v2(found, read(found), found.manifest.path.parent / "azureml")
    folder = written(found, made.files)
    environment = judge("v2", kind="environment", path=str(folder / "environment.yml"))
    assert (environment["image"], environment["version"]) == (BUILT, "ab" * 6)
    assert environment["inference_config"]["scoring_route"] == {"port": 5009, "path": "/score"}
    assert environment["inference_config"]["liveness_route"] == {"port": 5009, "path": "/live"}
    endpoint = judge("v2", kind="endpoint", path=str(folder / "endpoint.yml"))
    assert (endpoint["name"], endpoint["auth_mode"]) == ("diabetes-here", "key")
    deployment = judge("v2", kind="deployment", path=str(folder / "deployment.yml"))
    assert deployment["endpoint_name"] == endpoint["name"]
    assert deployment["environment"]["image"] == BUILT
    assert Path(folder, deployment["model"]["path"]).resolve() == found.manifest.path.parent / "models/a.json"
    assert deployment["code_configuration"]["scoring_script"] == "score.py"
    assert deployment["environment_variables"] == {"LEVEL": "debug", "WORKER_COUNT": "2"}
    assert any("KEY" in note for note in made.notes)
    assert "t0ken-secret" not in str(made) and "pa55word" not in str(made)


def test_the_current_api_takes_the_parts(judge: Judge, project: Project) -> None:
    found = subject(project, PARTS)
    made = exported_v2(found, read(found), found.manifest.path.parent / "azureml", whole=False)
    folder = written(found, made.files)
    environment = judge("v2", kind="environment", path=str(folder / "environment.yml"))
    assert environment["image"] == "registry.example.com/ml/base/python:1"
    assert environment["conda_file"]["dependencies"] == ["python=3.11", {"pip": ["azureml-defaults", "numpy"]}]
    deployment = judge("v2", kind="deployment", path=str(folder / "deployment.yml"))
    assert deployment["environment_variables"] == {"A": "b"}


AKS = {
    "image": "scoring",
    "num_replicas": 3,
    "cpu": 0.5,
    "memory_gb": 2,
    "token_auth_enabled": True,
    "scoring_timeout_ms": 5000,
    "max_concurrent_requests": 2,
    "app_insights_enabled": True,
    "liveness": {"period_seconds": 7, "failure_threshold": 4},
}


def test_what_a_service_of_aks_had_goes_into_the_deployment(judge: Judge, project: Project) -> None:
    found = subject(project, PARTS)
    found = replace(found, target=Entry("prod", "aks", AKS, Location("")))
    folder = written(found, exported_v2(found, read(found), found.manifest.path.parent / "azureml").files)
    assert judge("v2", kind="endpoint", path=str(folder / "endpoint.yml"))["auth_mode"] == "aml_token"
    deployment = judge("v2", kind="deployment", path=str(folder / "deployment.yml"))
    assert deployment["instance_count"] == 3
    assert deployment["request_settings"] == {"request_timeout_ms": 5000, "max_concurrent_requests_per_instance": 2}
    assert deployment["liveness_probe"]["period"] == 7 and deployment["liveness_probe"]["failure_threshold"] == 4
    first = exported_v1(found, read(found), found.manifest.path.parent).files["deploymentconfig.json"]
    theirs = judge("deployment", value=json.loads(first))
    wanted = {"num_replicas": 3, "cpu_cores": 0.5, "memory_gb": 2, "token_auth_enabled": True, "period_seconds": 7}
    assert {name: theirs[name] for name in wanted} == wanted


@pytest.mark.parametrize("text", [WHOLE, PARTS], ids=["whole", "parts"])
def test_the_first_sdk_takes_what_is_exported(judge: Judge, project: Project, text: str) -> None:
    found = subject(project, text)
    folder = found.manifest.path.parent
    made = exported_v1(found, read(found), folder)
    inference: dict[str, Any] = json.loads(made.files["inferenceconfig.json"])
    assert judge("environment", value=inference["environment"]) == inference["environment"]
    source = folder / inference["sourceDirectory"] if "sourceDirectory" in inference else None
    script = inference["entryScript"] if source else str(folder / inference["entryScript"])
    asked = {"entry_script": script, "source_directory": str(source) if source else None}
    assert judge("inference", **asked, environment=inference["environment"]) == "taken"
    registry = inference["environment"]["docker"]["baseImageRegistry"]
    assert (registry["username"], registry["password"]) == ("bob", "${env:REGISTRY_PASSWORD}")
    assert "pa55word" not in str(made)


def test_the_whole_image_is_its_own_environment(project: Project) -> None:
    found = subject(project, WHOLE)
    made = exported_v1(found, read(found), found.manifest.path.parent)
    environment = json.loads(made.files["inferenceconfig.json"])["environment"]
    assert environment["docker"]["baseImage"] == BUILT
    assert environment["python"]["userManagedDependencies"] is True
    assert any("made by pipeline (debian)" in note for note in made.notes)


def test_what_cannot_be_is_said(project: Project) -> None:
    found = subject(project, WHOLE)
    with pytest.raises(UsageError, match=r"from its parts: its base is made by pipeline"):
        exported_v2(found, read(found), found.manifest.path.parent, whole=False)
    bare = subject(project, WHOLE.replace("serve: {entry_script: score.py, port: 5009}", "command: [sleep]"))
    with pytest.raises(UsageError, match=r"no entry script.*--v2"):
        exported_v1(bare, read(bare), bare.manifest.path.parent)
