"""GitHub, GitHub Enterprise Server and Cloud: the REST API of 2022-11-28, and webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.http import Transport
from pipeline.serve.hosts import once
from pipeline.serve.hosts.client import Client, Right
from pipeline.serve.hosts.hooks import (
    Event,
    Headers,
    Nothing,
    Opened,
    Push,
    branch_of,
    moved_to,
    names_of,
    signed_in_hex,
)
from pipeline.serve.hosts.text import cut, marked, marker, one_line
from pipeline.serve.ports import Request
from pipeline.serve.settings import Host

STATUS = Right("set a commit's status", "'Commit statuses: write' (classic: repo:status)")
COMMENT = Right("comment on a pull request", "'Pull requests: write' (classic: repo)")
PROPOSE = Right("open a pull request", "'Pull requests: write' (classic: repo)")
CLOSE = Right("close a pull request", "'Pull requests: write' (classic: repo)")
REQUESTS = Right("list pull requests", "'Pull requests: read' (classic: repo)")
LONGEST = 65_536
"""Characters of a comment or of a pull request's text."""

signed = signed_in_hex("x-hub-signature-256", "sha256=")
"""docs.github.com, "Validating webhook deliveries"."""


class GitHub:
    """A repository's API (docs.github.com/rest: commits/statuses, issues/comments, pulls)."""

    def __init__(self, host: Host, transport: Transport, now: Callable[[], float]) -> None:
        token = host.token.reveal() if host.token else ""
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        headers["Authorization"] = f"Bearer {token}"
        self._client = Client("GitHub", host.api, host.project, headers, transport, now)
        self._project, self._token = host.project, token
        self._at = f"/repos/{quote(host.project)}"

    def status(self, commit: str, state: str, context: str, text: str, url: str) -> None:
        body = {"state": state, "context": context, "description": one_line(text, 140)}
        self._client.ask("POST", f"{self._at}/statuses/{commit}", STATUS, body | ({"target_url": url} if url else {}))

    def comment(self, request: int, key: str, body: str) -> None:
        mark = marker(key, self._token)
        text = {"body": marked(body, mark, LONGEST)}
        at = f"{self._at}/issues/{request}/comments"
        once.comment(
            self._client.pages(f"{at}?per_page=100", COMMENT),
            mark,
            lambda one: self._client.ask("PATCH", f"{self._at}/issues/comments/{one['id']}", COMMENT, text),
            lambda: self._client.ask("POST", at, COMMENT, text),
        )

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        text = {"title": one_line(title, 256), "body": cut(body, LONGEST)}
        new = {"head": branch, "base": into, **text}
        made = once.proposal(
            lambda: self._open(branch, into),
            lambda one: self._client.ask("PATCH", f"{self._at}/pulls/{one['number']}", PROPOSE, text),
            lambda: self._client.ask("POST", f"{self._at}/pulls", PROPOSE, new).data,
        )
        return str(made["html_url"])

    def withdraw(self, branch: str, into: str, why: str) -> None:
        once.withdrawal(
            lambda: self._open(branch, into),
            lambda one: self.comment(one["number"], "withdrawn", why),
            lambda one: self._client.ask("PATCH", f"{self._at}/pulls/{one['number']}", CLOSE, {"state": "closed"}),
        )

    def _open(self, branch: str, into: str) -> Any:
        owner = self._project.partition("/")[0]
        head, base = quote(f"{owner}:{branch}", safe=""), quote(into, safe="")
        found = self._client.ask("GET", f"{self._at}/pulls?state=open&head={head}&base={base}", PROPOSE).data
        # An unknown head is no filter at all for some versions.
        return next((one for one in found if one["head"]["ref"] == branch and one["base"]["ref"] == into), None)

    def requests(self) -> list[Request]:
        return [
            _request(one)
            for one in self._client.pages(f"{self._at}/pulls?state=open&per_page=100", REQUESTS, keep=True)
        ]

    def url(self, commit: str) -> str:
        return f"{_web(self._client.root)}/{self._project}/commit/{commit}"


def _web(api: str) -> str:
    parts = urlsplit(api)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.')}"


def _request(one: Any) -> Request:
    head, base = one["head"], one["base"]
    # The repository of a head is null once a fork was deleted.
    fork = (head.get("repo") or {}).get("full_name") != base["repo"]["full_name"]
    author = (one.get("user") or {}).get("login", "")
    return Request(one["number"], head["sha"], base["ref"], one["title"], author, one["html_url"], fork)


def event(headers: Headers, data: Any) -> Event:
    """What a webhook says (docs.github.com, "Webhook events and payloads")."""
    kind = headers.get("x-github-event", "")
    if kind == "push":
        branch = branch_of(data["ref"])
        return Push(names_of(data), branch, moved_to(data["after"])) if branch else Nothing("no branch was pushed")
    if kind == "pull_request":
        action = data["action"]
        if action not in ("opened", "reopened", "synchronize", "closed", "edited", "ready_for_review"):
            return Nothing(f"pull_request {action}")
        return Opened(names_of(data), _request(data["pull_request"]), closed=action == "closed")
    return Nothing(kind or "no event")


__all__ = ["GitHub", "event", "signed"]
