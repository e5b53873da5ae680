"""How an image is to be run: its environment, entrypoint, user, ports and labels (OCI config.md, "Properties")."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from pipeline.errors import AssembleError
from pipeline.facts import Facts
from pipeline.layers import model as model_kind
from pipeline.manifest.model import Serve
from pipeline.plan.model import ResolvedImage
from pipeline.recipe import Borrow

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVER = "azureml_inference_server_http"


def runtime(resolved: ResolvedImage) -> dict[str, Any]:
    """The `config` property of the image's config."""
    image, facts = resolved.image, resolved.stack[-1].facts
    below = inherited(resolved)
    value: dict[str, Any] = {
        **below,
        "User": image.user or below.get("User"),
        "Env": [f"{name}={text}" for name, text in _environment(resolved, below).items()],
        "WorkingDir": image.workdir or (image.serve.app_root if image.serve else below.get("WorkingDir")),
        "Labels": dict(sorted({**(below.get("Labels") or {}), **image.labels}.items())),
    }
    if image.serve:
        value["ExposedPorts"] = {**(below.get("ExposedPorts") or {}), f"{image.serve.port}/tcp": {}}
        value["Entrypoint"] = _server(resolved, image.serve, facts)
        value["StopSignal"] = "SIGTERM"
    if image.command:
        value["Entrypoint"] = list(image.command)
    if image.serve or image.command:
        # As in a Dockerfile: who sets the entrypoint drops the inherited arguments.
        value.pop("Cmd", None)
    return {key: entry for key, entry in value.items() if entry}


def inherited(resolved: ResolvedImage) -> Mapping[str, Any]:
    """The config of the image that this one is built on: another of the manifest, or one from elsewhere."""
    if resolved.below:
        return runtime(resolved.below)
    recipes = [recipe for item in resolved.stack[:1] for recipe in item.recipes]
    return next((dict(recipe.config) for recipe in recipes if isinstance(recipe, Borrow)), {})


def environment(facts: Facts, below: Mapping[str, Any]) -> dict[str, str]:
    """The variables that every program of an image gets: its base's, from the config `below`, and its layers'."""
    env = {"PATH": PATH, "LANG": "C.UTF-8"}
    env |= _variables(below)
    there = env["PATH"].split(":")
    env["PATH"] = ":".join((*(folder for folder in facts.path if folder not in there), *there))
    return {**env, **facts.env}


def _variables(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)


def _environment(resolved: ResolvedImage, below: Mapping[str, Any]) -> Mapping[str, str]:
    image, facts = resolved.image, resolved.stack[-1].facts
    env = environment(facts, below)
    if resolved.below:
        # What the image below sets by itself holds, but for what a layer on top of it wants otherwise.
        known = resolved.below.stack[-1].facts.env
        env |= {name: text for name, text in _variables(below).items() if name in known and known[name] == env[name]}
    if facts.python:
        env["PYTHONUNBUFFERED"] = "1"
    if image.serve:
        env |= _served(image.serve)
    if folder := _model_dir(resolved):
        env["AZUREML_MODEL_DIR"] = folder
    return {**env, **image.env}


def _served(serve: Serve) -> dict[str, str]:
    """The variables that azureml-inference-server-http reads, as far as the manifest says something."""
    env = {"AML_APP_ROOT": serve.app_root}
    if serve.workers:
        env["WORKER_COUNT"] = f"{serve.workers:d}"
    if serve.scoring_timeout:
        env["SCORING_TIMEOUT_MS"] = f"{max(1, round(serve.scoring_timeout * 1000)):d}"
    if serve.worker_timeout:
        env["WORKER_TIMEOUT"] = f"{max(1, round(serve.worker_timeout)):d}"
    return env


def _model_dir(resolved: ResolvedImage) -> str:
    """One model: its own folder; several: the folder that holds them all, as Azure ML has it."""
    places = [model_kind.place(item.entry.spec) for item in resolved.stack if item.entry.kind == "model"]
    return places[0] if len(places) == 1 else model_kind.MODELS if places else ""


def _server(resolved: ResolvedImage, serve: Serve, facts: Facts) -> list[str]:
    if facts.python is None:
        raise AssembleError(
            f"image {resolved.image.name} serves {serve.entry_script}, but {resolved.image.base} has no Python",
            remedy="add python3 to the base's packages",
            place=resolved.image.location,
        )
    script = posixpath.join(serve.app_root, serve.entry_script)
    return [facts.python.executable, "-m", SERVER, "--entry_script", script, "--port", str(serve.port)]
