"""Hosts of repositories: what their APIs do for a commit or a pull request, and what their webhooks say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from pipeline.errors import OutOfReach
from pipeline.http import Transport
from pipeline.manifest.model import Secret
from pipeline.serve.hosts import azure_devops, gitea, github, gitlab
from pipeline.serve.hosts.address import host_of
from pipeline.serve.hosts.hooks import (
    LARGEST,
    Deliveries,
    Event,
    Nothing,
    Opened,
    Push,
    Reading,
    Refused,
    Signed,
    data_of,
)
from pipeline.serve.ports import HostApi, Request
from pipeline.serve.settings import Host, HostKind, Repository

T = TypeVar("T")
_APIS: Mapping[str, Callable[[Host, Transport, Callable[[], float]], HostApi]] = {
    "github": github.GitHub,
    "gitlab": gitlab.GitLab,
    "gitea": gitea.Gitea,
    "azure-devops": azure_devops.AzureDevOps,
}
_HOOKS: Mapping[str, tuple[Signed, Reading]] = {
    "github": (github.signed, github.event),
    "gitlab": (gitlab.signed, gitlab.event),
    "gitea": (gitea.signed, gitea.event),
    "azure-devops": (azure_devops.signed, azure_devops.event),
}
_HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NOT_WHAT_WAS_ASKED = (KeyError, IndexError, TypeError, ValueError, AttributeError)


def api_of(host: Host, transport: Transport, now: Callable[[], float]) -> HostApi | None:
    """The API of a repository's host; None where it has none, or there is no token for it."""
    if host.kind not in _APIS or not host.token or not host.api or not host.project:
        return None
    return _Sound(_APIS[host.kind](host, transport, now), host)


class _Sound:
    """An API whose answers that are not as documented are errors of the host, not ours."""

    def __init__(self, api: HostApi, host: Host) -> None:
        self._api, self._host = api, host

    def status(
        self, commit: str, state: Literal["pending", "success", "failure", "error"], context: str, text: str, url: str
    ) -> None:
        self._soundly(lambda: self._api.status(commit, state, context, text, url))

    def comment(self, request: int, key: str, body: str) -> None:
        self._soundly(lambda: self._api.comment(request, key, body))

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        return self._soundly(lambda: self._api.propose(branch, into, title, body))

    def withdraw(self, branch: str, into: str, why: str) -> None:
        self._soundly(lambda: self._api.withdraw(branch, into, why))

    def requests(self) -> list[Request]:
        return self._soundly(self._requests)

    def _requests(self) -> list[Request]:
        found = self._api.requests()
        for one in found:
            _check(Opened((), one))
        return found

    def url(self, commit: str) -> str:
        return self._api.url(commit)

    def _soundly(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except _NOT_WHAT_WAS_ASKED as error:
            fact = f"{self._host.api}: an answer about {self._host.project} is not as documented ({error!r:.100})"
            raise OutOfReach(fact, remedy="is it the API's address?", transient=True) from error


def read(kind: HostKind, headers: Mapping[str, str], body: bytes, secret: Secret | None, now: float) -> Event:
    """What a webhook says, once it is known to be signed with `secret`. `now` is Unix time in seconds.

    Raises Refused: for no secret to check it with, no signature, a wrong one, a body that is too large or not JSON.
    """
    if kind not in _HOOKS:
        raise Refused("this repository has no host that sends webhooks", "unknown", remedy="name its host: kind:")
    if len(body) > LARGEST:
        raise Refused(f"the webhook is over {LARGEST >> 20} MB", "large", remedy="the next poll finds its commits")
    if secret is None or not secret.reveal():
        raise Refused("no secret is set to check webhooks with", "no-secret", remedy="set host: webhook_secret:")
    lower = {name.lower(): value for name, value in headers.items()}
    signed, event = _HOOKS[kind]
    signed(lower, body, secret.reveal(), now)
    data = data_of(lower, body)
    try:
        found = event(lower, data)
        _check(found)
    except _NOT_WHAT_WAS_ASKED as error:
        raise Refused(
            f"the webhook is not as {kind} documents it ({error!r:.100})", "malformed", remedy=_FORM
        ) from error
    return found


def _check(event: Event) -> None:
    """ValueError for what Git must never be given as a commit, or an API as a number; for a name that is no text."""
    if isinstance(event, Nothing):
        return
    if not all(isinstance(name, str) for name in event.repository):
        raise ValueError("a repository's name is no text")
    commit = event.commit if isinstance(event, Push) else event.request.commit
    if not (isinstance(commit, str) and (_HASH.fullmatch(commit) or (commit == "" and isinstance(event, Push)))):
        raise ValueError("a commit is no full hash")
    if isinstance(event, Opened) and not isinstance(event.request.number, int):
        raise ValueError("a request's number is none")


class Receiver:
    """Reads the webhooks of all repositories: those that are signed, are about them, and did not come before.

    Raises Refused, as `read` does. `now` gives Unix times in seconds; threads share it.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._deliveries = Deliveries()

    def __call__(self, repository: Repository, headers: Mapping[str, str], body: bytes) -> Event:
        host = repository.host
        event = read(host.kind, headers, body, host.webhook_secret, self._now())
        if isinstance(event, Nothing):
            return event
        if not is_about(event, repository):
            return Nothing(f"it is about {event.repository[0] if event.repository else 'another repository'}")
        lower = {name.lower(): value for name, value in headers.items()}
        return event if self._deliveries.is_new(lower, body) else Nothing("it came before")


_FORM = "send the host's own form, not a template of one's own"


def is_about(event: Push | Opened, repository: Repository) -> bool:
    """Whether an event is about this repository: a hook of a whole organization tells of all."""
    kind, api, project = repository.host.kind, repository.host.api, repository.host.project
    named = {name.lower() for name in event.repository}
    ends = {"/".join(project.split("/")[-2:]).lower()} if kind == "azure-devops" else {project.lower()}
    # Names of an address are compared by what they mean: SSH and HTTPS lead to the same.
    meant = {host_of(name, kind)[1:] for name in event.repository if "/" in name}
    return bool(named & ends) or (api, project) in meant


__all__ = [
    "LARGEST",
    "Deliveries",
    "Event",
    "Nothing",
    "Opened",
    "Push",
    "Receiver",
    "Refused",
    "api_of",
    "host_of",
    "is_about",
    "read",
]
