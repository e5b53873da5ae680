"""Which tasks a manifest's bases are: one for each Dockerfile and platform."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.azure.task import Task
from pipeline.bases._dockerfile import parents, read, shown_in_history
from pipeline.bases.dockerfile import context_of
from pipeline.errors import UsageError
from pipeline.facts import Platform
from pipeline.kinds import Files
from pipeline.manifest.model import Entry, Manifest, Registry
from pipeline.noun import noun
from pipeline.reference import below, is_azure, parse

_SCP = re.compile(r"(?:ssh://)?git@([^:/]+)[:/](.+)")
_LONGEST = 50
"""Characters of a task's name (Azure's naming rules)."""


@noun
class Wanted:
    """What the user asked for: a Git repository and a branch, the manifest's folder in it, and the triggers."""

    repository: str
    branch: str
    folder: str
    schedules: Sequence[str]
    base_images: str
    registry: str = ""
    platform: str = "linux/amd64"


def tasks_of(manifest: Manifest, files: Files, wanted: Wanted) -> list[Task]:
    """A task for each base that is a Dockerfile, on each platform that an image needs it for. UsageError for none."""
    bases = [entry for entry in manifest.bases.values() if entry.kind == "dockerfile"]
    if not bases:
        fact = f"{manifest.path.name} has no base of a Dockerfile, and a task builds nothing else"
        raise UsageError(fact, remedy="for the whole manifest: pipeline export cron, or azure-pipelines")
    registry = _registry(manifest, wanted.registry)
    return [
        _task(manifest, entry, platform, several, files, wanted, registry)
        for entry in bases
        for platform, several in _platforms(manifest, entry, wanted)
    ]


def https(address: str) -> str:
    """A Git remote's address as Azure takes it: git@host:path is https://host/path.git."""
    found = _SCP.fullmatch(address)
    return f"https://{found[1]}/{found[2]}" if found else address


def _registry(manifest: Manifest, name: str) -> Registry:
    name = name or manifest.build.registry
    azure = [one for one in manifest.registries.values() if one.azure is not None or is_azure(_host(one))]
    if name:
        if name not in manifest.registries:
            raise UsageError(f"unknown registry '{name}'", remedy="name one of the manifest's registries")
        return manifest.registries[name]
    if len(azure) != 1:
        names = ", ".join(one.name for one in azure) or "none"
        fact = f"which registry is to build? The manifest's registries of Azure are: {names}"
        raise UsageError(fact, remedy="name one with --registry")
    return azure[0]


def _host(registry: Registry) -> str:
    return registry.address.partition("/")[0].lower()


def _platforms(manifest: Manifest, entry: Entry, wanted: Wanted) -> Iterator[tuple[Platform, bool]]:
    using = [image for image in manifest.images.values() if image.base == entry.name]
    found = sorted({platform for image in using for platform in image.platforms}) or [wanted.platform]
    for platform in found:
        yield Platform.parse(platform), len(found) > 1


def _task(
    manifest: Manifest,
    entry: Entry,
    platform: Platform,
    several: bool,
    files: Files,
    wanted: Wanted,
    registry: Registry,
) -> Task:
    spec: Mapping[str, Any] = entry.spec
    suffix = f"-{platform.architecture}{platform.variant}" if several else ""
    remote = manifest.build.remote
    repository = below(registry.address, f"{remote.repository or f'bases/{manifest.name}'}/{entry.name}{suffix}")
    folder, dockerfile = _paths(entry, wanted.folder)
    args = {name: str(value) for name, value in (spec.get("args") or {}).items()}
    secrets = sorted(spec.get("secrets") or {})
    text = files.text(spec["path"])
    read_ = read(text, args, platform)
    if shown := sorted(shown_in_history(read_, spec.get("target", ""), secrets)):
        fact = f"the history of the image would show {', '.join(shown)}: its last build stage has it as ARG"
        raise UsageError(fact, remedy="use it in an earlier stage", place=entry.location)
    return Task(
        name=re.sub(r"[^A-Za-z0-9-]+", "-", f"{manifest.name}-{entry.name}{suffix}")[:_LONGEST],
        registry=_host(registry).partition(".")[0],
        image=repository.repository,
        context=f"{https(wanted.repository)}#{wanted.branch}" + (f":{folder}" if folder else ""),
        dockerfile=dockerfile,
        platform=platform,
        args=args,
        secrets=secrets,
        logins=_logins(manifest, parents(read_, spec.get("target", "")), registry),
        target=spec.get("target", ""),
        timeout=remote.timeout,
        pool=remote.pool,
        schedules=wanted.schedules,
        base_images=wanted.base_images,
    )


def _paths(entry: Entry, folder: str) -> tuple[str, str]:
    """The context's folder in the repository, and the Dockerfile's path in it."""
    context = posixpath.normpath(posixpath.join(folder, context_of(entry.spec)))
    path = posixpath.normpath(posixpath.join(folder, entry.spec["path"]))
    context = "" if context == "." else context
    if context and not path.startswith(f"{context}/"):
        fact = f"{entry.spec['path']} is not in its context, {context_of(entry.spec)}, and Azure takes nothing else"
        raise UsageError(fact, remedy="move one of them", place=entry.location)
    return context, path.removeprefix(f"{context}/") if context else path


def _logins(manifest: Manifest, names: Sequence[str], registry: Registry) -> dict[str, str]:
    hosts = {parse(name).registry for name in names} - {_host(registry)}
    return {_host(one): one.username for one in manifest.registries.values() if one.username and _host(one) in hosts}
