"""What the schema of the server's settings cannot say: pure checks of the whole, but for files that must be there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.manifest.build import seconds
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_
from pipeline.manifest.secrets import reveal
from pipeline.serve import addresses
from pipeline.serve.settings import Settings
from pipeline.serve.web.access import access_flaws

LEAST_POLL = 5.0
"""Seconds: hosts take more frequent questions for an attack."""
_KINDS = ("webhook", "slack", "teams")


def flaws(data: Any, folder: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    """All of them. Values of the wrong type are passed by: the schema tells of those."""
    repositories = _mapping(_mapping(data).get("repositories"))
    for name, one in repositories.items():
        yield from _repository(("repositories", name), _mapping(one), folder, environ)
    yield from _twice(repositories, folder)
    for name, one in _mapping(_mapping(data).get("messages")).items():
        yield from _message(("messages", name), _mapping(one))
    yield from _access(("access",), _mapping(_mapping(data).get("access")), folder)


def _repository(path: Path_, one: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    poll = _seconds(one.get("poll", LEAST_POLL))
    if poll is not None and poll < LEAST_POLL:
        remedy = "5s or more; a webhook makes it immediate (docs/serve.md)"
        yield Finding((*path, "poll"), f"'poll' is out of range: {one['poll']}", remedy)
    url = one.get("url")
    if isinstance(url, str) and url:
        yield from _address((*path, "url"), reveal(url), one)
    for kind, file in _mapping(one.get("signed")).items():
        yield from _there((*path, "signed", kind), file, folder)
    names = one.get("environment")
    for index, name in enumerate(names if isinstance(names, list) else ()):
        if isinstance(name, str) and name not in environ:
            remedy = f"export {name}=... where the server is started, or write {name}: value"
            yield Finding((*path, "environment", index), f"the environment variable {name} is not set", remedy)


def _address(path: Path_, url: str, one: Mapping[str, Any]) -> Iterator[Finding]:
    if flaw := addresses.flaw(url):
        yield Finding(path, *flaw)
        return
    host = _mapping(one.get("host"))
    if isinstance(one.get("host"), dict) and "kind" not in host and not addresses.host_of(url).kind:
        remedy = "add kind: github, gitlab, gitea or azure-devops"
        yield Finding((*path[:-1], "host"), "whose API this is, the address does not say", remedy, at_key=True)
    if host and addresses.is_path(url) and not ("api" in host and "project" in host):
        remedy = "give it api and project, or leave out 'host'"
        yield Finding((*path[:-1], "host"), "a path of this machine has no host", remedy, at_key=True)
    if "ssh_key" in one and addresses.scheme(url) != "ssh":
        yield Finding((*path[:-1], "ssh_key"), "this repository is not reached by SSH", "remove it", at_key=True)


def _twice(repositories: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    """Two that watch the same folder of the same branch would do everything twice."""
    seen: dict[tuple[str, str, str], str] = {}
    for name, one in repositories.items():
        if not isinstance(one, dict) or not isinstance(one.get("url"), str):
            continue
        folders = one.get("folders", ["manifests"])
        for each in folders if isinstance(folders, list) else ():
            url = addresses.normal(reveal(one["url"]), folder)
            key = (url.removesuffix("/").removesuffix(".git"), str(one.get("branch", "main")), str(each).strip("/"))
            if (first := seen.setdefault(key, name)) != name:
                message = f"'{first}' watches this folder of this branch already"
                yield Finding(("repositories", name, "url"), message, "keep one of them, or give it other folders")


def _message(path: Path_, one: Mapping[str, Any]) -> Iterator[Finding]:
    given = [kind for kind in _KINDS if kind in one]
    if len(given) != 1:
        told = f"has {len(given)} addresses: {', '.join(given)}" if given else "has no address"
        yield Finding(path, f"'{path[-1]}' {told}", "give it one of webhook, slack and teams", at_key=True)
    for kind in given:
        value = one[kind]
        if isinstance(value, str) and not reveal(value).startswith(("https://", "http://")):
            yield Finding((*path, kind), f"'{kind}' is not a URL", "it starts with https://")


def _access(path: Path_, access: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    for key, file in _mapping(access.get("tls")).items():
        yield from _there((*path, "tls", key), file, folder)


def access_findings(settings: Settings) -> Iterator[Finding]:
    """Why a server with these settings must not start."""
    for text in access_flaws(settings):
        head = text.split()[0].rstrip(":")
        yield Finding(tuple(head.split(".")), text.removeprefix("listen: "), at_key=True)


def _there(path: Path_, file: Any, folder: Path) -> Iterator[Finding]:
    if isinstance(file, str) and file and not (folder / reveal(file)).is_file():
        yield Finding(path, f"'{file}' does not exist", "paths are relative to this file")


def _seconds(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else seconds(value)
    except (AttributeError, TypeError, ValueError):
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


__all__ = ["LEAST_POLL", "access_findings", "flaws"]
