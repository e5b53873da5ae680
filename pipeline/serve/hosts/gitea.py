"""Gitea, and Forgejo, which speaks the same: the API v1, and webhooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

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

STATUS = Right("set a commit's status", "'write:repository'")
COMMENT = Right("comment on a pull request", "'write:issue'")
PROPOSE = Right("open a pull request", "'write:repository'")
CLOSE = Right("close a pull request", "'write:repository'")
REQUESTS = Right("list pull requests", "'read:repository'")
LONGEST = 65_000

signed = signed_in_hex("x-gitea-signature")
"""docs.gitea.com, "Webhooks"."""


class Gitea:
    """A repository's API (/api/swagger of every Gitea: repoCreateStatus, issueCreateComment, repoCreatePullRequest)."""

    def __init__(self, host: Host, transport: Transport, now: Callable[[], float]) -> None:
        token = host.token.reveal() if host.token else ""
        headers = {"Authorization": f"token {token}"}
        self._client = Client("Gitea", host.api, host.project, headers, transport, now)
        self._project, self._token = host.project, token
        self._at = f"/repos/{quote(host.project)}"

    def status(self, commit: str, state: str, context: str, text: str, url: str) -> None:
        body = {"state": state, "context": context, "description": one_line(text, 255), "target_url": url}
        self._client.ask("POST", f"{self._at}/statuses/{commit}", STATUS, body)

    def comment(self, request: int, key: str, body: str) -> None:
        mark = marker(key, self._token)
        text = {"body": marked(body, mark, LONGEST)}
        at = f"{self._at}/issues/{request}/comments"
        once.comment(
            self._client.pages(at, COMMENT),
            mark,
            lambda one: self._client.ask("PATCH", f"{self._at}/issues/comments/{one['id']}", COMMENT, text),
            lambda: self._client.ask("POST", at, COMMENT, text),
        )

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        text = {"title": one_line(title, 255), "body": cut(body, LONGEST)}
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
        for one in self._all(PROPOSE):
            if one["head"]["ref"] == branch and one["base"]["ref"] == into and not _request(one).fork:
                return one
        return None

    def _all(self, right: Right) -> list[Any]:
        return list(self._client.pages(f"{self._at}/pulls?state=open&limit=50", right, keep=True))

    def requests(self) -> list[Request]:
        return [_request(one) for one in self._all(REQUESTS)]

    def url(self, commit: str) -> str:
        return f"{self._client.root.removesuffix('/api/v1')}/{self._project}/commit/{commit}"


def _request(one: Any) -> Request:
    head, base = one["head"], one["base"]
    author = (one.get("user") or {}).get("login", "")
    fork = head["repo_id"] != base["repo_id"]
    return Request(one["number"], head["sha"], base["ref"], one["title"], author, one["html_url"], fork)


def event(headers: Headers, data: Any) -> Event:
    """What a webhook says (docs.gitea.com, "Webhooks"): events and bodies much as GitHub's."""
    kind = headers.get("x-gitea-event", "")
    if kind == "push":
        branch = branch_of(data["ref"])
        return Push(names_of(data), branch, moved_to(data["after"])) if branch else Nothing("no branch was pushed")
    if kind in ("pull_request", "pull_request_sync"):
        action = data["action"]
        if action not in ("opened", "reopened", "synchronized", "edited", "closed"):
            return Nothing(f"pull_request {action}")
        return Opened(names_of(data), _request(data["pull_request"]), closed=action == "closed")
    return Nothing(kind or "no event")


__all__ = ["Gitea", "event", "signed"]
