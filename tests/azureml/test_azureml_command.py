"""`pipeline azureml`: the old command line's flags, on a private registry and this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab import BROKEN, PASSWORD, Lab
from servinglab import SCORE, Registry

from pipeline.azureml import Webservice, Workspace
from pipeline.azureml.exceptions import WebserviceException
from pipeline.cli.azureml._flags import FLAGS
from pipeline.cli.azureml.deploy import deployment_of
from pipeline.errors import UsageError

DIALECT = {"model": "one", "data": {"x": 1}, "base": "mine", "variable": "EXAMPLE_VALUE"}


def test_row_47_a_private_registry_from_the_command_line(lab: Lab) -> None:
    assert lab.good("model", "register", "-n", "mymodel", "-p", "model.txt").out == "registered mymodel:1\n"
    ended = lab.deploy("--tag", "area=diabetes")
    assert ended.code == 0, ended.out + ended.err
    assert f"http://127.0.0.1:{lab.port}  healthy" in ended.out
    assert lab.good("service", "run", "-n", "myservice", "-d", '{"x": 1}', "--output", "json").json == DIALECT
    shown = lab.good("service", "show", "myservice", "--output", "json").json
    assert (shown["state"], shown["modelIds"], shown["tags"]) == ("running", ["mymodel:1"], {"area": "diabetes"})
    assert "loaded one" in lab.good("service", "get-logs", "-n", "myservice").out
    assert "myservice  running  Local" in lab.good("service", "list").out

    # The password stands in no file, and changes need it no more than the first deployment did.
    files = [path for path in lab.folder.rglob(".pipeline/**/*") if path.is_file()]
    assert not [path for path in files if PASSWORD in path.read_text(errors="ignore")]
    lab.write("model.txt", "two")
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    lab.good("service", "update", "-n", "myservice", "-m", "mymodel:2")
    lab.write("request.json", "7")
    answer = lab.good("service", "run", "myservice", "-d", "@request.json", "--output", "json").json
    assert (answer["model"], answer["data"]) == ("two", 7)

    assert lab("model", "delete", "mymodel:2").err.startswith("error: model mymodel:2 is in use by myservice\n")
    lab.good("service", "delete", "-n", "myservice")
    lab.good("model", "delete", "mymodel:2")
    assert lab("service", "show", "myservice").code == 3


def test_row_02_a_second_deployment_does_nothing_to_the_base(lab: Lab) -> None:
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    assert lab.deploy().code == 0
    again = lab.deploy()
    assert "nothing to do" in again.out
    lab.write("score.py", SCORE.replace('"base"', '"root"'))
    changed = lab.deploy()
    assert changed.code == 0
    assert "base   base           hit" in changed.out
    assert lab.good("service", "run", "myservice", "-d", "1", "--output", "json").json["root"] == "mine"


def test_row_05_compare_default_tells_whether_it_is_the_image(lab: Lab, base: str) -> None:
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    script = SCORE.replace(
        "def init():", "def init():\n    if os.environ['BASE'] != 'mine': raise ValueError('no MPI')"
    )
    lab.write("score.py", script)
    default = base.replace("azureml/base:1", "public/base:1")
    config = lab.inference()
    config["environment"]["docker"]["baseImage"] = default
    lab.write("inferenceconfig.json", json.dumps(config))
    # Both are in one registry here: of the default one nobody knows a password, as of a public one.
    login = {"auths": {lab.registry.address: {"username": "bob", "password": PASSWORD}}}
    lab.write("docker/config.json", json.dumps(login))
    Registry(lab.registry.address, "bob", PASSWORD).push_base("public/base", "1", ("BASE=other",))
    environ = {"DOCKER_CONFIG": str(lab.folder / "docker")}
    words = ("deploy", "-n", "myservice", "-m", "mymodel:1", "--ic", "inferenceconfig.json", "--data", "1")
    mine = lab(*words, "--compare-default", base, environ=environ)
    assert mine.out.splitlines()[-1] == "it is your image: the same serves on the default one", mine.out + mine.err
    assert f"{default} fails: " in mine.out and "no MPI" in mine.out
    assert mine.code == 3
    lab.write("score.py", SCORE)
    other = lab(*words, "--compare-default", base, environ=environ)
    assert other.out.splitlines()[-1] == "both serve, and answer differently: it is what the images hold"
    assert other.code == 0
    assert lab.good("service", "list").out.startswith("no services")


def test_a_service_that_does_not_come_up_says_why(lab: Lab) -> None:
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    lab.write("score.py", BROKEN)
    ended = lab.deploy()
    assert ended.code == 3
    assert "ValueError: no good" in ended.err
    shown = lab.good("service", "show", "myservice", "--output", "json").json
    assert shown["state"] == "failed"
    assert "ValueError: no good" in shown["error"]
    assert "ValueError: no good" in lab.good("service", "get-logs", "myservice").out


def test_no_wait_goes_on_in_the_background(lab: Lab) -> None:
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    begun = lab.deploy("--no-wait")
    assert begun.code == 0
    assert "myservice is being deployed" in begun.out
    states = {lab.good("service", "show", "myservice", "--output", "json").json["state"]}
    assert states == {"deploying"}
    service = Webservice(Workspace.get("default"), "myservice")
    service.wait_for_deployment()
    assert service.run("1")["model"] == "one"
    lab.write("score.py", BROKEN)
    assert lab.deploy("--no-wait").code == 0
    with pytest.raises(WebserviceException, match="ValueError: no good"):
        service.wait_for_deployment()
    assert service.state == "failed"
    assert "ValueError: no good" in (service.manifest.parent / "deploy.log").read_text()


def test_row_49_an_environment_that_is_only_named(lab: Lab) -> None:
    lab.good("environment", "register", "--ic", "inferenceconfig.json")
    assert lab.good("environment", "list", "--output", "json").json[0]["name"] == "my-deploy-env"
    shown = lab.good("environment", "show", "-n", "my-deploy-env", "--version", "1")
    assert shown.json["environmentVariables"] == {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}
    assert PASSWORD not in shown.out
    lab.write("named.json", json.dumps({"entryScript": "score.py", "environment": {"name": "my-deploy-env"}}))
    lab.write("none.json", json.dumps({"entryScript": "score.py"}))
    lab.good("model", "register", "-n", "mymodel", "-p", "model.txt")
    variable = "_127_PASSWORD"
    for words in (("--ic", "named.json"), ("--ic", "none.json", "-e", "my-deploy-env", "--ev", "1")):
        lab.write("deploymentconfig.json", json.dumps({"computeType": "local"}))
        ended = lab("deploy", "-n", "myservice", "-m", "mymodel:1", *words, environ={variable: PASSWORD})
        assert ended.code == 0, ended.out + ended.err
    missing = lab("deploy", "-n", "myservice", "-m", "mymodel:1", "--ic", "none.json", "-e", "other")
    assert missing.code == 2
    assert "the workspace has no environment other\n  registered are: my-deploy-env" in missing.err


WRONG = {
    "a name": (("-n", "My_Service"), 3, "'My_Service' is no name for a service"),
    "no code": (("-n", "abc"), 2, "there is no code to serve the models with"),
    "no file": (("-n", "abc", "--ic", "nowhere.json"), 2, "there is no file nowhere.json"),
    "no model": (
        ("-n", "abc", "--es", "score.py", "-m", "nothing:3"),
        3,
        "ModelNotFound: the workspace has no model nothing:3",
    ),
    "twice": (("-n", "abc", "--es", "score.py", "-m", "m", "-m", "m:1"), 3, "model m is given twice"),
    "no script": (("-n", "abc", "--es", "nowhere.py"), 3, "there is no entry script nowhere.py"),
    "a port": (("-n", "abc", "--es", "score.py", "--port", "70000"), 3, "port is 70000"),
    "a setting of others": (("-n", "abc", "--es", "score.py", "--cc", "1"), 2, "--cpu-cores is nothing for a service"),
    "a cluster": (
        ("-n", "abc", "--es", "score.py", "--cp", "local", "--ct", "mycluster"),
        2,
        "a service of kind local has no compute target",
    ),
    "a cluster that nobody attached": (
        ("-n", "abc", "--es", "score.py", "--ct", "mycluster"),
        3,
        "ComputeTargetNotFound: the workspace has no compute target mycluster",
    ),
    "a key": (
        ("-n", "abc", "--es", "score.py", "--cp", "aci", "--kp", "k3y"),
        2,
        "--primary-key has the key itself",
    ),
    "a runtime": (("-n", "abc", "--es", "score.py", "--rt", "spark-py"), 2, "--runtime spark-py cannot be had here"),
    "a tag": (("-n", "abc", "--es", "score.py", "--tag", "x"), 2, "--tag x: that is not KEY=VALUE"),
}


@pytest.mark.parametrize("words, code, message", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = Lab.__new__(Lab)
    quiet.folder = tmp_path
    quiet.write("score.py", SCORE)
    quiet.write("model.txt", "one")
    quiet.good("model", "register", "-n", "m", "-p", "model.txt")
    ended = quiet("deploy", *words)
    assert ended.code == code, ended.out + ended.err
    assert message in ended.err
    assert "k3y" not in ended.err
    assert not list(tmp_path.glob(".pipeline/azureml/*/services/*"))


def test_without_a_workspace_it_is_said_how_one_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = Lab.__new__(Lab)
    ended = quiet("model", "list")
    assert ended.code == 2
    assert "there is no workspace in" in ended.err and "'pipeline azureml model register'" in ended.err
    assert not list(tmp_path.iterdir())


def test_row_03_code_and_models_lie_where_azure_ml_has_them(lab: Lab) -> None:
    lab.write("net/weights", "w")
    for name, path in (("mymodel", "model.txt"), ("net", "net")):
        lab.good("model", "register", "-n", name, "-p", path)
    lab.write(
        "score.py",
        "import os\ndef init(): pass\ndef run(data):\n"
        "    top = os.environ['AZUREML_MODEL_DIR']\n"
        "    found = [os.path.join(where, name) for where, _, names in os.walk(top) for name in names]\n"
        "    return {'top': top, 'files': sorted(found), 'code': os.path.abspath(__file__)}\n",
    )
    assert lab.deploy("-m", "net:1").code == 0
    place = "/var/azureml-app/azureml-models"
    assert lab.good("service", "run", "myservice", "-d", "1", "--output", "json").json == {
        "top": place,
        "files": [f"{place}/mymodel/1/model.txt", f"{place}/net/1/net/weights"],
        "code": "/var/azureml-app/score.py",
    }


def test_row_51_the_old_flags_say_the_same_as_the_file_and_over_it(tmp_path: Path) -> None:
    aks = {"computeType": "aks", "containerResourceRequirements": {"cpu": 1, "memoryInGB": 2}}
    (tmp_path / "aks.json").write_text(json.dumps(aks))
    silent = {flag.attribute: None for flag in FLAGS}
    given = {**silent, "kind": None, "target": "mycluster", "deploy_config_file": tmp_path / "aks.json"}
    assert deployment_of({**given, "cpu_cores": 0.5, "namespace": "ml"}).to_json() == {
        "computeType": "aks",
        "containerResourceRequirements": {"cpu": 0.5, "memoryInGB": 2},
        "namespace": "ml",
        "computeTargetName": "mycluster",
    }
    bare = {**given, "deploy_config_file": None, "target": None}
    assert deployment_of({**bare, "port": 8890}).to_json() == {"computeType": "local", "port": 8890}
    assert deployment_of({**bare, "kind": "ACI", "memory_gb": 1.5}).to_json() == {
        "computeType": "aci",
        "containerResourceRequirements": {"memoryInGB": 1.5},
    }
    with pytest.raises(UsageError, match=r"--compute-type is aci, and .* is for aks"):
        deployment_of({**given, "kind": "aci"})


def test_clusters_get_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = Lab.__new__(Lab)
    quiet.good("computetarget", "attach", "-n", "myaks", "-g", "rg", "--cluster-name", "aks1")
    assert quiet.good("computetarget", "list", "--output", "json").json == [
        {"name": "myaks", "resource_group": "rg", "cluster_name": "aks1"}
    ]
    assert quiet("computetarget", "attach", "-n", "other").code == 3
    quiet.good("computetarget", "detach", "-n", "myaks")
    assert "ComputeTargetNotFound" in quiet("computetarget", "detach", "-n", "myaks").err
