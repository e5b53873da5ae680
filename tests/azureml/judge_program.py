"""Runs in .venv-azure: answers questions about files with Azure ML's own libraries. One JSON value on each line.

A question is {"ask": NAME, ...}; the answer {"answer": ...}, or {"refused": words} where the library raises.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)


def environment(value: dict[str, Any]) -> Any:
    """An environment's JSON, read and dumped by the SDK."""
    from azureml.core.environment import Environment

    return Environment._serialize_to_dict(Environment._deserialize_and_add_to_object(value))


def script(text: str) -> Any:
    """What a script, in the SDK's words, leaves in `result`."""
    import azureml.core.conda_dependencies
    import azureml.core.container_registry
    import azureml.core.environment
    import azureml.core.model
    import azureml.core.webservice

    names: dict[str, Any] = {}
    for module in (
        azureml.core.environment,
        azureml.core.conda_dependencies,
        azureml.core.container_registry,
        azureml.core.model,
        azureml.core.webservice,
    ):
        names |= vars(module)
    exec(text, names)
    return names["result"]


def environment_script(text: str) -> Any:
    from azureml.core.environment import Environment

    return Environment._serialize_to_dict(script(text))


def deployment(value: dict[str, Any]) -> Any:
    """A deploymentconfig.json as the attributes of the SDK's object."""
    import azureml.core.webservice  # noqa: F401 - else the SDK's modules import each other in a circle
    from azureml._model_management._util import deploy_config_dict_to_obj

    found = vars(deploy_config_dict_to_obj(value, None, None, None))
    return {name: part for name, part in found.items() if not name.startswith("_")}


def inference(entry_script: str, source_directory: str | None, environment: dict[str, Any] | None) -> Any:
    """Whether the SDK takes an inference configuration."""
    from azureml.core.environment import Environment
    from azureml.core.model import InferenceConfig

    made = environment and Environment._deserialize_and_add_to_object(environment)
    InferenceConfig(entry_script=entry_script, source_directory=source_directory, environment=made)
    return "taken"


def v2(kind: str, path: str) -> Any:
    """A YAML file of the current API, loaded and dumped by azure-ai-ml."""
    from azure.ai.ml import load_environment, load_online_deployment, load_online_endpoint

    load = {
        "environment": load_environment,
        "endpoint": load_online_endpoint,
        "deployment": load_online_deployment,
    }[kind]
    found = load(source=path)
    if kind == "environment":
        found.validate()
    if kind == "deployment":
        found._validate()
    return json.loads(json.dumps(found._to_dict(), default=str))


ANSWERS = {each.__name__: each for each in (environment, environment_script, script, deployment, inference, v2)}


def main() -> None:
    out = sys.stdout
    for line in sys.stdin:
        question = json.loads(line)
        try:
            with contextlib.redirect_stdout(sys.stderr):
                answer = {"answer": ANSWERS[question.pop("ask")](**question)}
        except Exception as error:
            cause = error.__cause__
            answer = {"refused": f"{type(error).__name__}: {error}" + (f": {cause}" if cause else "")}
        out.write(json.dumps(answer, default=str) + "\n")
        out.flush()


main()
