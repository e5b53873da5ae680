"""Azure DevOps Services and Server: the Git REST API 7.1, and service hooks."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
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
    present,
    same,
    wrong,
)
from pipeline.serve.hosts.text import cut, marked, marker, one_line
from pipeline.serve.ports import Request
from pipeline.serve.settings import Host

STATUS = Right("set a commit's status", "'Code: Status'")
COMMENT = Right("comment on a pull request", "'Code: Read & write' or 'Pull Request Threads: Read & write'")
PROPOSE = Right("open a pull request", "'Code: Read & write'")
CLOSE = Right("close a pull request", "'Code: Read & write'")
REQUESTS = Right("list pull requests", "'Code: Read'")
LONGEST = 150_000
"""Characters of a comment."""
LONGEST_TEXT = 4_000
"""Characters of a pull request's description."""
_VERSION = "api-version=7.1"
_PAGE, _MOST_PAGES = 100, 20
_STATES = {"pending": "pending", "success": "succeeded", "failure": "failed", "error": "notApplicable"}


def signed(headers: Headers, _body: bytes, secret: str, _now: float) -> None:
    """A service hook signs nothing: it sends what it was given, a user's password (any name) or a header
    `Authorization: Bearer SECRET` (learn.microsoft.com, "Webhooks" of service hooks).
    """
    kind, _, value = present(headers, "authorization").partition(" ")
    if kind.lower() == "basic":
        try:
            value = base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
        except ValueError:
            raise wrong() from None
    if not same(value.strip(), secret):
        raise wrong()


class AzureDevOps:
    """A repository's API (learn.microsoft.com/rest/api/azure/devops/git: Statuses, Pull Requests, Threads)."""

    def __init__(self, host: Host, transport: Transport, now: Callable[[], float]) -> None:
        token = host.token.reveal() if host.token else ""
        # Entra's tokens are JWTs, and go as they are; personal ones are the password of nobody.
        bearer = token.startswith("eyJ") and token.count(".") == 2
        login = f"Bearer {token}" if bearer else "Basic " + base64.b64encode(f":{token}".encode()).decode()
        headers = {"Authorization": login, "X-TFS-FedAuthRedirect": "Suppress"}
        self._client = Client("Azure DevOps", host.api, host.project, headers, transport, now, _refused)
        organization, project, name = (*host.project.split("/"), "", "")[:3]
        self._token, self._name = token, name
        self._home = f"/{quote(organization)}/{quote(project)}"
        self._at = f"{self._home}/_apis/git/repositories/{quote(name)}"

    def status(self, commit: str, state: str, context: str, text: str, url: str) -> None:
        genre, _, name = context.rpartition("/")
        body = {"state": _STATES[state], "description": one_line(text, 255), "context": {"name": name, "genre": genre}}
        body |= {"targetUrl": url} if url else {}
        self._client.ask("POST", f"{self._at}/commits/{commit}/statuses?{_VERSION}", STATUS, body)

    def comment(self, request: int, key: str, body: str) -> None:
        mark = marker(key, self._token)
        text = marked(body, mark, LONGEST)
        at = f"{self._at}/pullRequests/{request}/threads"
        for thread in self._client.ask("GET", f"{at}?{_VERSION}", COMMENT).data["value"]:
            for one in thread.get("comments") or ():
                if mark in (one.get("content") or "") and not one.get("isDeleted"):
                    path = f"{at}/{thread['id']}/comments/{one['id']}?{_VERSION}"
                    self._client.ask("PATCH", path, COMMENT, {"content": text})
                    return
        # Closed: an open one would stop the completion where all comments have to be resolved.
        thread = {"comments": [{"parentCommentId": 0, "content": text, "commentType": "text"}], "status": "closed"}
        self._client.ask("POST", f"{at}?{_VERSION}", COMMENT, thread)

    def propose(self, branch: str, into: str, title: str, body: str) -> str:
        text = {"title": one_line(title, 400), "description": cut(body, LONGEST_TEXT)}
        new = {"sourceRefName": f"refs/heads/{branch}", "targetRefName": f"refs/heads/{into}", **text}
        at = f"{self._at}/pullRequests"
        made = once.proposal(
            lambda: self._open(branch, into),
            lambda number: self._client.ask("PATCH", f"{at}/{number}?{_VERSION}", PROPOSE, text),
            lambda: self._client.ask("POST", f"{at}?{_VERSION}", PROPOSE, new).data["pullRequestId"],
        )
        return self._page(made)

    def withdraw(self, branch: str, into: str, why: str) -> None:
        at, closed = f"{self._at}/pullRequests", {"status": "abandoned"}
        once.withdrawal(
            lambda: self._open(branch, into),
            lambda number: self.comment(number, "withdrawn", why),
            lambda number: self._client.ask("PATCH", f"{at}/{number}?{_VERSION}", CLOSE, closed),
        )

    def _open(self, branch: str, into: str) -> int:
        source, target = (quote(f"refs/heads/{name}", safe="") for name in (branch, into))
        wanted = f"searchCriteria.sourceRefName={source}&searchCriteria.targetRefName={target}"
        found = list(self._all(wanted, PROPOSE))
        return next((int(one["pullRequestId"]) for one in found if not one.get("forkSource")), 0)

    def _all(self, wanted: str, right: Right) -> Iterator[Any]:
        """Its lists have no links to further pages: the last is the one that is not full."""
        for page in range(_MOST_PAGES):
            here = f"$top={_PAGE}&$skip={page * _PAGE}&{_VERSION}"
            path = f"{self._at}/pullRequests?searchCriteria.status=active&{wanted}&{here}"
            found = self._client.ask("GET", path, right, keep=True).data["value"]
            yield from found
            if len(found) < _PAGE:
                return

    def requests(self) -> list[Request]:
        found = self._all("", REQUESTS)
        # The merge of a new one is still being tried: its commit comes with the next look.
        return [_request(one, self._page(one["pullRequestId"])) for one in found if one.get("lastMergeSourceCommit")]

    def _page(self, number: int) -> str:
        return f"{self._client.root}{self._home}/_git/{quote(self._name)}/pullrequest/{number}"

    def url(self, commit: str) -> str:
        return f"{self._client.root}{self._home}/_git/{quote(self._name)}/commit/{commit}"


def _refused(status: int, headers: Mapping[str, str]) -> bool:
    """To a token that it does not know it shows a page to sign in, as 203 (and HTML) or a redirect."""
    return status in (203, 401) or (status == 200 and headers.get("content-type", "").startswith("text/html"))


def _request(one: Any, page: str) -> Request:
    author = (one.get("createdBy") or {}).get("displayName", "")
    commit, into = one["lastMergeSourceCommit"]["commitId"], branch_of(one["targetRefName"])
    return Request(one["pullRequestId"], commit, into, one["title"], author, page, bool(one.get("forkSource")))


def event(_headers: Headers, data: Any) -> Event:
    """What a service hook says (learn.microsoft.com, "Service hooks events": git.push, git.pullrequest.*)."""
    kind, of = data["eventType"], data["resource"]
    if kind == "git.push":
        for update in of["refUpdates"]:
            if branch := branch_of(update["name"]):
                return Push(_names(of), branch, moved_to(update["newObjectId"]))
        return Nothing("no branch was pushed")
    if kind not in ("git.pullrequest.created", "git.pullrequest.updated"):
        return Nothing(str(kind))
    if not of.get("lastMergeSourceCommit"):
        return Nothing("a pull request without a commit yet")
    page = ((of.get("_links") or {}).get("web") or {}).get("href", "")
    return Opened(_names(of), _request(of, page), closed=of.get("status") in ("completed", "abandoned"))


def _names(of: Any) -> tuple[str, ...]:
    repository = of["repository"]
    project = (repository.get("project") or {}).get("name", "")
    found = (repository.get(name) for name in ("remoteUrl", "sshUrl", "webUrl"))
    return (f"{project}/{repository['name']}", *(one for one in found if one))


__all__ = ["AzureDevOps", "event", "signed"]
