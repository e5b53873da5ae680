"""Who may come in: the rule at the start, tokens, proxies, hosts, and what each role may do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from webmaker import ACT, COMMIT, LOOK, PROD, TOKENS, Web, session

from pipeline.manifest.model import Secret
from pipeline.serve.settings import Access, Oidc, Proxy, Repository, Settings, Token
from pipeline.serve.web.access import access_flaws, role_of
from pipeline.serve.web.address import caller, is_loopback, neighbourhood
from pipeline.serve.web.events import Hub
from pipeline.serve.web.sessions import LASTS, seal, session_key, unseal

OIDC = Oidc("https://id.example.com", "pipeline", Secret("s3cret-of-the-client"), act=("ops",), look=("*",))
TLS = {"certificate": Path("tls.crt"), "key": Path("tls.key")}
PROXY = Proxy(("10.0.0.0/8",))


def flaws(host: str, access: Access, url: str = "") -> list[str]:
    return access_flaws(Settings(Path("serve.yaml"), {"m": Repository("m", "/srv")}, host=host, access=access, url=url))


@pytest.mark.parametrize(
    ("host", "access", "url"),
    [
        ("127.0.0.1", Access(), ""),
        ("::1", Access(tokens=TOKENS), ""),
        ("localhost", Access(), ""),
        ("0.0.0.0", Access(tokens=TOKENS, **TLS), ""),
        ("0.0.0.0", Access(tokens=TOKENS, proxy=PROXY), ""),
        ("10.1.2.3", Access(oidc=OIDC, proxy=PROXY), "https://pipeline.example.com"),
        ("10.1.2.3", Access(proxy=replace(PROXY, user="X-Forwarded-User")), ""),
        ("127.0.0.1", Access(tokens=TOKENS, proxy=Proxy(("127.0.0.1",))), ""),
    ],
)
def test_it_starts_where_nobody_comes_in_unasked(host: str, access: Access, url: str) -> None:
    assert flaws(host, access, url) == []


@pytest.mark.parametrize(
    ("host", "access", "url", "words"),
    [
        ("0.0.0.0", Access(), "", ["nobody has to sign in", "without TLS"]),
        ("192.0.2.7", Access(tokens=TOKENS), "", ["without TLS"]),
        ("::", Access(**TLS), "", ["nobody has to sign in"]),
        ("0.0.0.0", Access(proxy=PROXY), "", ["nobody has to sign in"]),
        ("127.0.0.1", Access(proxy=Proxy(("127.0.0.1",))), "", ["leads to others"]),
        ("127.0.0.1", Access(certificate=Path("tls.crt")), "", ["certificate and key"]),
        ("127.0.0.1", Access(tokens=(Token("ci", "act", Secret("short")),)), "", ["5 characters"]),
        ("127.0.0.1", Access(tokens=(TOKENS[0], replace(TOKENS[0], name="two"))), "", ["two is the same as ci"]),
        ("127.0.0.1", Access(oidc=OIDC), "", ["needs url"]),
        ("127.0.0.1", Access(oidc=replace(OIDC, issuer="http://id.example.com")), "https://x", ["not https"]),
        ("127.0.0.1", Access(oidc=replace(OIDC, act=(), look=())), "https://x", ["lets nobody in"]),
        ("0.0.0.0", Access(tokens=TOKENS, proxy=Proxy(("0.0.0.0/0",))), "", ["is everybody"]),
        ("0.0.0.0", Access(tokens=TOKENS, proxy=Proxy(("nginx",))), "", ["no address range"]),
    ],
)
def test_it_does_not_start_open_to_others(host: str, access: Access, url: str, words: list[str]) -> None:
    found = flaws(host, access, url)
    assert len(found) == len(words)
    assert all(word in flaw for word, flaw in zip(words, found, strict=True))
    assert not any("6f1c" in flaw or "short" in flaw for flaw in found)


def test_groups_give_roles() -> None:
    assert role_of(["dev", "ops"], OIDC) == "act"
    assert role_of("ops", OIDC) == "act"
    assert role_of(["dev"], OIDC) == "look"
    assert role_of(None, OIDC) == "look"
    assert role_of({"ops": 1}, replace(OIDC, look=("dev",))) == ""
    assert role_of([["ops"], 3], replace(OIDC, look=("dev",))) == ""


def test_only_a_trusted_proxy_says_where_a_request_is_from() -> None:
    said = {"host": "10.0.0.1:8800", "x-forwarded-for": "1.1.1.1, 198.51.100.9, 10.0.0.2", "x-forwarded-proto": "https"}
    said["x-forwarded-host"] = "pipeline.example.com"
    through = caller("10.0.0.3", "http", said, PROXY)
    assert (through.address, through.secure, through.host, through.proxied) == (
        *("198.51.100.9", True, "pipeline.example.com", True),
    )
    past = caller("192.0.2.1", "http", said, PROXY)
    assert (past.address, past.secure, past.host, past.proxied) == ("192.0.2.1", False, "10.0.0.1:8800", False)
    assert caller("::ffff:10.0.0.3", "http", said, PROXY).proxied
    assert caller("10.0.0.3", "http", {"x-forwarded-for": "<script>"}, PROXY).address == "10.0.0.3"


def test_addresses() -> None:
    assert is_loopback("127.8.9.1") and is_loopback("[::1]") and is_loopback("LOCALHOST")
    assert not is_loopback("0.0.0.0") and not is_loopback("localhost.example.com")
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2::9") == "2001:db8:1:2::/64"
    assert neighbourhood("192.0.2.1") == "192.0.2.1"


# -- roles ------------------------------------------------------------------------------------------------------------


def test_nothing_is_shown_without_signing_in(tmp_path: Path) -> None:
    web = Web(tmp_path).fill()
    open_ = {"/healthz": 200, "/sign-out": 405}
    for path in ("/", "/metrics", "/api/v1/jobs", "/api/openapi.json", "/api/v1/nothing", "/nothing", "//api/v1/jobs"):
        answer = web.at().get(path)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        assert "models" not in answer.text
    assert {path: web.at().get(path).status_code for path in open_} == open_
    page = web.at().get("/jobs?x=1", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=/jobs%3Fx%3D1")


def test_who_may_look_may_not_act(tmp_path: Path) -> None:
    web = Web(tmp_path).fill()
    asked = {"action": "run", "manifest": PROD.id}
    assert web.at(token=LOOK).get("/api/v1/jobs").status_code == 200
    refused = web.at(token=LOOK).post("/api/v1/jobs", json=asked)
    assert refused.status_code == 403
    assert refused.json()["detail"] == "screen may look, not act"
    assert web.at(token=ACT).post("/api/v1/jobs", json=asked).status_code == 201


def test_a_wrong_token_is_refused_though_there_is_a_session(tmp_path: Path) -> None:
    web = Web(tmp_path)
    session(web.client)
    assert web.client.get("/api/v1/me").json()["by"] == "session"
    answer = web.client.get("/api/v1/me", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert web.client.get("/api/v1/me", headers={"Authorization": f"Basic {ACT}"}).status_code == 401


def test_on_loopback_without_settings_everybody_may_act(tmp_path: Path) -> None:
    web = Web(tmp_path, Access()).fill()
    assert web.client.get("/api/v1/me").json() | {"csrf": ""} == {
        "name": "somebody",
        "role": "act",
        "by": "open",
        "csrf": "",
    }
    assert web.client.post("/api/v1/jobs", json={"action": "run", "manifest": PROD.id}).status_code == 201


def test_the_proxy_signs_in_and_nobody_else(tmp_path: Path) -> None:
    access = Access(proxy=Proxy(("10.0.0.0/8",), "X-Forwarded-User", "act"))
    web = Web(tmp_path, access, host="0.0.0.0", url="https://pipeline.example.com")
    said = {"X-Forwarded-User": "ada", "X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.9"}
    base = "http://pipeline.example.com"
    through = web.at("10.0.0.1", base).get("/api/v1/me", headers=said)
    assert (through.json()["name"], through.json()["by"]) == ("ada", "proxy")
    assert through.headers["strict-transport-security"]
    assert web.at("127.0.0.1", base).get("/api/v1/me", headers=said).status_code == 401
    past = web.at("192.0.2.1", base).get("/api/v1/me", headers=said)
    assert past.status_code == 403
    assert "come through the proxy" in past.json()["detail"]
    answer = web.at("10.0.0.1", base).post("/api/v1/repositories/plain/refresh", headers=said)
    assert answer.status_code == 403, "a browser behind the proxy needs the token of a form"
    given = {**said, "X-CSRF-Token": through.json()["csrf"]}
    assert web.at("10.0.0.1", base).post("/api/v1/repositories/plain/refresh", headers=given).status_code == 200


@pytest.mark.parametrize("host", ["evil.example.com", "127.0.0.1.evil.example.com:8800", "", "[::1", "localhost."])
def test_a_name_that_was_led_here_is_refused(tmp_path: Path, host: str) -> None:
    web = Web(tmp_path, Access())
    answer = web.client.get("/api/v1/jobs", headers={"Host": host})
    assert answer.status_code == 421
    for known in ("localhost:8800", "[::1]:8800", "127.0.0.1", "127.0.0.1:9999"):
        assert web.client.get("/api/v1/jobs", headers={"Host": known}).status_code == 200


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_begins_with_a_token_and_ends(tmp_path: Path) -> None:
    web = Web(tmp_path).fill()
    client = web.client
    answer = client.post("/sign-in", data={"token": LOOK, "next": "/jobs"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and LOOK not in cookie and "Secure" not in cookie
    me = client.get("/api/v1/me").json()
    assert (me["name"], me["role"], me["by"]) == ("screen", "look", "session")
    copied = dict(client.cookies)
    out = client.post("/sign-out", headers={"X-CSRF-Token": me["csrf"]})
    assert out.status_code == 303
    assert client.get("/api/v1/me").status_code == 401
    again = web.at()
    again.cookies.update(copied)
    assert again.get("/api/v1/me").status_code == 401, "a copied cookie ends with its session"


def test_a_session_ends_with_time_and_settings(tmp_path: Path) -> None:
    web = Web(tmp_path)
    session(web.client)
    kept = dict(web.client.cookies)
    assert web.client.get("/api/v1/me").status_code == 200
    for tokens in ((TOKENS[1],), (replace(TOKENS[0], value=Secret("another-token-0123456789")), TOKENS[1])):
        changed = Web(tmp_path, Access(tokens=tokens))
        changed.client.cookies.update(kept)
        assert changed.client.get("/api/v1/me").status_code == 401
    lesser = Web(tmp_path, Access(tokens=(replace(TOKENS[0], role="look"),)))
    lesser.client.cookies.update(kept)
    assert lesser.client.get("/api/v1/me").json()["role"] == "look"
    web.time += LASTS + 1
    assert web.client.get("/api/v1/me").status_code == 401


def test_a_session_behind_tls_has_a_cookie_for_it(tmp_path: Path) -> None:
    web = Web(tmp_path, Access(tokens=TOKENS, **TLS), host="0.0.0.0", url="https://pipeline.example.com")
    client = web.at("192.0.2.1", "https://pipeline.example.com")
    answer = client.post("/sign-in", data={"token": ACT})
    assert answer.headers["set-cookie"].startswith("__Host-pipeline=")
    assert "Secure" in answer.headers["set-cookie"] and "Path=/;" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_wrong_token_leads_back_to_the_form(tmp_path: Path) -> None:
    client = Web(tmp_path).client
    given = {"token": "nonsense", "next": "//evil.example.com/x"}
    answer = client.post("/sign-in", data=given)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?wrong=token&next=%2F")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("after", ["https://evil.example.com", "//evil.example.com", "/\\evil.example.com", "jobs"])
def test_signing_in_leads_nowhere_else(tmp_path: Path, after: str) -> None:
    client = Web(tmp_path).client
    answer = client.post("/sign-in", data={"token": ACT, "next": after})
    assert answer.headers["location"] == "/"


def test_what_was_sealed_for_one_purpose_counts_for_no_other(tmp_path: Path) -> None:
    key = session_key(tmp_path)
    assert session_key(tmp_path) == key
    assert (tmp_path / "session.key").stat().st_mode & 0o777 == 0o600
    text = seal(key, "oidc", {"a": 1, "until": 10.0})
    assert unseal(key, "oidc", text, 9.0) == {"a": 1, "until": 10.0}
    assert unseal(key, "oidc", text, 10.0) is None
    assert unseal(key, "session", text, 9.0) is None
    for broken in ("", ".", "a.b", text[:-1], f"x{text}", text.replace(".", "")):
        assert unseal(key, "oidc", broken, 9.0) is None


# -- forms of other sites ---------------------------------------------------------------------------------------------

_FOREIGN = [
    {"Origin": "https://evil.example.com"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:8800"},
]


@pytest.mark.parametrize("headers", _FOREIGN)
def test_what_another_sites_page_sends_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    asked = {"action": "run", "manifest": PROD.id}
    open_ = Web(tmp_path / "a", Access()).fill()
    assert open_.client.post("/api/v1/jobs", json=asked, headers=headers).status_code == 403
    web = Web(tmp_path / "b").fill()
    given = session(web.client)
    assert web.client.post("/api/v1/jobs", json=asked, headers={**headers, **given}).status_code == 403
    form = {"token": ACT}
    assert web.at().post("/sign-in", data=form, headers=headers).status_code == 403
    assert web.at(token=ACT).post("/api/v1/jobs", json=asked, headers=headers).status_code == 201


def test_a_session_needs_the_token_of_its_forms(tmp_path: Path) -> None:
    web = Web(tmp_path).fill()
    given = session(web.client)
    asked = {"action": "run", "manifest": PROD.id}
    assert web.client.post("/api/v1/jobs", json=asked).status_code == 403
    other = {"X-CSRF-Token": session(web.at())["X-CSRF-Token"]}
    assert web.client.post("/api/v1/jobs", json=asked, headers=other).status_code == 403, "another session's"
    assert web.client.post("/api/v1/jobs", json=asked, headers=given).status_code == 201
    assert web.client.post("/sign-out").status_code == 403
    assert web.client.post("/sign-out", data={"csrf": given["X-CSRF-Token"]}).status_code == 303


def test_a_form_without_a_type_of_json_does_nothing_where_all_may_act(tmp_path: Path) -> None:
    web = Web(tmp_path, Access()).fill()
    body = '{"action": "run", "manifest": "models/manifests/prod.yaml"}'
    answer = web.client.post("/api/v1/jobs", content=body, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert web.client.post("/sign-out").status_code == 403


def test_each_answer_tells_browsers_what_they_may_do(tmp_path: Path) -> None:
    web = Web(tmp_path)
    for path in ("/healthz", "/api/v1/jobs", "/nothing"):
        headers = web.at(token=ACT).get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers and "strict-transport-security" not in headers


def test_metrics_may_be_open_to_this_machine(tmp_path: Path) -> None:
    web = Web(tmp_path, Access(tokens=TOKENS, metrics="loopback"), url="https://pipeline.example.com")
    assert web.at().get("/metrics").status_code == 200
    assert web.at("192.0.2.1").get("/metrics").status_code == 401
    assert web.at().get("/api/v1/jobs").status_code == 401
    assert Web(tmp_path).at().get("/metrics").status_code == 401
    foreign = "http://pipeline.internal:8800"
    assert web.at(base=foreign).get("/metrics").status_code == 421, "a page elsewhere may be led here"
    assert web.at(base=foreign, token=LOOK).get("/metrics").status_code == 200
    assert Web(tmp_path, Access()).at(base=foreign).get("/metrics").status_code == 421
    assert COMMIT not in web.at().get("/metrics").text


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/api/v1/jobs", "/metrics", "/healthz", "/sign-in", "/api/openapi.json"]
)
def test_what_can_be_got_can_be_asked_for_its_head(tmp_path: Path, path: str) -> None:
    client = Web(tmp_path).fill().at(token=LOOK)
    head, got = client.head(path), client.get(path)
    assert head.status_code == got.status_code == 200
    assert {**head.headers, "content-length": ""} == {**got.headers, "content-length": ""}


def test_no_redirect_leads_off_the_way_people_came(tmp_path: Path) -> None:
    access = Access(tokens=TOKENS, proxy=PROXY)
    web = Web(tmp_path, access, host="0.0.0.0", url="https://pipeline.example.com").fill()
    client = web.at("10.0.0.1", "http://pipeline.example.com", LOOK)
    for path in ("/jobs/", "/api/v1/jobs/", "/sign-in/", "/hooks/models/"):
        assert client.get(path, headers={"X-Forwarded-Proto": "https"}).status_code == 404


@pytest.mark.parametrize(
    "other",
    ['x={"a":"b","c":1}', "a b=c", 'x="unclosed', "x=\xc3\xa9", "flag", "a[0]=1", "path=/x", "pipeline=not.ours"],
)
def test_cookies_of_others_keep_nobody_out(tmp_path: Path, other: str) -> None:
    web = Web(tmp_path)
    cookie = web.app.state.sessions.of_token(ACT, web.time)
    for header in (f"{other}; pipeline={cookie}", f"pipeline={cookie}; {other}"):
        sent = {"Cookie": header.encode("latin-1")}
        assert web.at().get("/api/v1/me", headers=sent).status_code == 200  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["sign-out", "time"])
def test_what_a_page_listens_to_ends_with_its_session(tmp_path: Path, end: str) -> None:
    web = Web(tmp_path)
    listens = threading.Event()

    def look() -> Mapping[str, int]:
        listens.set()
        return {}

    web.app.state.hub = Hub(look, pause=0.001, beat=0.01)
    given = session(web.client)
    other = web.at()
    other.cookies.update(dict(web.client.cookies))
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(other.get, "/events")
        assert listens.wait(30)
        if end == "time":
            web.time += LASTS + 1
        else:
            assert web.client.post("/sign-out", headers=given).status_code == 303
        # The client of tests gets an answer when it is whole.
        assert heard.result(30).status_code == 200
    assert other.get("/events").status_code == 401


def test_signing_out_ends_the_session_whatever_cookies_others_have_set(tmp_path: Path) -> None:
    web = Web(tmp_path)
    given = session(web.client)
    cookie = web.client.cookies["pipeline"]
    asker = web.at()
    both = {"Cookie": f"pipeline={cookie}; pipeline=of-others", "X-CSRF-Token": given["X-CSRF-Token"]}
    assert asker.post("/sign-out", headers=both).status_code == 303
    assert asker.get("/api/v1/me", headers={"Cookie": f"pipeline={cookie}"}).status_code == 401
