"""Whatever environment is imported: the manifest loads, or one clear error says why there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from environment_strategies import ENVIRONMENT
from hypothesis import HealthCheck, Phase, given, settings

from pipeline.azureml.deployment import LocalWebserviceDeploymentConfiguration
from pipeline.azureml.environment import Environment
from pipeline.azureml.exceptions import AzureMLException
from pipeline.azureml.importing import imported
from pipeline.azureml.inference import InferenceConfig
from pipeline.errors import ManifestError
from pipeline.manifest.load import load

SECRET = "pa55word-in-clear-text"


class Anything(Mapping[str, str]):
    """An environment in which every variable is set."""

    def __getitem__(self, name: str) -> str:
        return "value"

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    (made / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    return made


@settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(ENVIRONMENT)
def test_an_imported_manifest_loads(folder: Path, value: dict[str, Any]) -> None:
    environment = Environment.from_json(value)
    docker = environment.docker
    if docker.base_image_registry and docker.base_image_registry.password:
        docker.base_image_registry.password = SECRET
    if environment.python.conda_dependencies is not None:
        environment.python.conda_dependencies.add_pip_package("azureml-defaults")
    try:
        config = InferenceConfig(str(folder / "score.py"), environment)
        found = imported(config, LocalWebserviceDeploymentConfiguration(1), name="service", folder=folder)
    except AzureMLException as error:
        assert re.search(
            r"docker\.|environmentVariables|outside of the manifest's|is no package|is not", error.message
        ), error.message
        return
    assert SECRET not in str(found)
    # What only the file system or an index can say is not the manifest's matter here.
    for name, text in found.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    if docker.build_context:
        # It has to be fetched first: a note says so.
        assert any("fetch" in note for note in found.notes)
        return
    (folder / "pipeline.yaml").write_text(found.text, encoding="utf-8")
    try:
        loaded = load(folder / "pipeline.yaml", environ=Anything(), sets={})
    except ManifestError as error:
        pytest.fail(f"{error}\n{found.text}")
    for name, text in (environment.environment_variables or {}).items():
        if name in loaded.images["service"].env:
            assert loaded.images["service"].env[name] == text
    assert yaml.safe_load(found.text)["name"] == "service"
