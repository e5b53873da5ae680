"""Hosts in memory that check what they get against their documentation: method, path, headers, and the JSON."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import jsonschema

from pipeline.errors import OutOfReach
from pipeline.http import Body, Response

TOKEN = "glpat-0123456789"
TEXT = {"type": "string"}


def record(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def one_of(*values: str) -> dict[str, Any]:
    return {"enum": list(values)}


def limited(most: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": most}


Route = tuple[str, str, Callable[..., Any], dict[str, Any] | None]
"""Method, pattern of the path, what answers (status and data), and the schema of the body."""


class Mistake(AssertionError):
    """A request that the host's documentation does not know."""


@dataclass
class Pull:
    number: int
    head: str
    into: str
    title: str
    text: str = ""
    commit: str = "c" * 40
    fork: bool = False
    open: bool = True


@dataclass
class Fault:
    """What is answered in place of the host's own; an exception is raised. `count` requests long."""

    answer: Response | Exception
    count: int = 1
    method: str = ""
    after: bool = False
    """Whether the host does what it was asked first: the answer gets lost."""


@dataclass
class Host:
    """What all doubles share: commits' statuses, pull requests, comments; and what was asked."""

    statuses: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    unchanged: int = 0
    """How often it was asked for what the other side has already."""
    root = ""
    page_size = 2

    def authorized(self, headers: Mapping[str, str]) -> bool:
        raise NotImplementedError

    def routes(self) -> list[Route]:
        raise NotImplementedError

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        parts = urlsplit(url)
        self.asked.append((method, url))
        yield self._answer(method, url, parts.path, headers, body)

    def _answer(self, method: str, url: str, path: str, headers: Mapping[str, str], body: Body) -> Response:
        fault = next((one for one in self.faults if one.method in ("", method)), None)
        if fault:
            fault.count -= 1
            if fault.count <= 0:
                self.faults.remove(fault)
            if fault.after:
                self._own(method, url, path, headers, body)
            if isinstance(fault.answer, Exception):
                raise fault.answer
            return fault.answer
        return self._own(method, url, path, headers, body)

    def _own(self, method: str, url: str, path: str, headers: Mapping[str, str], body: Body) -> Response:
        if not url.startswith(self.root):
            raise Mistake(f"{url} is not below {self.root}")
        if not self.authorized({name.lower(): value for name, value in headers.items()}):
            return answer(401, {"message": "401 Unauthorized"})
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query, strict_parsing=False).items()}
        below = path.removeprefix(urlsplit(self.root).path)
        for wanted, pattern, call, schema in self.routes():
            found = re.fullmatch(pattern, below)
            if method == wanted and found:
                data = self._body(schema, headers, body)
                status, value, *more = call(*map(unquote, found.groups()), query, *([data] if schema else []))
                tag = f'W/"{hashlib.sha256(json.dumps(value).encode()).hexdigest()}"'
                if method == "GET" and headers.get("If-None-Match") == tag:
                    self.unchanged += 1
                    return answer(304, b"", etag=tag)
                return answer(status, value, etag=tag, **(more[0] if more else {}))
        raise Mistake(f"{method} {below} is no request that this host knows")

    @staticmethod
    def _body(schema: dict[str, Any] | None, headers: Mapping[str, str], body: Body) -> Any:
        if schema is None:
            if body is not None:
                raise Mistake("a request without a body has one")
            return None
        if not isinstance(body, bytes) or headers.get("Content-Type") != "application/json":
            raise Mistake("the body is to be JSON")
        data = json.loads(body)
        jsonschema.validate(data, schema)
        return data

    def paged(self, items: list[Any], query: Mapping[str, str], path: str) -> tuple[int, Any, dict[str, str]]:
        """A page of two items, and the Link header to the next."""
        page = int(query.get("page", "1"))
        shown = items[(page - 1) * self.page_size : page * self.page_size]
        if page * self.page_size >= len(items):
            return 200, shown, {}
        kept = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
        link = f'<{self.root}{path}?{kept}&page={page + 1}>; rel="next", <{self.root}{path}?page=9>; rel="last"'
        return 200, shown, {"link": link}

    def pull(self, number: str) -> Pull:
        return next(one for one in self.pulls if one.number == int(number))

    def open_pulls(self) -> list[Pull]:
        return [one for one in self.pulls if one.open]

    def on(self, request: int) -> list[str]:
        """The comments of a pull request."""
        return [one["body"] for one in self.comments if one["on"] == request]

    def add(self, request: str, text: str) -> dict[str, Any]:
        made = {"id": 100 + len(self.comments), "body": text, "on": int(request)}
        self.comments.append(made)
        return made

    def edit(self, id_: str, text: str) -> dict[str, Any]:
        found = next(one for one in self.comments if one["id"] == int(id_))
        found["body"] = text
        return found


def answer(status: int, data: Any, **headers: str) -> Response:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, {"content-type": "application/json", **named}, lambda: iter([raw]))


def silent() -> OutOfReach:
    error = OutOfReach("the host does not answer", transient=True)
    error.silent = True
    return error


class GitHubDouble(Host):
    """docs.github.com/rest, version 2022-11-28."""

    root = "https://api.github.com"

    def authorized(self, headers: Mapping[str, str]) -> bool:
        if headers.get("x-github-api-version") != "2022-11-28" or "github" not in headers.get("accept", ""):
            raise Mistake("GitHub wants its version and its media type")
        return headers.get("authorization") == f"Bearer {TOKEN}"

    def routes(self) -> list[Route]:
        states = one_of("error", "failure", "pending", "success")
        status = record(("state",), state=states, target_url=TEXT, description=limited(140), context=TEXT)
        comment = record(("body",), body=limited(65_536))
        new = record(("head", "base"), title=TEXT, head=TEXT, base=TEXT, body=limited(65_536))
        at = "/repos/acme/models"
        return [
            ("POST", f"{at}/statuses/([0-9a-f]{{40}})", self._status, status),
            ("GET", rf"{at}/issues/(\d+)/comments", self._comments, None),
            ("POST", rf"{at}/issues/(\d+)/comments", lambda n, _q, d: (201, self.add(n, d["body"])), comment),
            ("PATCH", rf"{at}/issues/comments/(\d+)", lambda i, _q, d: (200, self.edit(i, d["body"])), comment),
            ("GET", f"{at}/pulls", self._list, None),
            ("POST", f"{at}/pulls", self._open, new),
            (
                "PATCH",
                rf"{at}/pulls/(\d+)",
                self._edit,
                record(title=TEXT, body=limited(65_536), state=one_of("open", "closed")),
            ),
        ]

    def _status(self, commit: str, _query: Any, data: Any) -> Any:
        self.statuses[commit, data["context"]] = (data["state"], data["description"], data.get("target_url", ""))
        return 201, {"id": 1}

    def _comments(self, number: str, query: Any) -> Any:
        found = [one for one in self.comments if one["on"] == int(number)]
        return self.paged(found, query, f"/repos/acme/models/issues/{number}/comments")

    def _list(self, query: Any) -> Any:
        found = [one for one in self.open_pulls() if query.get("base", one.into) == one.into]
        if "head" in query:
            found = [one for one in found if query["head"] == f"{'guest' if one.fork else 'acme'}:{one.head}"]
        return self.paged([self._shown(one) for one in found], query, "/repos/acme/models/pulls")

    @staticmethod
    def _shown(one: Pull) -> Any:
        base = {"ref": one.into, "sha": "b" * 40, "repo": {"full_name": "acme/models"}}
        repo = {"full_name": "guest/models" if one.fork else "acme/models"}
        head = {"ref": one.head, "sha": one.commit, "repo": repo}
        url = f"https://github.com/acme/models/pull/{one.number}"
        return {
            "number": one.number,
            "title": one.title,
            "body": one.text,
            "html_url": url,
            "user": {"login": "ada"},
            "head": head,
            "base": base,
        }

    def _open(self, _query: Any, data: Any) -> Any:
        if any(one.head == data["head"] and one.into == data["base"] for one in self.open_pulls() if not one.fork):
            errors = [{"message": "A pull request already exists for acme:x."}]
            return 422, {"message": "Validation Failed", "errors": errors}
        made = Pull(len(self.pulls) + 1, data["head"], data["base"], data["title"], data["body"])
        self.pulls.append(made)
        return 201, self._shown(made)

    def _edit(self, number: str, _query: Any, data: Any) -> Any:
        one = self.pull(number)
        one.title, one.text = data.get("title", one.title), data.get("body", one.text)
        one.open = data.get("state", "open") == "open"
        return 200, self._shown(one)


class GitLabDouble(Host):
    """docs.gitlab.com/api, version 4."""

    root = "https://gitlab.com/api/v4"

    def authorized(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") == f"Bearer {TOKEN}"

    def routes(self) -> list[Route]:
        states = one_of("pending", "running", "success", "failed", "canceled", "skipped")
        status = record(("state",), state=states, name=TEXT, target_url=TEXT, description=limited(255))
        note = record(("body",), body=limited(1_000_000))
        text = {"title": limited(255), "description": limited(1_048_576)}
        wanted = ("source_branch", "target_branch", "title")
        new = record(wanted, source_branch=TEXT, target_branch=TEXT, remove_source_branch={"type": "boolean"}, **text)
        at = "/projects/acme%2Fmodels"
        return [
            ("POST", f"{at}/statuses/([0-9a-f]{{40}})", self._status, status),
            ("GET", rf"{at}/merge_requests/(\d+)/notes", self._notes, None),
            ("POST", rf"{at}/merge_requests/(\d+)/notes", lambda n, _q, d: (201, self.add(n, d["body"])), note),
            ("PUT", rf"{at}/merge_requests/\d+/notes/(\d+)", lambda i, _q, d: (200, self.edit(i, d["body"])), note),
            ("GET", f"{at}/merge_requests", self._list, None),
            ("POST", f"{at}/merge_requests", self._open, new),
            (
                "PUT",
                rf"{at}/merge_requests/(\d+)",
                self._edit,
                record(**text, state_event=one_of("close", "reopen")),
            ),
        ]

    def _status(self, commit: str, _query: Any, data: Any) -> Any:
        before = self.statuses.get((commit, data["name"]), ("",))[0]
        if before == data["state"]:
            moves = {"pending": "enqueue", "success": "success", "failed": "drop", "canceled": "cancel"}
            why = f"Cannot transition status via :{moves[before]} from :{before} (Reason(s): Status cannot transition)"
            return 400, {"message": why}
        self.statuses[commit, data["name"]] = (data["state"], data["description"], data.get("target_url", ""))
        return 201, {"id": 1}

    def _notes(self, number: str, query: Any) -> Any:
        found = [one for one in self.comments if one["on"] == int(number)]
        return self.paged(found, query, f"/projects/acme%2Fmodels/merge_requests/{number}/notes")

    def _list(self, query: Any) -> Any:
        if query.get("state") != "opened":
            raise Mistake("all merge requests were asked for")
        found = [one for one in self.open_pulls() if query.get("source_branch", one.head) == one.head]
        found = [one for one in found if query.get("target_branch", one.into) == one.into]
        return self.paged([self._shown(one) for one in found], query, "/projects/acme%2Fmodels/merge_requests")

    @staticmethod
    def _shown(one: Pull) -> Any:
        return {
            "id": 9000 + one.number,
            "iid": one.number,
            "title": one.title,
            "description": one.text,
            "sha": one.commit,
            "source_branch": one.head,
            "target_branch": one.into,
            "source_project_id": 8 if one.fork else 7,
            "target_project_id": 7,
            "author": {"username": "ada"},
            "web_url": f"https://gitlab.com/acme/models/-/merge_requests/{one.number}",
        }

    def _open(self, _query: Any, data: Any) -> Any:
        if any(one.head == data["source_branch"] for one in self.open_pulls() if not one.fork):
            return 409, {"message": ["Another open merge request already exists for this source branch: !1"]}
        made = Pull(
            len(self.pulls) + 1, data["source_branch"], data["target_branch"], data["title"], data["description"]
        )
        self.pulls.append(made)
        return 201, self._shown(made)

    def _edit(self, number: str, _query: Any, data: Any) -> Any:
        one = self.pull(number)
        one.title, one.text = data.get("title", one.title), data.get("description", one.text)
        one.open = data.get("state_event") != "close"
        return 200, self._shown(one)


class GiteaDouble(GitHubDouble):
    """/api/swagger of Gitea 1.25: much as GitHub, with lists of its own."""

    root = "https://codeberg.org/api/v1"

    def authorized(self, headers: Mapping[str, str]) -> bool:
        return headers.get("authorization") == f"token {TOKEN}"

    def routes(self) -> list[Route]:
        states = one_of("pending", "success", "error", "failure", "warning")
        status = record(("state",), state=states, target_url=TEXT, description=TEXT, context=TEXT)
        return [
            ("POST", "/repos/acme/models/statuses/([0-9a-f]{40})", self._status, status),
            *(one for one in super().routes() if "statuses" not in one[1]),
        ]

    def _list(self, query: Any) -> Any:
        if unknown := set(query) - {"state", "limit", "page"}:
            raise Mistake(f"Gitea's list does not know {unknown}")
        return super()._list(query)

    @staticmethod
    def _shown(one: Pull) -> Any:
        shown = GitHubDouble._shown(one)
        shown["head"]["repo_id"], shown["base"]["repo_id"] = (8 if one.fork else 7), 7
        return {**shown, "html_url": f"https://codeberg.org/acme/models/pulls/{one.number}"}


class AzureDouble(Host):
    """learn.microsoft.com/rest/api/azure/devops/git, version 7.1."""

    root = "https://dev.azure.com"

    def authorized(self, headers: Mapping[str, str]) -> bool:
        # base64 of ":" and the token.
        return headers.get("authorization") == "Basic OmdscGF0LTAxMjM0NTY3ODk="

    def routes(self) -> list[Route]:
        states = one_of("notSet", "notApplicable", "pending", "succeeded", "failed", "error")
        context = record(("name",), name=TEXT, genre=TEXT)
        status = record(("state", "context"), state=states, description=TEXT, targetUrl=TEXT, context=context)
        text = {"title": limited(400), "description": limited(4_000)}
        refs = {"sourceRefName": {"pattern": "^refs/heads/."}, "targetRefName": {"pattern": "^refs/heads/."}}
        written = record(("content",), content=limited(150_000))
        comment = record(
            ("content",), content=limited(150_000), commentType=one_of("text"), parentCommentId={"const": 0}
        )
        thread = record(("comments",), comments={"type": "array", "items": comment}, status=one_of("active", "closed"))
        at = "/org/My%20Project/_apis/git/repositories/models"
        pulls = f"{at}/pullRequests"
        return [
            ("POST", f"{at}/commits/([0-9a-f]{{40}})/statuses", self._status, status),
            ("GET", rf"{pulls}/(\d+)/threads", self._threads, None),
            ("POST", rf"{pulls}/(\d+)/threads", self._thread, thread),
            ("PATCH", rf"{pulls}/\d+/threads/(\d+)/comments/1", self._change, written),
            ("GET", pulls, self._list, None),
            ("POST", pulls, self._open, record(("sourceRefName", "targetRefName", "title"), **refs, **text)),
            (
                "PATCH",
                rf"{pulls}/(\d+)",
                self._edit,
                record(**text, status=one_of("active", "abandoned", "completed")),
            ),
        ]

    def _versioned(self, query: Mapping[str, str]) -> None:
        if query.get("api-version") != "7.1":
            raise Mistake("each request names the version of the API")

    def _status(self, commit: str, query: Any, data: Any) -> Any:
        self._versioned(query)
        context = f"{data['context']['genre']}/{data['context']['name']}"
        self.statuses[commit, context] = (data["state"], data["description"], data.get("targetUrl", ""))
        return 201, {"id": 1}

    def _threads(self, number: str, query: Any) -> Any:
        self._versioned(query)
        found = [one for one in self.comments if one["on"] == int(number)]
        shown = [{"id": one["id"], "comments": [{"id": 1, "content": one["body"]}]} for one in found]
        return 200, {"value": [{"id": 1, "comments": []}, *shown], "count": len(shown) + 1}

    def _thread(self, number: str, query: Any, data: Any) -> Any:
        self._versioned(query)
        return 200, self.add(number, data["comments"][0]["content"])

    def _change(self, id_: str, query: Any, data: Any) -> Any:
        self._versioned(query)
        return 200, self.edit(id_, data["content"])

    def _list(self, query: Any) -> Any:
        self._versioned(query)
        if query.get("searchCriteria.status") != "active":
            raise Mistake("all pull requests were asked for")
        source = query.get("searchCriteria.sourceRefName")
        found = [one for one in self.open_pulls() if source in (None, f"refs/heads/{one.head}")]
        skip, top = int(query["$skip"]), int(query["$top"])
        return 200, {"value": [self._shown(one) for one in found[skip : skip + top]]}

    @staticmethod
    def _shown(one: Pull) -> Any:
        return {
            "pullRequestId": one.number,
            "title": one.title,
            "description": one.text,
            "sourceRefName": f"refs/heads/{one.head}",
            "targetRefName": f"refs/heads/{one.into}",
            "lastMergeSourceCommit": {"commitId": one.commit},
            "createdBy": {"displayName": "ada"},
            **({"forkSource": {"name": "refs/heads/x"}} if one.fork else {}),
        }

    def _open(self, query: Any, data: Any) -> Any:
        self._versioned(query)
        head, into = (data[name].removeprefix("refs/heads/") for name in ("sourceRefName", "targetRefName"))
        if any(one.head == head for one in self.open_pulls() if not one.fork):
            return 409, {"message": "TF401179: An active pull request for the source and target branch already exists."}
        made = Pull(len(self.pulls) + 1, head, into, data["title"], data["description"])
        self.pulls.append(made)
        return 201, self._shown(made)

    def _edit(self, number: str, query: Any, data: Any) -> Any:
        self._versioned(query)
        one = self.pull(number)
        one.title, one.text = data.get("title", one.title), data.get("description", one.text)
        one.open = data.get("status", "active") == "active"
        return 200, self._shown(one)
