"""Webhooks, as they come in over HTTP: only signed ones count, each is counted, and the repository is looked at."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hook_bodies import AZURE_PUSH, azure, encoded
from webmaker import COMMIT, HOOK, Web

from pipeline.manifest.model import Secret
from pipeline.serve.hosts.hooks import LARGEST, Push
from pipeline.serve.settings import Access, Host, Proxy, Repository, Token
from pipeline.serve.web.parts import Rates

PUSH = {
    "ref": "refs/heads/main",
    "after": COMMIT,
    "repository": {"full_name": "acme/models", "clone_url": "https://github.com/acme/models.git"},
}


def send(web: Web, name: str = "models", body: Any = PUSH, secret: str = HOOK, event: str = "push", **more: str) -> int:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    signed = hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": event, "X-Hub-Signature-256": f"sha256={signed}", "Content-Type": "application/json"}
    answer = web.client.post(f"/hooks/{name}", content=data, headers={**headers, **more})
    assert "Secret" not in answer.text
    return answer.status_code


def counted(web: Web) -> dict[str, float]:
    lines = web.parts.metrics.told()[0].decode().splitlines()
    found = [line.split('result="')[1].split('"} ') for line in lines if line.startswith("pipeline_webhooks_total{")]
    return {name: float(count) for name, count in found if float(count)}


def test_a_signed_push_has_its_repository_looked_at(tmp_path: Path) -> None:
    web = Web(tmp_path)
    assert send(web) == 202
    ((name, event),) = web.pushed
    assert name == "models" and isinstance(event, Push)
    assert (event.branch, event.commit) == ("main", COMMIT)
    assert send(web) == 202, "the same once more is heard, and nothing is done"
    assert send(web, body={"zen": "x", "hook_id": 1}, event="ping") == 202
    assert len(web.pushed) == 1
    assert counted(web) == {"accepted": 1.0, "nothing": 2.0}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"X-Hub-Signature-256": "sha256=" + "0" * 64}, "signature"),
        ({"X-Hub-Signature-256": ""}, "unsigned"),
    ],
)
def test_without_a_right_signature_it_is_refused_and_counted(tmp_path: Path, more: dict[str, str], reason: str) -> None:
    web = Web(tmp_path)
    assert send(web, **more) == 401
    assert counted(web) == {reason: 1.0} and web.pushed == []


def test_what_is_signed_and_makes_no_sense_is_refused(tmp_path: Path) -> None:
    web = Web(tmp_path)
    strange = {**PUSH, "repository": {"full_name": ["acme/models"], "clone_url": {"a": 1}}}
    for body in (b"", b"[]", b"{", b"\xff\xfe", json.dumps({"ref": 7}).encode(), json.dumps(strange).encode()):
        assert send(web, body=body) == 400
    assert counted(web) == {"malformed": 6.0} and web.pushed == []


def test_unknown_repositories_and_those_without_a_secret_are_the_same(tmp_path: Path) -> None:
    web = Web(tmp_path)
    answers = [web.client.post(f"/hooks/{name}", content=b"{}") for name in ("plain", "nothing", "..%2f..", "%00")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.text for answer in answers if answer.status_code == 404}) <= 2
    assert counted(web)["unknown"] >= 2 and web.pushed == []


def test_they_need_no_token_and_come_from_elsewhere(tmp_path: Path) -> None:
    access = Access(tokens=(Token("ci", "act", Secret("x" * 20)),), proxy=Proxy(("10.0.0.0/8",)))
    web = Web(tmp_path, access, host="0.0.0.0", url="https://pipeline.example.com")
    web.client = web.at("10.0.0.1", "http://pipeline.example.com")
    sent = {"X-Forwarded-For": "140.82.115.1", "X-Forwarded-Proto": "https", "Origin": "https://github.com"}
    assert send(web, **sent) == 202 and len(web.pushed) == 1
    web.client = web.at("140.82.115.1", "http://pipeline.example.com")
    assert send(web) == 403, "past the proxy nothing is encrypted"


def flooded(folder: Path) -> Web:
    other = Repository("other", "https://github.com/acme/other.git", host=Host("github", webhook_secret=Secret(HOOK)))
    web = Web(folder, rates=Rates(sign_in=1e6, calls=1e6, hooks=3))
    web.settings.repositories["other"] = other  # type: ignore[index]
    return web


def test_a_flood_of_signed_ones_is_held_off_for_one_repository_alone(tmp_path: Path) -> None:
    web = flooded(tmp_path)
    assert [send(web) for _ in range(5)] == [202, 202, 202, 429, 429]
    assert send(web, name="other") == 202
    assert counted(web) == {"accepted": 1.0, "nothing": 3.0, "rate": 2.0}


def test_a_flood_of_wrong_ones_is_held_off_and_stops_none_that_is_right(tmp_path: Path) -> None:
    web = flooded(tmp_path)
    right, web.client = web.client, web.at("203.0.113.9", "http://localhost")
    assert [send(web, secret="wrong", name=name) for name in ("models", "other", "models", "other")] == [401] * 3 + [
        429
    ]
    assert web.client.post("/hooks/nothing", content=b"{}").status_code == 429
    web.client = right
    assert send(web) == 202 and len(web.pushed) == 1
    assert counted(web) == {"signature": 3.0, "rate": 2.0, "accepted": 1.0}


def test_a_large_one_is_not_read(tmp_path: Path) -> None:
    web = Web(tmp_path)
    assert send(web, body=b" " * (LARGEST + 1)) == 413
    assert counted(web) == {"large": 1.0}


def test_azure_devops_signs_with_the_header_of_tokens(tmp_path: Path) -> None:
    host = Host("azure-devops", "https://dev.azure.com/org", "org/My Project/models", webhook_secret=Secret(HOOK))
    one = Repository("azure", "https://dev.azure.com/org/My%20Project/_git/models", host=host)
    web = Web(tmp_path)
    web.settings.repositories["azure"] = one  # type: ignore[index]
    body = encoded(AZURE_PUSH)
    assert web.client.post("/hooks/azure", content=body, headers=azure("", body, "wrong")).status_code == 401
    assert web.client.post("/hooks/azure", content=body, headers=azure("", body, HOOK)).status_code == 202
    assert counted(web) == {"signature": 1.0, "accepted": 1.0}
