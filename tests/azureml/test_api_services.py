"""The SDK's scripts on this machine: a model is registered, deployed on one's own base, asked, updated, deleted."""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from lab import PASSWORD, USER, free_port
from registry_server import RealRegistry
from servinglab import SCORE

from pipeline.azureml import Environment, InferenceConfig, LocalWebservice, Model, Webservice, Workspace
from pipeline.azureml.exceptions import WebserviceException


@pytest.fixture
def ws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "score.py").write_text(SCORE)
    (tmp_path / "model.txt").write_text("one")
    made = Workspace.create("myworkspace")
    yield made
    for service in made.webservices.values():
        service.delete()


def environment(base: str, registry: RealRegistry) -> Environment:
    """As the document's snippet has it."""
    myenv = Environment(name="myenv")
    myenv.docker.enabled = True
    myenv.docker.base_image = base
    myenv.docker.base_image_registry.address = registry.address
    myenv.docker.base_image_registry.username = USER
    myenv.docker.base_image_registry.password = PASSWORD
    myenv.python.user_managed_dependencies = True
    return myenv


def test_row_43_to_46_a_service_lives_as_the_document_has_it(
    ws: Workspace, base: str, registry: RealRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    model = Model.register(ws, "model.txt", "mymodel")
    inference_config = InferenceConfig(entry_script="score.py", environment=environment(base, registry))
    deployment_config = LocalWebservice.deploy_configuration(port=port)
    service = Model.deploy(ws, "myservice", [model], inference_config, deployment_config)
    service.wait_for_deployment(show_output=True)
    assert service.state == "running"
    assert service.scoring_uri == f"http://localhost:{port}/score"
    assert f"at http://localhost:{port}" in capsys.readouterr().out
    answer = {"model": "one", "data": {"x": [1]}, "base": "mine", "variable": "EXAMPLE_VALUE"}
    assert service.run(json.dumps({"x": [1]})) == answer
    with urllib.request.urlopen(str(service.swagger_uri)) as swagger:
        assert json.load(swagger) == {"swagger": "2.0"}
    assert "loaded one" in service.get_logs()
    assert [each.name for each in Webservice.list(ws, model_id="mymodel:1")] == ["myservice"]
    with pytest.raises(WebserviceException, match="mymodel:1 is in use by myservice"):
        model.delete()

    Path("model.txt").write_text("two")
    service.update(models=[Model.register(ws, "model.txt", "mymodel")], wait=True)
    assert service.run(b"1")["model"] == "two"
    Path("score.py").write_text(SCORE.replace('"base"', '"root"'))
    service.reload()
    assert service.run("1")["root"] == "mine"
    assert service.port == port

    again = Webservice(ws, "myservice")
    assert isinstance(again, LocalWebservice)
    assert (again.state, again.models) == ("running", ["mymodel:2"])
    again.delete()
    assert again.state == "deleted"
    with pytest.raises(WebserviceException, match="is deleted"):
        again.run("1")
    with pytest.raises(WebserviceException, match="WebserviceNotFound"):
        Webservice(ws, "myservice")
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


SNIPPET = """
from azureml.core import Workspace
from azureml.core.environment import Environment
# Create the environment
myenv = Environment(name="myenv")
# Enable Docker and reference an image
myenv.docker.enabled = True
myenv.docker.base_image = "BASE"

# Set the container registry information
myenv.docker.base_image_registry.address = "REGISTRY"
myenv.docker.base_image_registry.username = "username"
myenv.docker.base_image_registry.password = "password"
myenv.python.user_managed_dependencies = True

from azureml.core.model import InferenceConfig
inference_config = InferenceConfig(entry_script="score.py", environment=myenv)

from azureml.core.webservice import LocalWebservice, Webservice
from azureml.core.model import Model
from azureml.exceptions import WebserviceException

ws = Workspace.from_config()
model = Model.register(ws, model_path="model.txt", model_name="mymodel")
deployment_config = LocalWebservice.deploy_configuration(port=8890)
service = Model.deploy(ws, "myservice", [model], inference_config, deployment_config)
service.wait_for_deployment(show_output = True)
print(service.state)
print("scoring URI: " + service.scoring_uri)
"""


def test_row_36_to_46_the_document_s_snippet_runs_after_its_import_lines_are_changed(
    ws: Workspace, base: str, registry: RealRegistry, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    values = {"BASE": base, "REGISTRY": registry.address, '"username"': f'"{USER}"', '"password"': f'"{PASSWORD}"'}
    values |= {
        "8890": str(port),
        "azureml.core": "pipeline.azureml",
        "azureml.exceptions": "pipeline.azureml.exceptions",
    }
    text = SNIPPET
    for name, value in values.items():
        text = text.replace(name, value)
    Path(".azureml").mkdir()
    Path(".azureml/config.json").write_text(json.dumps({"workspace_name": ws.name}))
    exec(compile(text, "snippet", "exec"), {})
    said = capsys.readouterr().out
    assert said.endswith(f"running\nscoring URI: http://localhost:{port}/score\n"), said
    assert Webservice(ws, "myservice").run("1")["model"] == "one"
