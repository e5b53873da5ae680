"""GitLab, gitlab.com or one's own: the REST API v4, and webhooks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from pipeline.errors import UsageError
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
    present,
    same,
    signed_by_standard,
    wrong,
)
from pipeline.serve.hosts.text import cut, marked, marker, one_line
from pipeline.serve.ports import Request
from pipeline.serve.settings import Host

_ROLE = "'api', with the role Developer or a higher one"
STATUS = Right("set a commit's status", _ROLE)
COMMENT = Right("comment on a merge request", _ROLE)
PROPOSE = Right("open a merge request", _ROLE)
CLOSE = Right("close a merge request", _ROLE)
REQUESTS = Right("list merge requests", "'read_api' or 'api'")
LONGEST = 1_000_000
"""Characters of a note or of a merge request's description (docs.gitlab.com, "Instance limits")."""
_STATES = {"pending": "pending", "success": "success", "failure": "failed", "error": "canceled"}
_ALREADY = re.compile(r"Cannot transition status via :\w+ from :(\w+)")


def signed(headers: Headers, body: bytes, secret: str, now: float) -> None:
    """A signing token (`whsec_…`) signs as Standard Webhooks does; an older secret token comes as it is, in
    X-Gitlab-Token (docs.gitlab.com, "Webhooks").
    """
    if secret.startswith("whsec_"):
        signed_by_standard(headers, body, secret, now)
    elif not same(present(headers, "x-gitlab-token"), secret):
        raise wrong()


class GitLab:
    """A project's API (docs.gitlab.com/api: commits, merge_requests, notes)."""

    def __init__(self, host: Host, transport: Transport, now: Callable[[], float]) -> None:
        token = host.token.reveal() if host.token else ""
        headers = {"Authorization": f"Bearer {token}"}
        self._client = Client("GitLab", host.api, host.project, headers, transport, now)
        self._project, self._token = host.project, token
        self._at = f"/projects/{quote(host.project, safe='')}"

    def status(self, commit: str, state: str, context: str, text: str, url: str) -> None:
        body = {"state": _STATES[state], "name": context, "description": one_line(text, 255)}
        body |= {"target_url": url} if url else {}
        answer = self._client.ask("POST", f"{self._at}/statuses/{commit}", STATUS, body, good=(400,))
        if answer.status == 400 and not _is_so(answer.data, body["state"]):
            says = one_line(str((answer.data or {}).get("message", "")), 300)
            raise UsageError(f"GitLab: {self._project}: cannot set a commit's status: {says} (400)", remedy="see there")

    def comment(self, request: int, key: str, body: str) -> None:
        mark = marker(key, self._token)
        text = {"body": marked(body, mark, LONGEST)}
        at = f"{self._at}/merge_requests/{request}/notes"
        once.comment(
            self._client.pages(f"{at}?per_page=100&order_by=created_at&sort=asc", COMMENT),
            mark,
            lambda one: self._client.ask("PUT", f"{at}/{one['id']}", COMMENT, text),
            lambda: self._client.ask("POST", at, COMMENT, text),
        )

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        text = {"title": one_line(title, 255), "description": cut(body, LONGEST)}
        new = {"source_branch": branch, "target_branch": into, "remove_source_branch": True, **text}
        made = once.proposal(
            lambda: self._open(branch, into),
            lambda one: self._client.ask("PUT", f"{self._at}/merge_requests/{one['iid']}", PROPOSE, text),
            lambda: self._client.ask("POST", f"{self._at}/merge_requests", PROPOSE, new).data,
        )
        return str(made["web_url"])

    def withdraw(self, branch: str, into: str, why: str) -> None:
        at, closed = f"{self._at}/merge_requests", {"state_event": "close"}
        once.withdrawal(
            lambda: self._open(branch, into),
            lambda one: self.comment(one["iid"], "withdrawn", why),
            lambda one: self._client.ask("PUT", f"{at}/{one['iid']}", CLOSE, closed),
        )

    def _open(self, branch: str, into: str) -> Any:
        wanted = f"source_branch={quote(branch, safe='')}&target_branch={quote(into, safe='')}"
        found = self._client.ask("GET", f"{self._at}/merge_requests?state=opened&{wanted}", PROPOSE).data
        return next((one for one in found if one["source_project_id"] == one["target_project_id"]), None)

    def requests(self) -> list[Request]:
        found = self._client.pages(f"{self._at}/merge_requests?state=opened&per_page=100", REQUESTS, keep=True)
        # Without commits there is nothing to plan.
        return [_request(one) for one in found if one.get("sha")]

    def url(self, commit: str) -> str:
        return f"{self._client.root.removesuffix('/api/v4')}/{self._project}/-/commit/{commit}"


def _is_so(data: Any, wanted: str) -> bool:
    """Whether a status was refused only for being what it was to become: GitLab knows moves between states, and says
    400 to a move from a state to itself (gitlab.com/gitlab-org/gitlab-foss, issue 25807). Running is pending for us.
    """
    found = _ALREADY.search(str(data.get("message", ""))) if isinstance(data, dict) else None
    return found is not None and found[1] in ((wanted, "running") if wanted == "pending" else (wanted,))


def _request(one: Any) -> Request:
    fork = one["source_project_id"] != one["target_project_id"]
    author = one["author"]["username"]
    return Request(one["iid"], one["sha"], one["target_branch"], one["title"], author, one["web_url"], fork)


def event(_headers: Headers, data: Any) -> Event:
    """What a webhook says (docs.gitlab.com, "Webhook events")."""
    kind = data.get("object_kind", "")
    if kind == "push":
        branch = branch_of(data["ref"])
        return Push(_names(data), branch, moved_to(data["after"])) if branch else Nothing("no branch was pushed")
    if kind != "merge_request":
        return Nothing(kind or "no event")
    of = data["object_attributes"]
    # A test's event has none.
    action = of.get("action", "open")
    if action not in ("open", "reopen", "update", "close", "merge"):
        return Nothing(f"merge_request {action}")
    author, fork = (data.get("user") or {}).get("username", ""), of["source_project_id"] != of["target_project_id"]
    commit, into = of["last_commit"]["id"], of["target_branch"]
    request = Request(of["iid"], commit, into, of["title"], author, of.get("url") or "", fork)
    return Opened(_names(data), request, closed=of.get("state") in ("closed", "merged"))


def _names(data: Any) -> tuple[str, ...]:
    of = data["project"]
    names = ("path_with_namespace", "git_http_url", "git_ssh_url", "web_url")
    return tuple(of[name] for name in names if of.get(name))


__all__ = ["GitLab", "event", "signed"]
