"""A project folder of an Azure ML user, with a real registry beside it, and `pipeline` called in it."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from registry_server import RealRegistry
from servinglab import SCORE

from pipeline.cli._door import run

USER, PASSWORD = "bob", "s3cret-of-bob"
BROKEN = "def init(): raise ValueError('no good')\ndef run(data): return data\n"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Lab:
    """The folder, which is the current one; `base` is the reference of a base image in the registry."""

    def __init__(self, folder: Path, registry: RealRegistry, base: str) -> None:
        self.folder = folder
        self.registry = registry
        self.base = base
        self.port = free_port()
        self.write("score.py", SCORE)
        self.write("model.txt", "one")
        self.write("inferenceconfig.json", json.dumps(self.inference()))
        self.write("deploymentconfig.json", json.dumps({"computeType": "local", "port": self.port}))

    def inference(self, **more: Any) -> dict[str, Any]:
        """An inferenceconfig.json with an inline environment, and a private registry."""
        registry = {"address": self.registry.address, "username": USER, "password": PASSWORD}
        return {
            "entryScript": "score.py",
            "environment": {
                "name": "my-deploy-env",
                "docker": {"enabled": False, "baseImage": self.base, "baseImageRegistry": registry},
                "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"},
                "python": {"userManagedDependencies": True},
            },
            **more,
        }

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def __call__(self, *args: str, environ: Mapping[str, str] | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        code = run(("azureml", *args), environ={**os.environ, **(environ or {})}, out=out, err=err)
        return Ended(code, out.getvalue(), err.getvalue())

    def good(self, *args: str) -> Ended:
        ended = self(*args)
        assert ended.code == 0, ended.out + ended.err
        return ended

    def deploy(self, *args: str) -> Ended:
        files = ("--ic", "inferenceconfig.json", "--dc", "deploymentconfig.json")
        return self("deploy", "-n", "myservice", "-m", "mymodel:1", *files, *args)
