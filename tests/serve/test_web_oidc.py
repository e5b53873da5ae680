"""Sign-in by OpenID Connect, with a real provider over HTTP: the way there and back, and all that must not count."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from oidcmaker import CLIENT, SECRET, Provider
from webmaker import Web

from pipeline.manifest.model import Secret
from pipeline.serve.settings import Access, Oidc

URL = "http://127.0.0.1:8800"


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


def made(tmp_path: Path, provider: Provider, **rules: Any) -> Web:
    oidc = Oidc(provider.url, CLIENT, Secret(SECRET), **{"act": ("ops",), "look": ("dev",), **rules})
    return Web(tmp_path, Access(oidc=oidc), url=URL)


def sign_in(web: Web, provider: Provider, after: str = "/jobs") -> Any:
    """The last answer of the way there and back."""
    there = web.client.get("/sign-in/oidc", params={"next": after})
    assert there.status_code == 303, there.text
    cookie = there.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/sign-in" in cookie
    return web.client.get(provider.sign_in(there.headers["location"]).removeprefix(URL))


@pytest.mark.parametrize(("groups", "role"), [(["ops", "dev"], "act"), ("dev", "look")])
def test_who_signs_in_may_do_what_their_groups_may(tmp_path: Path, provider: Provider, groups: Any, role: str) -> None:
    web = made(tmp_path, provider)
    provider.claims["groups"] = groups
    answer = sign_in(web, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    me = web.client.get("/api/v1/me").json()
    assert (me["name"], me["role"], me["by"]) == ("ada", role, "session")
    given = {"X-CSRF-Token": me["csrf"]}
    status = web.client.post("/api/v1/repositories/plain/refresh", headers=given).status_code
    assert status == (200 if role == "act" else 403)


@pytest.mark.parametrize(
    ("given", "name"),
    [("ada\n2026 job 7\u202e", "ada 2026 job 7"), (["eve"], "ada@example.com"), ("\x1b", "ada@example.com")],
)
def test_a_name_is_one_line_of_text(tmp_path: Path, provider: Provider, given: Any, name: str) -> None:
    web = made(tmp_path, provider)
    provider.claims |= {"groups": ["ops"], "preferred_username": given, "email": "ada@example.com"}
    sign_in(web, provider)
    assert web.client.get("/api/v1/me").json()["name"] == name


def test_who_is_in_no_group_stays_out(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    provider.claims["groups"] = ["sales"]
    answer = sign_in(web, provider)
    assert answer.status_code == 403 and "ada has signed in, and is in no group" in answer.text
    assert web.client.get("/api/v1/me").status_code == 401
    everybody = made(tmp_path / "b", provider, look=("*",))
    sign_in(everybody, provider)
    assert everybody.client.get("/api/v1/me").json()["role"] == "look"


def test_groups_come_from_nested_claims_and_from_userinfo(tmp_path: Path, provider: Provider) -> None:
    provider.claims = {"sub": "u1", "email": "ada@example.com", "realm_access": {"roles": ["ops"]}}
    web = made(tmp_path / "a", provider, claim="realm_access.roles")
    sign_in(web, provider)
    assert web.client.get("/api/v1/me").json()["name"] == "ada@example.com"
    provider.claims, provider.userinfo = {"sub": "u1"}, {"sub": "u1", "groups": ["ops"]}
    web = made(tmp_path / "b", provider)
    sign_in(web, provider)
    assert web.client.get("/api/v1/me").json()["role"] == "act"
    provider.userinfo["sub"] = "u2"
    web = made(tmp_path / "c", provider)
    assert sign_in(web, provider).status_code == 403, "somebody else's groups"


@pytest.mark.parametrize(
    "alter",
    [
        {"nonce": "another"},
        {"aud": "another-client"},
        {"aud": ["another-client", "third"]},
        {"iss": "https://evil.example.com"},
        {"exp": -1000},
        {"iat": 100000, "exp": 200000},
        {"sub": ""},
        {"azp": "another-client", "aud": [CLIENT, "x"]},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_this_sign_in_does_not_count(
    tmp_path: Path, provider: Provider, alter: dict[str, Any]
) -> None:
    """Times are in seconds from now: what is collected must be called the same by every process of a run."""
    web = made(tmp_path, provider)
    provider.alter = {
        name: value + int(time.time()) if name in ("exp", "iat") else value for name, value in alter.items()
    }
    assert sign_in(web, provider).status_code == 403
    assert web.client.get("/api/v1/me").status_code == 401


def test_an_id_token_by_another_key_does_not_count(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    provider.signing = provider.other
    assert sign_in(web, provider).status_code == 403
    provider.key = provider.other
    assert sign_in(web, provider).status_code == 303, "a key that is new is fetched"


def test_a_way_back_that_did_not_begin_here_is_refused(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    there = web.client.get("/sign-in/oidc")
    back = provider.sign_in(there.headers["location"]).removeprefix(URL)
    elsewhere = web.at()
    assert elsewhere.get(back).status_code == 400, "another browser: whoever sent the link would be signed in there"
    assert web.client.get(back.replace("state=", "state=x")).status_code == 403
    other = made(tmp_path / "b", provider)
    other.client.cookies.update(dict(web.client.cookies))
    assert other.client.get(back).status_code == 400, "another server's"


def test_each_way_back_counts_once_and_not_for_ever(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    there = web.client.get("/sign-in/oidc")
    back = provider.sign_in(there.headers["location"]).removeprefix(URL)
    web.time += 601
    assert web.client.get(back).status_code == 400
    web.time -= 601
    assert web.client.get(back).status_code == 303
    assert web.client.get(back).status_code == 400, "the browser keeps it no longer"


def test_a_refusal_of_the_provider_is_told(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    web.client.get("/sign-in/oidc")
    answer = web.client.get("/sign-in/oidc/back?error=access_denied&error_description=not+today<b>")
    assert answer.status_code == 403 and "not today" in answer.text


def test_a_provider_that_is_another_or_away_is_told(tmp_path: Path, provider: Provider) -> None:
    provider.document = {"issuer": "https://evil.example.com"}
    web = made(tmp_path / "a", provider)
    answer = web.client.get("/sign-in/oidc")
    assert answer.status_code == 503 and "evil.example.com" in answer.text
    provider.document = {}
    assert web.client.get("/sign-in/oidc").status_code == 303, "once it is right, it is asked again"
    provider.close()
    away = made(tmp_path / "b", provider)
    answer = away.client.get("/sign-in/oidc")
    assert answer.status_code == 503 and "failed" in answer.text and SECRET not in answer.text


def test_a_session_ends_with_the_rule_that_made_it(tmp_path: Path, provider: Provider) -> None:
    web = made(tmp_path, provider)
    sign_in(web, provider)
    assert web.client.get("/api/v1/me").status_code == 200
    oidc = web.settings.access.oidc
    assert oidc
    changed = Web(tmp_path, Access(oidc=replace(oidc, act=("admins",))), url=URL)
    changed.client.cookies.update(dict(web.client.cookies))
    assert changed.client.get("/api/v1/me").status_code == 401


def test_without_oidc_there_is_no_such_way(tmp_path: Path) -> None:
    web = Web(tmp_path)
    assert web.client.get("/sign-in/oidc").status_code == 404
    assert web.client.get("/sign-in/oidc/back").status_code == 400
