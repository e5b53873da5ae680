"""The import lines of the SDK's scripts, under their new name, and what is behind those that only Azure would need."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from pipeline.azureml import DEFAULT_CPU_IMAGE, Environment, Model, Workspace
from pipeline.azureml.authentication import (
    AzureCliAuthentication,
    InteractiveLoginAuthentication,
    MsiAuthentication,
    ServicePrincipalAuthentication,
)
from pipeline.azureml.exceptions import UserErrorException
from pipeline.azureml.resource_configuration import ResourceConfiguration


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("container_registry", "ContainerRegistry"),
        ("environment", "Environment CondaDependencies ContainerRegistry DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE"),
        ("runconfig", "DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE"),
        ("model", "Model InferenceConfig"),
        ("webservice", "AciWebservice AksWebservice LocalWebservice Webservice"),
        ("compute", "AksCompute ComputeTarget"),
        ("workspace", "Workspace"),
        ("conda_dependencies", "CondaDependencies"),
    ],
)
def test_an_import_line_of_the_sdk_works_under_its_new_name(module: str, names: str) -> None:
    found = importlib.import_module(f"pipeline.azureml.{module}")
    assert [name for name in names.split() if not hasattr(found, name)] == []


def test_row_01_the_default_images_are_where_scripts_look_for_them() -> None:
    from pipeline.azureml import environment, runconfig

    assert environment.DEFAULT_CPU_IMAGE == runconfig.DEFAULT_CPU_IMAGE == DEFAULT_CPU_IMAGE
    made = Environment("mine")
    made.docker.base_image = environment.DEFAULT_GPU_IMAGE
    assert "cuda" in made.docker.base_image


def test_a_script_that_signs_in_finds_its_local_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Workspace.create(name="ml")
    principal = ServicePrincipalAuthentication(
        tenant_id="contoso", service_principal_id="app", service_principal_password="s3cret"
    )
    for who in (principal, InteractiveLoginAuthentication(tenant_id="contoso"), MsiAuthentication()):
        assert Workspace.get("ml", auth=who, subscription_id="s", resource_group="g").name == made.name
    assert Workspace.from_config(auth=AzureCliAuthentication()).name == "ml"
    (tmp_path / "model.txt").write_text("one")
    resources = ResourceConfiguration(cpu=1, memory_in_gb=0.5)
    model = Model.register(made, "model.txt", "mymodel", resource_configuration=resources)
    assert (model.id, resources.serialize()) == ("mymodel:1", {"cpu": 1, "memoryInGB": 0.5, "gpu": None})
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"s3cret" not in kept and "s3cret" not in repr(vars(principal))


@pytest.mark.parametrize("missing", ["tenant_id", "service_principal_id", "service_principal_password"])
def test_a_service_principal_says_what_it_lacks(missing: str) -> None:
    given = dict.fromkeys(("tenant_id", "service_principal_id", "service_principal_password"), "x")
    with pytest.raises(UserErrorException, match=missing):
        ServicePrincipalAuthentication(**{**given, missing: ""})


def test_resources_are_more_than_nothing() -> None:
    with pytest.raises(UserErrorException, match="memory_in_gb is 0"):
        ResourceConfiguration(memory_in_gb=0)
