"""Webhooks as the hosts document them, with the fields that are read, and some that are not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

AFTER = "bffeb74224043ba2feb48d137756c8a9331c449a"
BEFORE = "28e1879d029cb852e4844d9c718537df08844e03"
SECRET = "It's a Secret to Everybody"
AT = 1_700_000_000.0

GITHUB_REPOSITORY = {
    "id": 186853002,
    "name": "models",
    "full_name": "acme/models",
    "private": False,
    "html_url": "https://github.com/acme/models",
    "ssh_url": "git@github.com:acme/models.git",
    "clone_url": "https://github.com/acme/models.git",
    "default_branch": "main",
}
GITHUB_PUSH: dict[str, Any] = {
    "ref": "refs/heads/main",
    "before": BEFORE,
    "after": AFTER,
    "created": False,
    "deleted": False,
    "forced": False,
    "base_ref": None,
    "compare": "https://github.com/acme/models/compare/28e1879d029c...bffeb7422404",
    "commits": [],
    "head_commit": {"id": AFTER, "message": "Newer model", "author": {"name": "Ada"}},
    "repository": GITHUB_REPOSITORY,
    "pusher": {"name": "ada", "email": "ada@example.com"},
}
GITHUB_PULL: dict[str, Any] = {
    "action": "synchronize",
    "number": 2,
    "pull_request": {
        "number": 2,
        "state": "open",
        "title": "Update the README",
        "html_url": "https://github.com/acme/models/pull/2",
        "user": {"login": "ada"},
        "head": {"ref": "changes", "sha": AFTER, "repo": {"full_name": "guest/models"}},
        "base": {"ref": "main", "sha": BEFORE, "repo": {"full_name": "acme/models"}},
    },
    "before": BEFORE,
    "after": AFTER,
    "repository": GITHUB_REPOSITORY,
}
GITEA_PULL: dict[str, Any] = {
    **GITHUB_PULL,
    "action": "synchronized",
    "pull_request": {
        **GITHUB_PULL["pull_request"],
        "head": {"ref": "changes", "sha": AFTER, "repo_id": 8},
        "base": {"ref": "main", "sha": BEFORE, "repo_id": 7},
    },
}
GITLAB_PROJECT = {
    "id": 15,
    "name": "models",
    "web_url": "https://gitlab.com/acme/models",
    "git_ssh_url": "git@gitlab.com:acme/models.git",
    "git_http_url": "https://gitlab.com/acme/models.git",
    "path_with_namespace": "acme/models",
    "default_branch": "main",
}
GITLAB_PUSH: dict[str, Any] = {
    "object_kind": "push",
    "event_name": "push",
    "before": BEFORE,
    "after": AFTER,
    "ref": "refs/heads/main",
    "ref_protected": True,
    "checkout_sha": AFTER,
    "user_id": 4,
    "user_name": "Ada",
    "project_id": 15,
    "project": GITLAB_PROJECT,
    "commits": [],
    "total_commits_count": 4,
}
GITLAB_MERGE: dict[str, Any] = {
    "object_kind": "merge_request",
    "event_type": "merge_request",
    "user": {"id": 1, "name": "Ada", "username": "ada"},
    "project": GITLAB_PROJECT,
    "object_attributes": {
        "id": 99,
        "iid": 2,
        "target_branch": "main",
        "source_branch": "changes",
        "source_project_id": 14,
        "target_project_id": 15,
        "title": "Update the README",
        "state": "opened",
        "url": "https://gitlab.com/acme/models/-/merge_requests/2",
        "last_commit": {"id": AFTER, "message": "fixed readme"},
        "action": "update",
        "oldrev": BEFORE,
    },
}
AZURE_REPOSITORY = {
    "id": "00000000-0000-0000-0000-000000000000",
    "name": "models",
    "project": {"id": "00000000-0000-0000-0000-000000000000", "name": "My Project"},
    "defaultBranch": "refs/heads/main",
    "remoteUrl": "https://org@dev.azure.com/org/My%20Project/_git/models",
}
AZURE_PUSH: dict[str, Any] = {
    "subscriptionId": "00000000-0000-0000-0000-000000000000",
    "notificationId": 7,
    "id": "00000000-0000-0000-0000-000000000000",
    "eventType": "git.push",
    "publisherId": "tfs",
    "message": {"text": "Jamal Hartnett pushed updates to models:main"},
    "resource": {
        "commits": [{"commitId": AFTER, "comment": "Fixed bug"}],
        "refUpdates": [{"name": "refs/heads/main", "oldObjectId": BEFORE, "newObjectId": AFTER}],
        "repository": AZURE_REPOSITORY,
        "pushedBy": {"displayName": "Jamal Hartnett"},
        "pushId": 14,
    },
    "resourceVersion": "1.0",
    "createdDate": "2024-09-19T13:03:27.0379153Z",
}
AZURE_PULL: dict[str, Any] = {
    "id": "00000000-0000-0000-0000-000000000000",
    "eventType": "git.pullrequest.updated",
    "publisherId": "tfs",
    "resource": {
        "repository": AZURE_REPOSITORY,
        "pullRequestId": 2,
        "status": "active",
        "createdBy": {"displayName": "ada"},
        "title": "Update the README",
        "sourceRefName": "refs/heads/changes",
        "targetRefName": "refs/heads/main",
        "forkSource": {"name": "refs/heads/changes"},
        "lastMergeSourceCommit": {"commitId": AFTER},
        "_links": {"web": {"href": "https://dev.azure.com/org/My%20Project/_git/models/pullrequest/2"}},
    },
}


def encoded(data: Any) -> bytes:
    return json.dumps(data).encode()


def hexed(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def github(event: str, body: bytes, secret: str = SECRET, delivery: str = "72d3162e") -> dict[str, str]:
    signature = f"sha256={hexed(body, secret)}"
    return {"X-GitHub-Event": event, "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": signature}


def gitea(event: str, body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Gitea-Event": event, "X-Gitea-Delivery": "f6266f16", "X-Gitea-Signature": hexed(body, secret)}


def gitlab(event: str, _body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Gitlab-Event": event, "X-Gitlab-Event-UUID": "13792a34", "X-Gitlab-Token": secret}


def azure(_event: str, _body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"hooks:{secret}".encode()).decode()}
