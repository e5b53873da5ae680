"""`pipeline import azureml`, then `pipeline run`: a private base, a conda channel, a service that answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from condamaker import Channel
from registry_server import RealRegistry, free_port, running
from servinglab import SCORE, Registry

USER, PASSWORD = "bob", "pa55word-of-bob"
Project = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


class Shell:
    """The command line in a project folder, with a home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.environ = {**os.environ, "PIPELINE_HOME": str(home), "NO_COLOR": "1"}

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, said
        assert PASSWORD not in said
        return said


def test_row_47_files_with_a_private_base_and_conda_packages_become_a_service_that_answers(
    registry: RealRegistry, project: Project, tmp_path: Path
) -> None:
    Channel(tmp_path / "channel").package("azureml-inference-server-http", "1.5", {"share/told.txt": "conda was here"})
    base = Registry(registry.address, USER, PASSWORD).push_base("ml/base", "1")
    given = {"address": registry.address, "username": USER, "password": PASSWORD}
    packages = {
        "name": "project_environment",
        "channels": [(tmp_path / "channel").as_uri()],
        "dependencies": ["azureml-inference-server-http"],
    }
    environment = {
        "name": "my-deploy-env",
        "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
        "docker": {"baseImage": base, "baseImageRegistry": given},
        "python": {"condaDependencies": packages},
    }
    port = free_port()
    folder = project(
        {
            "code/score.py": SCORE,
            "model.txt": "seven\n",
            "inferenceconfig.json": json.dumps(
                {"entryScript": "score.py", "sourceDirectory": "code", "environment": environment}
            ),
            "deploymentconfig.json": json.dumps({"computeType": "local", "port": port}),
        }
    )
    pipeline = Shell(folder, tmp_path / "home")
    said = pipeline(
        *("import", "azureml", "--ic", "inferenceconfig.json", "--dc", "deploymentconfig.json"),
        *("-m", "mymodel:1=model.txt", "-n", "myservice"),
    )
    text = (folder / "pipeline.yaml").read_text()
    variable = next(word for word in said.replace(",", " ").split() if word.endswith("_PASSWORD"))
    assert PASSWORD not in text and f"${{env:{variable}}}" in text
    assert variable in pipeline("run", code=2)
    pipeline.environ[variable] = PASSWORD
    try:
        pipeline("run", "--set", "targets.myservice.local.engine=none")
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/score", b'{"x": 1}', {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer) == {"model": "seven", "data": {"x": 1}, "base": "", "variable": "EXAMPLE_VALUE"}
        told = "/azureml-envs/project_environment/share/told.txt"
        assert "conda was here" in pipeline("image", "cat", "myservice", told)
        again = pipeline("run", "--set", "targets.myservice.local.engine=none")
        assert "hits" in again and " made" not in again, "an import that nothing changed is built again"
    finally:
        pipeline("stop", "pipeline.yaml", "myservice")
