"""inference-schema's decorators in an image of the real serving stack: what a request must be, and the description."""

from __future__ import annotations

import io
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.cli._door import run

MANIFEST = """\
version: 1
name: described
bases: {{slim: {{debian: {{suite: bookworm, packages: [python3, ca-certificates, libstdc++6]}}}}}}
layers:
  code: {{files: [{{from: src/, to: /var/azureml-app/}}]}}
images:
  web:
    base: slim
    layers: [code]
    serve: {{stack: azureml, entry_script: score.py}}
    checks: {{score: {{request: {{ages: [41, 42]}}, expect: {{const: {{oldest: 42}}}}}}}}
targets: {{here: {{local: {{image: web, port: {port}, engine: none}}}}}}
"""
SCRIPT = """\
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init(): pass

@input_schema("ages", StandardPythonParameterType([1]))
@output_schema(StandardPythonParameterType({"oldest": 1}))
def run(ages):
    return {"oldest": max(ages)}
"""


def ask(address: str, body: str = "") -> tuple[int, str]:
    request = urllib.request.Request(address, body.encode() or None, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.fixture
def service(project: Callable[[Mapping[str, str]], Path]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    manifest = project({"described.yaml": MANIFEST.format(port=port), "src/score.py": SCRIPT}) / "described.yaml"
    said = io.StringIO()
    code = run(["run", str(manifest)], environ=dict(os.environ), out=said, err=said)
    try:
        assert code == 0, said.getvalue()
        yield f"http://127.0.0.1:{port}"
    finally:
        run(["stop", str(manifest)], environ=dict(os.environ), out=said, err=said)


@pytest.mark.network
def test_row_22_the_decorators_check_requests_and_give_the_swagger(service: str) -> None:
    assert ask(f"{service}/score", '{"ages": [3, 9]}') == (200, '{"oldest": 9}')
    status, told = ask(f"{service}/score", '{"years": [3, 9]}')
    assert status == 400, told
    description = json.loads(ask(f"{service}/swagger.json?version=3")[1])
    assert description["openapi"].startswith("3.")
    schemas = description["components"]["schemas"]
    assert schemas["ServiceInput"]["properties"]["ages"]["items"]["type"] == "integer"
    assert schemas["ServiceOutput"]["properties"]["oldest"]["type"] == "integer"
    assert "swagger" in json.loads(ask(f"{service}/swagger.json?version=2")[1])
