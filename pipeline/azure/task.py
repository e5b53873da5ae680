"""A base's Dockerfile as a task of Azure's registries: built by the clock, and when what it starts from is new.

Formats: ARM template reference, Microsoft.ContainerRegistry/registries/tasks 2019-04-01; `az acr task create`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

from pipeline.facts import Platform
from pipeline.noun import noun

VERSION = "2019-04-01"
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
_BASE_TRIGGER = "defaultBaseimageTriggerName"
_TIMER = "timer"


@noun
class Task:
    """One base on one platform. `image` is the repository in the registry; `context` as Azure has it, an address of a
    Git repository with #branch:folder; `secrets` are names of build arguments; `logins` are hosts and the users that
    pull from there. `base_images` is runtime, all or none; `schedules` are of crontab's five fields, in UTC.
    """

    name: str
    registry: str
    image: str
    context: str
    dockerfile: str
    platform: Platform
    args: Mapping[str, str] = field(default_factory=dict)
    secrets: Sequence[str] = ()
    logins: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    timeout: float = 3600.0
    pool: str = ""
    schedules: Sequence[str] = ()
    base_images: str = "runtime"

    @property
    def images(self) -> tuple[str, str]:
        return (f"{self.image}:{{{{.Run.ID}}}}", f"{self.image}:latest")


def template(tasks: Sequence[Task]) -> dict[str, Any]:
    """An ARM template (JSON) of tasks; what is secret is a parameter of it."""
    parameters: dict[str, Any] = {"location": {"type": "string", "defaultValue": "[resourceGroup().location]"}}
    token = "An access token of the repository, for a private one."
    parameters["contextAccessToken"] = {"type": "securestring", "defaultValue": "", "metadata": {"description": token}}
    for task in tasks:
        parameters |= {_parameter(name): {"type": "securestring"} for name in task.secrets}
        parameters |= {_parameter(f"{host} password"): {"type": "securestring"} for host in task.logins}
    resources = [_resource(task) for task in tasks]
    return {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "parameters": parameters, "resources": resources}


def commands(tasks: Sequence[Task]) -> str:
    """The same by `az`; what is secret is a variable of the shell."""
    lines = ["#!/bin/sh", "# Makes the tasks, or brings those that are there up to date.", "set -eu"]
    for task in tasks:
        lines += ["", " \\\n  ".join(_create(task))]
        for number, schedule in enumerate(task.schedules[1:], 2):
            place = f"--registry {task.registry} --name {task.name}"
            words = f"--timer-name {_TIMER}{number} --schedule {shlex.quote(schedule)}"
            lines.append(f"az acr task timer add {place} {words}")
        for host, user in task.logins.items():
            place = f"--registry {task.registry} --name {task.name} --login-server {host}"
            lines.append(
                f'az acr task credential add {place} --username {shlex.quote(user)} --password "${_shell(host)}"'
            )
    return "\n".join(lines) + "\n"


def _resource(task: Task) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "status": "Enabled",
        "platform": _platform(task.platform),
        "timeout": int(task.timeout),
        "step": _step(task),
        "trigger": _triggers(task),
    }
    if task.pool:
        properties["agentPoolName"] = task.pool
    if task.logins:
        properties["credentials"] = {"customRegistries": {host: _login(host, task) for host in task.logins}}
    return {
        "type": "Microsoft.ContainerRegistry/registries/tasks",
        # Agent pools came with the preview.
        "apiVersion": "2019-06-01-preview" if task.pool else VERSION,
        "name": f"{task.registry}/{task.name}",
        "location": "[parameters('location')]",
        "properties": properties,
    }


def _step(task: Task) -> dict[str, Any]:
    arguments = [{"name": name, "value": _literal(value), "isSecret": False} for name, value in task.args.items()]
    arguments += [{"name": name, "value": _reference(name), "isSecret": True} for name in task.secrets]
    step = {
        "type": "Docker",
        "contextPath": task.context,
        "contextAccessToken": "[if(empty(parameters('contextAccessToken')), null(), parameters('contextAccessToken'))]",
        "dockerFilePath": task.dockerfile,
        "imageNames": list(task.images),
        "isPushEnabled": True,
        "noCache": False,
        "arguments": arguments,
    }
    return {**step, "target": task.target} if task.target else step


def _triggers(task: Task) -> dict[str, Any]:
    names = [_TIMER, *(f"{_TIMER}{number}" for number in range(2, len(task.schedules) + 1))]
    timers = [
        {"name": name, "schedule": schedule, "status": "Enabled"}
        for name, schedule in zip(names, task.schedules, strict=False)
    ]
    found: dict[str, Any] = {"timerTriggers": timers} if timers else {}
    if task.base_images != "none":
        kind = task.base_images.capitalize()
        found["baseImageTrigger"] = {"name": _BASE_TRIGGER, "baseImageTriggerType": kind, "status": "Enabled"}
    return found


def _login(host: str, task: Task) -> dict[str, Any]:
    password = {"type": "Opaque", "value": _reference(f"{host} password")}
    return {"userName": {"type": "Opaque", "value": _literal(task.logins[host])}, "password": password}


def _platform(platform: Platform) -> dict[str, str]:
    found = {"os": platform.os.capitalize(), "architecture": platform.architecture}
    return {**found, "variant": platform.variant} if platform.variant else found


def _create(task: Task) -> Iterator[str]:
    yield "az acr task create"
    yield f"--registry {task.registry} --name {task.name}"
    for image in task.images:
        yield f"--image {shlex.quote(image)}"
    yield f"--context {shlex.quote(task.context)} --file {shlex.quote(task.dockerfile)}"
    yield f"--platform {task.platform} --timeout {int(task.timeout)}"
    for name, value in task.args.items():
        yield f"--arg {shlex.quote(f'{name}={value}')}"
    for name in task.secrets:
        yield f'--secret-arg "{name}=${name}"'
    if task.target:
        yield f"--target {shlex.quote(task.target)}"
    if task.pool:
        yield f"--agent-pool {shlex.quote(task.pool)}"
    if task.schedules:
        yield f"--schedule {shlex.quote(task.schedules[0])}"
    enabled = task.base_images != "none"
    kind = f" --base-image-trigger-type {task.base_images.capitalize()}" if enabled else ""
    yield f"--base-image-trigger-enabled {str(enabled).lower()}{kind}"
    yield "--commit-trigger-enabled false --pull-request-trigger-enabled false"
    yield '${GIT_TOKEN:+--git-access-token "$GIT_TOKEN"}'


def _parameter(name: str) -> str:
    """A name of a template's parameter: letters and digits."""
    first, *rest = re.findall(r"[A-Za-z0-9]+", name)
    found = first.lower() + "".join(word[:1].upper() + word[1:].lower() for word in rest)
    return found if found[0].isalpha() else f"p{found}"


def _reference(name: str) -> str:
    return f"[parameters('{_parameter(name)}')]"


def _literal(text: str) -> str:
    """Text that a template takes as it is: one that begins with a bracket would be read as an expression."""
    return f"[{text}" if text.startswith("[") else text


def _shell(host: str) -> str:
    return re.sub(r"\W+", "_", host).strip("_").upper() + "_PASSWORD"
