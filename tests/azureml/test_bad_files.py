"""Wrong files of Azure ML: one clear error each, with file, line, column and key."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest

from pipeline.azureml.deployment import read_deployment
from pipeline.azureml.document import load, parse_json
from pipeline.azureml.environment import CondaDependencies, Environment
from pipeline.azureml.exceptions import AzureMLException, UserErrorException
from pipeline.azureml.inference import read_inference
from pipeline.cli._door import run

GOOD = {"name": "e", "python": {"condaDependencies": {"dependencies": [{"pip": ["azureml-defaults"]}]}}}

INFERENCE = [
    ('{"entryScript": "score.py",}', "f.json:1:2", "remove the comma"),
    ("{\n  'entryScript': 'score.py'\n}", "f.json:2:3: this is not JSON", "double quotes"),
    ('{"entryScript": "score.py" // why\n}', "f.json:1:28: this is not JSON", "no comments"),
    ("", "f.json:1:1: this is not JSON", ""),
    ("[1]", "f.json:1:1: the file is not a mapping", "write {...}"),
    ('{\n "entryscript": "score.py"\n}', "f.json:2:2: unknown key 'entryscript'", "did you mean 'entryScript'?"),
    ('{"entryScript": "a.py",\n "entryScript": "b.py"}', "f.json:2:2: duplicate key", "line 1"),
    ("{}", "f.json:1:1: entryScript is missing", "score.py"),
    ('{"entryScript": 5}', "f.json:1:2: entryScript is not a text: 5", "give a text"),
    ('{"entryScript": "none.py"}', "f.json:1:2: there is no entry script none.py", ""),
    ('{"entryScript": "score.txt"}', "f.json:1:2: the entry script score.txt is not Python", ".py"),
    ('{"entryScript": "two-words.py"}', "f.json:1:2: the entry script's name, 'two-words'", "rename it"),
    ('{"entryScript": "class.py"}', "f.json:1:2: the entry script's name, 'class'", "rename it"),
    ('{"entryScript": "broken.py"}', "broken.py:2:", "the entry script is not Python"),
    ('{"entryScript": "score.py", "sourceDirectory": "none"}', "f.json:1:29: the source directory", "not there"),
    ('{"entryScript": "score.py", "runtime": "spark-py"}', "f.json:1:29: the runtime spark-py cannot", "only python"),
    ('{"entryScript": "score.py", "cudaVersion": "9.1"}', "f.json:1:29: CUDA 9.1 cannot be had", "10.0 and 9.0"),
    ('{"entryScript": "score.py", "enableGpu": "yes"}', "f.json:1:29: enableGpu is not", "true or false"),
    (
        '{"entryScript": "score.py", "condaFile": "c.yml", "environment": {"docker": {}}, "runtime": "python"}',
        "f.json:1:82: runtime, conda_file cannot be given along with an environment",
        "say it in the environment",
    ),
    (
        '{"entryScript": "score.py", "environment": "curated"}',
        "f.json:1:29: the environment curated is only",
        "write it",
    ),
    ('{"entryScript": "score.py", "environment": {"name": "AzureML-x", "r": null}}', "f.json:1:45: ", "AzureML"),
    ('{"entryScript": "score.py", "environment": {"name": "Microsoft", "r": null}}', "f.json:1:45: ", "Microsoft"),
]


def folder(tmp_path: Path) -> Path:
    for name in ("score.py", "score.txt", "two-words.py", "class.py"):
        (tmp_path / name).write_text("def init(): ...\n")
    (tmp_path / "broken.py").write_text("x = 1\ndef (\n")
    return tmp_path


@pytest.mark.parametrize(("text", "said", "more"), INFERENCE)
def test_row_42_a_wrong_inference_configuration_says_where(tmp_path: Path, text: str, said: str, more: str) -> None:
    path = folder(tmp_path) / "f.json"
    path.write_text(text)
    with pytest.raises(AzureMLException) as caught:
        read_inference(path, folder=tmp_path)
    told = str(caught.value).replace(f"{tmp_path}/", "")
    assert told.startswith(said)
    assert more in told


ENVIRONMENTS = [
    (
        {"docker": {"baseImage": "a", "baseDockerfile": "FROM b"}},
        "baseDockerfile",
        "docker has baseImage and baseDockerfile",
    ),
    (
        {"docker": {"baseimage": "a"}},
        "baseimage",
        "unknown key 'environment.docker.baseimage' (did you mean 'baseImage'?)",
    ),
    ({"docker": {"arguments": "x"}}, "arguments", "environment.docker.arguments is not a list of texts"),
    ({"docker": {"enabled": "yes"}}, "enabled", "environment.docker.enabled is not true or false: 'yes'"),
    ({"docker": []}, "docker", "environment.docker is not a mapping: a list"),
    ({"docker": {"baseImageRegistry": {"password": 5}}}, "password", "is not a text: ***"),
    (
        {"python": {"condaDependencies": {"packages": []}}},
        "packages",
        "unknown key 'environment.python.condaDependencies.packages'",
    ),
    (
        {"python": {"condaDependencies": {"dependencies": [{"pip": "x"}]}}},
        "pip",
        "dependencies[0].pip is not a list of texts",
    ),
    ({"python": {"condaDependencies": {"dependencies": [3.1]}}}, "3.1", "dependencies[0] is no package"),
    ({"python": {"condaDependencies": {"dependencies": [{"pip": ["numpy"]}]}}}, "pip", "has no azureml-defaults"),
    (
        {"python": {"condaDependencies": {"dependencies": [{"pip": ["azureml-defaults==1.0.44"]}]}}},
        "pip",
        "asks for azureml-defaults==1.0.44, and the inference server came with 1.0.45",
    ),
    ({"inferencingStackVersion": "1.0"}, "inferencingStackVersion", "inferencingStackVersion is '1.0'"),
    ({"environmentVariables": {"A": ["b"]}}, "environmentVariables", "is not a mapping of names to texts"),
    ({"spark": {"packages": [{"grup": "x"}]}}, "grup", "unknown key 'environment.spark.packages[0].grup'"),
]


@pytest.mark.parametrize(("change", "at", "said"), ENVIRONMENTS)
def test_a_wrong_environment_says_where(tmp_path: Path, change: dict[str, object], at: str, said: str) -> None:
    path = folder(tmp_path) / "f.json"
    text = json.dumps({"entryScript": "score.py", "environment": {**GOOD, **change}}, indent=2)
    path.write_text(text)
    with pytest.raises(UserErrorException) as caught:
        read_inference(path, folder=tmp_path)
    assert said in str(caught.value)
    place = caught.value.place
    assert place and place.file == str(path)
    assert at in text.splitlines()[place.line - 1]


@pytest.mark.parametrize(
    ("requirement", "good"),
    [
        ("azureml-defaults", True),
        ("azureml_defaults>=1.0.45", True),
        ("azureml-defaults>=1.0.45,<2", True),
        ("azureml-defaults==1.13.0", True),
        ("azureml-defaults~=1.0", True),
        ("azureml-defaults~=1.0.2", True),
        ("azureml-defaults~=0.9", False),
        ("azureml-defaults<1.0.45", False),
        ("azureml-defaults<=1.0.45", True),
        ("azureml-defaults==1.0.2", False),
        ("azureml-inference-server-http", True),
        ("azureml-core", False),
    ],
)
def test_row_41_which_requirements_bring_the_server(tmp_path: Path, requirement: str, good: bool) -> None:
    environment = {"name": "e", "python": {"condaDependencies": {"dependencies": [{"pip": [requirement]}]}}}
    path = folder(tmp_path) / "f.json"
    path.write_text(json.dumps({"entryScript": "score.py", "environment": environment}))
    if good:
        assert read_inference(path, folder=tmp_path).environment is not None
        return
    with pytest.raises(UserErrorException, match="azureml-defaults"):
        read_inference(path, folder=tmp_path)


DEPLOYMENTS = [
    ("{}", "f.json:1:1: computeType is missing (one of local, aci, aks)"),
    ('{"computeType": "akz"}', "f.json:1:2: unknown computeType 'akz' (did you mean 'aks'?)"),
    ('{"computeType": "local", "port": 0}', "f.json:1:26: port is 0 (a whole number from 1 to 65535)"),
    ('{"computeType": "local", "port": "8890"}', "f.json:1:26: port is not a whole number: '8890'"),
    ('{"computeType": "local", "cpu": 1}', "f.json:1:26: unknown key 'cpu' (there are: port)"),
    (
        '{"computeType": "aci", "vnetName": "v"}',
        "f.json:1:24: vnetName without subnetName (give all of vnetName, subnetName",
    ),
    ('{"computeType": "aci", "vaultBaseUrl": "v"}', "vaultBaseUrl without keyName, keyVersion"),
    ('{"computeType": "aci", "sslEnabled": true}', "sslEnabled is on, and sslCertificate is missing"),
    ('{"computeType": "aks", "namespace": "-x"}', "f.json:1:24: '-x' is no namespace of Kubernetes"),
    (
        '{"computeType": "aks",\n"containerResourceRequirements": {"cpu": 2, "cpuLimit": 1}}',
        "f.json:2:45: containerResourceRequirements.cpuLimit is 1, less than containerResourceRequirements.cpu: 2",
    ),
    (
        '{"computeType": "aks", "autoScaler": {"autoscaleEnabled": false}}',
        "autoscaling is off, and numReplicas is missing",
    ),
    (
        '{"computeType": "aks", "authEnabled": true, "tokenAuthEnabled": true}',
        "are both on (keep one: keys, or tokens)",
    ),
    (
        '{"computeType": "aks", "autoScaler": {"minReplica": 1}}',
        "unknown key 'autoScaler.minReplica' (did you mean 'minReplicas'?)",
    ),
    ('{"computeType": "aci", "keys": {"primaryKey": 77}}', "keys.primaryKey is not a text: ***"),
]


@pytest.mark.parametrize(("text", "said"), DEPLOYMENTS)
def test_row_52_a_wrong_deployment_configuration_says_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(AzureMLException) as caught:
        read_deployment(path)
    assert said in str(caught.value)


def test_yaml_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "deploymentconfig.yml"
    path.write_text("computeType: aks\nnumReplicas: 2\ncontainerResourceRequirements: {cpu: 0.5}\n")
    assert read_deployment(path).to_json() == {
        "computeType": "aks",
        "containerResourceRequirements": {"cpu": 0.5},
        "numReplicas": 2,
    }
    path.write_text("computeType: aks\nnumReplicas: many\n")
    with pytest.raises(UserErrorException, match=r"deploymentconfig\.yml:2:1: numReplicas is not a whole number"):
        read_deployment(path)


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(UserErrorException, match=r"f\.json is not UTF-8 \(byte 7\)"):
        load(path)
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert load(path).value == {"a": 1}
    with pytest.raises(UserErrorException, match="there is no file"):
        load(tmp_path / "none.json")
    with pytest.raises(UserErrorException, match="levels deep"):
        parse_json("[" * 100_000 + "]" * 100_000, "f.json")


def test_places_are_those_of_the_keys() -> None:
    document = parse_json('{\n  "a": {"b": [1,\n    {"c": "\\u00e9\\"}"}]}\n}', "f.json")
    assert document.value == {"a": {"b": [1, {"c": 'é"}'}]}}
    assert {path: document.where(path).line for path in ((), ("a",), ("a", "b"), ("a", "b", 0))} == {
        (): 1,
        ("a",): 2,
        ("a", "b"): 2,
        ("a", "b", 0): 2,
    }
    assert (document.where(("a", "b", 1, "c")).line, document.where(("a", "b", 1, "c")).column) == (3, 6)
    assert document.where(("a", "b", 9)).line == 2


def test_scripts_that_misspell_an_attribute_are_told() -> None:
    made = Environment("e")
    with pytest.raises(AttributeError, match="did you mean 'base_image'"):
        made.docker.base_imag = "x"  # type: ignore[attr-defined]
    with pytest.raises(UserErrorException, match="begins with AzureML"):
        Environment("AzureML-mine")
    with pytest.raises(TypeError, match="is a text"):
        Environment(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not CondaDependencies"):
        made.python.conda_dependencies = {"dependencies": []}  # type: ignore[assignment]
    with pytest.raises(UserErrorException, match="no place for a file"):
        CondaDependencies().save("/none/there.yml")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-m", "mymodel"), "'mymodel' is no model"),
        (("-m", "my model:1=score.py"), "is no name for a model"),
        (("-m", "mymodel:0=score.py"), "versions begin at 1"),
        (("-m", "mymodel=none.pkl"), "the model mymodel is not there"),
        (("--dc", "none.json"), "there is no file none.json"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    script = folder(tmp_path) / "score.py"
    (tmp_path / "f.json").write_text(json.dumps({"entryScript": str(script), "environment": GOOD}))
    target = tmp_path / "pipeline.yaml"
    err = io.StringIO()
    given = ["import", "azureml", "--ic", str(tmp_path / "f.json"), "-o", str(target), *words]
    code = run(given, environ=dict(os.environ), out=io.StringIO(), err=err)
    assert (code, target.exists()) == (2, False)
    assert said in err.getvalue()
