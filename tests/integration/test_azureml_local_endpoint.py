"""What `pipeline export azureml --v2` writes, deployed by MLClient(local=True), Azure ML's own, in a real engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "azureml"))

import docker_server
import registry_server
from judging import PYTHON
from servinglab import SCORE, Registry

Project = Callable[[Mapping[str, str | bytes]], Path]
BRIDGE, NETWORK = "pipetest0", "172.31.249.1/24"
MANIFEST = """\
version: 1
name: local
registries: {{here: {{address: "{address}"}}}}
bases: {{own: {{image: {{reference: "base:1", registry: here}}}}}}
layers:
  weights: {{model: {{name: mymodel, version: 4, path: models/model.txt}}}}
  code: {{files: [{{from: src/, to: /var/azureml-app/}}]}}
images:
  scoring:
    base: own
    layers: [weights, code]
    serve: {{entry_script: score.py}}
    env: {{EXAMPLE_ENV_VAR: in the image}}
    push: {{to: here, repository: ml/scoring}}
"""
DEPLOY = '''
import json, sys, time
from azure.ai.ml import MLClient, load_online_deployment, load_online_endpoint
from azure.core.credentials import AccessToken

class Nobody:
    """Nothing is asked for that needs a credential."""
    def get_token(self, *_, **__):
        return AccessToken("none", int(time.time()) + 3600)

folder, request = sys.argv[1:]
client = MLClient(Nobody(), "00000000-0000-0000-0000-000000000000", "group", "workspace")
endpoint = load_online_endpoint(f"{folder}/endpoint.yml")
deployment = load_online_deployment(f"{folder}/deployment.yml")
client.online_endpoints.begin_create_or_update(endpoint, local=True)
try:
    made = client.online_deployments.begin_create_or_update(deployment, local=True)
    answer = client.online_endpoints.invoke(endpoint.name, request_file=request, local=True)
    print("ANSWER", json.dumps([made.provisioning_state, json.loads(answer)]))
finally:
    client.online_endpoints.begin_delete(endpoint.name, local=True)
'''


@contextmanager
def bridge() -> Iterator[str]:
    """A network for containers: the client publishes their ports."""
    if not shutil.which("ip"):
        pytest.skip("there is no `ip` (Debian's iproute2) to make a network for containers")
    made = subprocess.run(["ip", "link", "add", BRIDGE, "type", "bridge"], capture_output=True, text=True)
    if made.returncode != 0 and "exists" not in made.stderr:
        pytest.skip(f"a network for containers cannot be made here: {made.stderr.strip()}")
    try:
        subprocess.run(["ip", "addr", "replace", NETWORK, "dev", BRIDGE], check=True, capture_output=True)
        subprocess.run(["ip", "link", "set", BRIDGE, "up"], check=True, capture_output=True)
        yield BRIDGE
    finally:
        subprocess.run(["ip", "link", "del", BRIDGE], check=False, capture_output=True)


@pytest.mark.slow
def test_an_exported_environment_is_deployed_by_the_client_itself(project: Project, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("Azure ML's libraries are not there: make judges")
    environ = {**os.environ, "PIPELINE_HOME": str(tmp_path / "home"), "HOME": str(tmp_path / "azure")}

    def call(*words: str) -> str:
        done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    with (
        bridge() as network,
        registry_server.running() as registry,
        docker_server.running(f"--bridge={network}", "--userland-proxy=true") as docker,
    ):
        environ["DOCKER_HOST"] = docker.address
        Registry(registry.address).push_base("base", "1", ("BASE=mine",))
        files = {"src/score.py": SCORE, "models/model.txt": "seven", "request.json": '{"x": 1}'}
        folder = project({**files, "pipeline.yaml": MANIFEST.format(address=registry.address), "deploy.py": DEPLOY})
        call(sys.executable, "-m", "pipeline", "run", "pipeline.yaml")
        call(sys.executable, "-m", "pipeline", "export", "azureml", "pipeline.yaml", "--v2")
        assert "ml/scoring@sha256:" in (folder / "azureml/environment.yml").read_text()
        said = call(str(PYTHON), "deploy.py", "azureml", "request.json")
    state, answer = json.loads(said.partition("ANSWER ")[2].splitlines()[0])
    assert state == "Succeeded"
    assert answer == {"model": "seven", "data": {"x": 1}, "base": "mine", "variable": "in the image"}
