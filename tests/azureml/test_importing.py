"""Azure ML's files as a manifest: what becomes of each setting, and what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.azureml.deployment import (
    AciServiceDeploymentConfiguration,
    AksServiceDeploymentConfiguration,
    DeploymentConfig,
    LocalWebserviceDeploymentConfiguration,
)
from pipeline.azureml.environment import Environment
from pipeline.azureml.exceptions import AzureMLException
from pipeline.azureml.exporting import Subject
from pipeline.azureml.exporting_v1 import exported_v1
from pipeline.azureml.importing import Imported, ModelFiles, imported
from pipeline.azureml.inference import InferenceConfig, read_inference
from pipeline.manifest.load import load

SAMPLES = Path(__file__).parents[1] / "golden/azureml"
SCRIPT = "def init(): ...\ndef run(data): return data\n"
PLAIN = {"dependencies": ["python=3.11", {"pip": ["azureml-defaults"]}], "channels": ["main"], "name": "packages"}
Project = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def folder(project: Project) -> Path:
    return project({"score.py": SCRIPT, "src/inner/score.py": SCRIPT, "src/more.py": "", "m/model.pkl": "x"})


def made(
    folder: Path,
    environment: Mapping[str, Any] | None = None,
    deployment: DeploymentConfig | None = None,
    *,
    source: str = "",
    models: tuple[ModelFiles, ...] = (),
) -> Imported:
    value = {"name": "e", "python": {"condaDependencies": PLAIN}, **(environment or {})}
    script, place = ("inner/score.py", str(folder / source)) if source else (str(folder / "score.py"), None)
    config = InferenceConfig(script, Environment.from_json(value), place)
    return imported(config, deployment, models, name="my service", folder=folder, file="pipeline.yaml")


def manifest(found: Imported) -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(found.text)
    return value


def test_row_48_the_documents_sample_loads_unchanged_and_goes_round(
    folder: Path,
) -> None:
    text = (SAMPLES / "seed_inferenceconfig.json").read_text()
    (folder / "inferenceconfig.json").write_text(text)
    config = read_inference(folder / "inferenceconfig.json", folder=folder)
    local = LocalWebserviceDeploymentConfiguration(8890)
    found = imported(config, local, [ModelFiles("mymodel", 1, folder / "m/model.pkl")], name="e", folder=folder)
    assert found.notes == ()
    (folder / "pipeline.yaml").write_text(found.text)
    loaded = load(folder / "pipeline.yaml", environ={}, sets={})
    subject = Subject(loaded, loaded.images["e"], target=loaded.targets["e"])
    back = exported_v1(subject, lambda path: (folder / path).read_text(), folder)
    wanted = json.loads((SAMPLES / "azureml-core-161.env_seed_json_roundtrip.json").read_text())
    inference = json.loads(back.files["inferenceconfig.json"])
    assert inference == {"entryScript": "score.py", "environment": wanted}
    assert json.loads(back.files["deploymentconfig.json"]) == {"computeType": "local", "port": 8890}


@pytest.mark.parametrize("release", ["113", "161"])
def test_row_36_what_the_sdk_dumped_is_dumped_again(release: str) -> None:
    value = json.loads((SAMPLES / f"azureml-core-{release}.env_seed_snippet.json").read_text())
    newer = {"assetId": None, "docker": {**value["docker"], "buildContext": None}}
    newer["docker"]["baseImageRegistry"] = {
        **value["docker"]["baseImageRegistry"],
        "password": "${env:MYREGISTRY_PASSWORD}",
    }
    assert Environment.from_json(value).to_json() == {**value, **newer}


def test_a_manifest_loads_and_serves_the_source_folder_under_its_name(folder: Path) -> None:
    found = made(folder, source="src", deployment=LocalWebserviceDeploymentConfiguration(8890))
    (folder / "pipeline.yaml").write_text(found.text)
    loaded = load(folder / "pipeline.yaml", environ={}, sets={})
    image = loaded.images["my-service"]
    assert image.serve and image.serve.entry_script == "src/inner/score.py"
    assert image.env["AZUREML_SOURCE_DIRECTORY"] == "src"
    assert loaded.layers["code"].spec == [{"from": "src/", "to": "/var/azureml-app/src/"}]
    assert loaded.targets["my-service"].spec == {"image": "my-service", "port": 8890}
    assert loaded.bases["base"].spec == "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1"


def test_the_manifest_in_the_source_folder_is_no_part_of_the_service(folder: Path) -> None:
    config = InferenceConfig(
        "score.py",
        Environment.from_json({"name": "e", "version": "1", "python": {"condaDependencies": PLAIN}}),
        str(folder),
    )
    found = imported(config, None, name="a", folder=folder, file="pipeline.yaml")
    assert manifest(found)["layers"]["code"]["files"][0]["ignore"] == ["pipeline.yaml", "pipeline.lock"]


def test_row_38_a_password_becomes_a_reference(folder: Path) -> None:
    registry = {"address": "myregistry.azurecr.io", "username": "bob", "password": "pa55word"}
    docker = {"baseImage": "myregistry.azurecr.io/ml/base:1", "baseImageRegistry": registry}
    found = made(folder, {"docker": docker})
    value = manifest(found)
    wanted = {**registry, "password": "${env:MYREGISTRY_PASSWORD}"}
    assert value["registries"] == {"base": wanted}
    assert value["bases"]["base"]["image"] == {"reference": "ml/base:1", "registry": "base"}
    assert "pa55word" not in str(found)
    assert {name: secret.reveal() for name, secret in found.secrets.items()} == {"MYREGISTRY_PASSWORD": "pa55word"}
    assert any("MYREGISTRY_PASSWORD" in note for note in found.notes)


@pytest.mark.parametrize("missing", ["address", "username", "password"])
def test_row_29_what_is_missing_of_the_credentials_is_named(folder: Path, missing: str) -> None:
    registry = {"address": "r.azurecr.io", "username": "bob", "password": "x", missing: None}
    with pytest.raises(AzureMLException, match=f"has no {missing}"):
        made(folder, {"docker": {"baseImage": "r.azurecr.io/a:1", "baseImageRegistry": registry}})


def test_a_managed_identity_signs_in(folder: Path) -> None:
    registry = {"address": "r.azurecr.io", "registryIdentity": {"clientId": "1234", "resourceId": "/subscriptions/x"}}
    found = made(folder, {"docker": {"baseImage": "r.azurecr.io/a:1", "baseImageRegistry": registry}})
    azure = {"login": "managed", "client_id": "1234"}
    assert manifest(found)["registries"] == {"base": {"address": "r.azurecr.io", "azure": azure}}
    (folder / "pipeline.yaml").write_text(found.text)
    assert load(folder / "pipeline.yaml", environ={}, sets={}).registries["base"].azure


def test_a_public_registry_needs_an_address_alone(folder: Path) -> None:
    registry = {"address": "mcr.microsoft.com", "username": None, "password": None}
    found = made(folder, {"docker": {"baseImage": "azureml/base:1", "baseImageRegistry": registry}})
    assert manifest(found)["bases"]["base"]["image"] == {"reference": "azureml/base:1", "registry": "base"}


def test_row_10_a_moving_tag_and_a_mistyped_host_are_pointed_out(folder: Path) -> None:
    found = made(folder, {"docker": {"baseImage": "myregistry.azureecr.io/base"}})
    assert any("azurecr.io?" in note for note in found.notes)
    assert any("no tag" in note for note in found.notes)


def test_a_dockerfile_is_written_beside_the_manifest(folder: Path) -> None:
    found = made(folder, {"docker": {"baseDockerfile": "FROM x\nRUN y\n"}})
    assert manifest(found)["bases"]["base"]["dockerfile"] == {"path": "my-service.Dockerfile"}
    assert found.files == {"my-service.Dockerfile": "FROM x\nRUN y\n"}
    with pytest.raises(AzureMLException, match="no FROM"):
        made(folder, {"docker": {"baseDockerfile": "base/Dockerfile"}})


def test_row_39_the_serving_stack_is_asked_for(folder: Path) -> None:
    found = made(folder, {"inferencingStackVersion": "latest"})
    assert manifest(found)["images"]["my-service"]["serve"] == {"entry_script": "score.py", "stack": "azureml"}


def test_the_base_brings_all_where_the_user_manages_packages(folder: Path) -> None:
    found = made(folder, {"python": {"userManagedDependencies": True, "interpreterPath": "/p/python"}})
    assert [*manifest(found)["layers"]] == ["code"]
    assert any("interpreterPath" in note for note in found.notes)


def test_what_the_sdk_writes_for_the_public_index_asks_for_nothing(folder: Path) -> None:
    lines = [
        "--find-links https://pypi.python.org/simple/index.html",
        "--extra-index-url https://pypi.python.org/simple",
    ]
    packages = {"dependencies": [{"pip": [*lines, "--pre", "azureml-defaults"]}]}
    found = made(folder, {"python": {"condaDependencies": packages}})
    conda = manifest(found)["layers"]["packages"]["conda"]
    assert conda["dependencies"] == [{"pip": ["--pre", "azureml-defaults"]}]
    assert conda["channels"] == ["defaults"]


def test_row_50_variables_are_the_images_and_secrets_the_targets(folder: Path) -> None:
    variables = {"LEVEL": "info", "TEXT": "${env:HOME} $x", "API_TOKEN": "t0ken-secret"}
    found = made(folder, {"environmentVariables": variables}, LocalWebserviceDeploymentConfiguration(1))
    (folder / "pipeline.yaml").write_text(found.text)
    loaded = load(folder / "pipeline.yaml", environ={"API_TOKEN": "other"}, sets={})
    assert loaded.images["my-service"].env == {"LEVEL": "info", "TEXT": "${env:HOME} $x"}
    assert loaded.targets["my-service"].spec["env"]["API_TOKEN"].reveal() == "other"
    assert "t0ken-secret" not in str(found)


def test_what_has_no_meaning_is_listed(folder: Path) -> None:
    found = made(
        folder,
        {
            "spark": {"packages": [{"group": "g", "artifact": "a", "version": "1"}]},
            "databricks": {"jarLibraries": [{"library": "x"}]},
            "r": {"rVersion": "4", "githubPackages": [{"repository": "x", "authToken": "t0ken-secret"}]},
            "docker": {"arguments": ["--gpus", "all"], "shmSize": "8g", "sharedVolumes": False},
        },
    )
    told = "\n".join(found.notes)
    for word in ("spark", "databricks", "rVersion", "--gpus all", "8g", "sharedVolumes"):
        assert word in told
        assert word in found.text
    assert "t0ken-secret" not in str(found)


def test_a_build_context_is_to_be_fetched_first(folder: Path) -> None:
    found = made(folder, {"docker": {"buildContext": {"locationType": "git", "location": "https://x/y.git"}}})
    assert manifest(found)["bases"]["base"]["dockerfile"] == {"path": "context/Dockerfile", "context": "context"}
    assert any("https://x/y.git" in note for note in found.notes)


def test_row_52_targets_elsewhere_get_the_settings_under_the_sdks_names(folder: Path) -> None:
    aci = AciServiceDeploymentConfiguration(
        cpu_cores=0.5,
        memory_gb=1,
        primary_key="k3y-secret",
        auth_enabled=True,
        dns_name_label="d",
        vnet_name="v",
        subnet_name="s",
    )
    found = made(folder, deployment=aci)
    assert manifest(found)["targets"]["my-service"]["aci"] == {
        "image": "my-service",
        "cpu": 0.5,
        "memory_gb": 1,
        "vnet_name": "v",
        "subnet_name": "s",
    }
    left = [note.partition(" is left out")[0] for note in found.notes if " is left out" in note]
    assert left == ["authEnabled", "keys.primaryKey", "dnsNameLabel"]
    assert manifest(found)["images"]["my-service"]["push"] == {"to": "images", "repository": "my-service"}
    assert "k3y-secret" not in str(found)
    aks = AksServiceDeploymentConfiguration(
        autoscale_enabled=True,
        autoscale_max_replicas=4,
        failure_threshold=2,
        cpu_cores=1,
        cpu_cores_limit=2,
        namespace="ml",
        compute_target_name="ours",
        max_request_wait_time=500,
    )
    assert any("maxQueueWaitMs is left out" in note for note in made(folder, deployment=aks).notes)
    assert manifest(made(folder, deployment=aks))["targets"]["my-service"]["aks"] == {
        "image": "my-service",
        "autoscale": {"max_replicas": 4},
        "cpu": 1,
        "cpu_limit": 2,
        "liveness": {"failure_threshold": 2},
        "namespace": "ml",
        "compute_target": "ours",
    }


@pytest.mark.parametrize("kind", [AciServiceDeploymentConfiguration, AksServiceDeploymentConfiguration])
def test_what_is_imported_for_azure_loads(folder: Path, kind: type[DeploymentConfig]) -> None:
    found = made(folder, deployment=kind(cpu_cores=1, memory_gb=2, auth_enabled=True, primary_key="k3y"))
    (folder / "pipeline.yaml").write_text(found.text)
    environ = {"IMAGE_REGISTRY": "prod.azurecr.io/ml", "AKS_CLUSTER": "c"}
    assert load(folder / "pipeline.yaml", environ=environ, sets={}).targets["my-service"].kind == kind.COMPUTE_TYPE


def test_row_56_models_keep_name_and_version(folder: Path) -> None:
    models = (ModelFiles("My.Model", 3, folder / "m/model.pkl"), ModelFiles("my.model", 1, folder / "m"))
    layers = manifest(made(folder, models=models))["layers"]
    assert layers["model-my.model"]["model"] == {"name": "My.Model", "version": 3, "path": "m/model.pkl"}
    assert layers["model-my.model-2"]["model"] == {"name": "my.model", "version": 1, "path": "m"}
    with pytest.raises(AzureMLException, match="is not there"):
        made(folder, models=(ModelFiles("x", 1, folder / "none"),))


def test_what_lies_outside_of_the_project_cannot_be_in_the_manifest(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "far.pkl").write_text("x")
    with pytest.raises(AzureMLException, match="outside of the manifest's project folder"):
        made(folder, models=(ModelFiles("x", 1, tmp_path / "far.pkl"),))


def test_an_image_for_windows_is_refused(folder: Path) -> None:
    with pytest.raises(AzureMLException, match=r"platform\.os is Windows"):
        made(folder, {"docker": {"platform": {"os": "Windows"}}})


def test_credentials_in_addresses_are_not_copied(folder: Path) -> None:
    lines = [
        "azureml-defaults",
        "--extra-index-url https://build:pa55word@feeds.example.com/simple/",
        "--find-links=https://0123456789abcdefghij@feeds.example.com/links/",
        "own @ https://build:pa55word@feeds.example.com/own-1-py3-none-any.whl",
        "-i https://build:${PAT}@feeds.example.com/simple/",
        "plain @ https://build@feeds.example.com/plain-1-py3-none-any.whl",
    ]
    channels = ["https://conda.example.com/t/t0ken/channel", "https://me:0ther@conda.example.com/two", "main"]
    packages = {"channels": channels, "dependencies": ["python=3.11", {"pip": lines}]}
    found = made(folder, {"python": {"condaDependencies": packages}})
    conda = manifest(found)["layers"]["packages"]["conda"]
    assert conda["channels"] == [
        "https://conda.example.com/t/${env:CONDA_EXAMPLE_COM_TOKEN}/channel",
        "https://me:${env:CONDA_EXAMPLE_COM_PASSWORD}@conda.example.com/two",
        "main",
    ]
    first, second = "FEEDS_EXAMPLE_COM_PASSWORD", "FEEDS_EXAMPLE_COM_PASSWORD_2"
    assert conda["dependencies"][1]["pip"] == [
        "azureml-defaults",
        f"--extra-index-url https://build:${{env:{first}}}@feeds.example.com/simple/",
        f"--find-links=https://${{env:{second}}}@feeds.example.com/links/",
        f"own @ https://build:${{env:{first}}}@feeds.example.com/own-1-py3-none-any.whl",
        "-i https://build:$${PAT}@feeds.example.com/simple/",
        "plain @ https://build@feeds.example.com/plain-1-py3-none-any.whl",
    ]
    secrets = {name: value.reveal() for name, value in found.secrets.items()}
    assert secrets[first] == "pa55word" and secrets[second] == "0123456789abcdefghij"
    assert all(any(name in note for note in found.notes) for name in secrets)
    (folder / "pipeline.yaml").write_text(found.text)
    load(folder / "pipeline.yaml", environ={**secrets, "PAT": "x"}, sets={})


@pytest.mark.parametrize(
    "value",
    [
        "DefaultEndpointsProtocol=https;AccountName=me;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net",
        "Server=tcp:db.example.com;User ID=me;Password=pa55;",
        "https://me.blob.core.windows.net/c/f?sv=2020&sig=c2VjcmV0",
        "amqps://me:pa55@queue.example.com",
    ],
)
def test_a_variable_that_holds_a_secret_goes_to_the_target_by_reference(folder: Path, value: str) -> None:
    local = LocalWebserviceDeploymentConfiguration(8890)
    found = made(folder, {"environmentVariables": {"STORAGE": value, "LEVEL": "a=1;b=2"}}, local)
    assert value not in found.text and found.secrets["STORAGE"].reveal() == value
    assert "STORAGE holds a secret: set it in your environment, its value is not copied" in found.notes
    image, target = manifest(found)["images"]["my-service"], manifest(found)["targets"]["my-service"]
    assert image["env"] == {"LEVEL": "a=1;b=2"} and target["local"]["env"] == {"STORAGE": "${env:STORAGE}"}


def older(folder: Path, **keys: Any) -> Imported:
    (folder / "inferenceconfig.json").write_text(json.dumps({"entryScript": "score.py", **keys}))
    config = read_inference(folder / "inferenceconfig.json", folder=folder)
    return imported(config, None, name="old", folder=folder)


def test_a_file_of_the_time_before_environments_is_read(folder: Path) -> None:
    """As the first release's documents have it: every key is there, and most say nothing."""
    (folder / "myenv.yml").write_text("name: mine\ndependencies:\n- python=3.6.2\n- scikit-learn\n")
    nothing = dict.fromkeys(("sourceDirectory", "extraDockerfileSteps", "baseImage", "baseImageRegistry"))
    found = manifest(older(folder, runtime="python", condaFile="myenv.yml", enableGpu=False, **nothing))
    assert found["layers"]["packages"]["conda"]["dependencies"] == ["python=3.6.2", "scikit-learn"]
    assert found["bases"]["base"]["image"].startswith("mcr.microsoft.com/azureml/openmpi")
    assert "env" not in found["images"]["old"]
    # Those images had the server in them; the packages need not ask for it.
    assert found["images"]["old"]["serve"] == {"entry_script": "score.py", "stack": "azureml"}


def test_a_base_image_and_steps_of_the_time_before_environments(folder: Path) -> None:
    (folder / "steps").write_text("RUN apt-get update\n")
    registry = {"address": "own.azurecr.io", "username": "bob", "password": "s3cret"}
    found = older(folder, runtime="python", baseImage="own.azurecr.io/base:1", baseImageRegistry=registry)
    assert manifest(found)["bases"]["base"]["image"] == {"reference": "base:1", "registry": "base"}
    assert manifest(found)["registries"]["base"]["password"] == "${env:OWN_PASSWORD}"
    found = older(folder, runtime="python", enableGpu=True, extraDockerfileSteps="steps")
    (text,) = found.files.values()
    assert text.startswith("FROM mcr.microsoft.com/azureml/openmpi") and "cuda" in text and "apt-get update" in text


def test_row_42_the_arguments_of_the_time_before_environments(folder: Path) -> None:
    (folder / "myenv.yml").write_text("dependencies:\n- python=3.8\n- pip:\n  - azureml-defaults>=1.0.45\n")
    script, conda = str(folder / "score.py"), str(folder / "myenv.yml")
    made = InferenceConfig(entry_script=script, runtime="python", conda_file=conda)
    assert made.environment is not None and made.environment.python.conda_dependencies is not None
    assert [*made.environment.python.conda_dependencies.pip_packages] == ["azureml-defaults>=1.0.45"]
    assert made.environment.inferencing_stack_version is None
    with pytest.raises(AzureMLException, match="along with an environment"):
        InferenceConfig(script, Environment("mine"), runtime="python")
    with pytest.raises(TypeError, match="no argument nosuch"):
        InferenceConfig(script, nosuch=1)


@pytest.mark.parametrize("keys", [{}, {"runtime": "python"}])
def test_row_01_the_default_base_is_named_where_no_environment_is_given(folder: Path, keys: dict[str, str]) -> None:
    notes = older(folder, **keys).notes
    assert any(note.startswith("no base image is named: the default is taken, mcr.microsoft.com/") for note in notes)


def test_the_description_goes_with_the_image(folder: Path) -> None:
    config = InferenceConfig(str(folder / "score.py"), Environment.from_json({"name": "e"}), description="It's ${mine}")
    found = imported(config, None, (), name="svc", folder=folder, file="pipeline.yaml")
    (folder / "pipeline.yaml").write_text(found.text)
    labels = load(folder / "pipeline.yaml", environ={}).images["svc"].labels
    assert labels["org.opencontainers.image.description"] == "It's ${mine}"
