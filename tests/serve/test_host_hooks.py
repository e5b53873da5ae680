"""Webhooks of all hosts: what they say, and that only those with the right signature are heard."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import hook_bodies as hooks
import pytest
from hook_bodies import AFTER, AT, SECRET, encoded
from hypothesis import given
from hypothesis import strategies as some

from pipeline.manifest.model import Secret
from pipeline.serve.hosts import Deliveries, Nothing, Opened, Push, Receiver, Refused, host_of, is_about, read
from pipeline.serve.ports import Request
from pipeline.serve.settings import Host, HostKind, Repository

KINDS: dict[str, tuple[Any, ...]] = {
    "github": (hooks.github, "push", hooks.GITHUB_PUSH, "pull_request", hooks.GITHUB_PULL),
    "gitea": (hooks.gitea, "push", hooks.GITHUB_PUSH, "pull_request", hooks.GITEA_PULL),
    "gitlab": (hooks.gitlab, "Push Hook", hooks.GITLAB_PUSH, "Merge Request Hook", hooks.GITLAB_MERGE),
    "azure-devops": (hooks.azure, "", hooks.AZURE_PUSH, "", hooks.AZURE_PULL),
}
URLS = {
    "github": "https://github.com/Acme/models.git",
    "gitea": "https://github.com/acme/models",
    "gitlab": "git@gitlab.com:acme/models.git",
    "azure-devops": "git@ssh.dev.azure.com:v3/org/My%20Project/models",
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))


def hear(kind: HostKind, headers: dict[str, str], body: bytes, secret: str | None = SECRET, now: float = AT) -> Any:
    return read(kind, headers, body, Secret(secret) if secret is not None else None, now)


def repository(kind: str, secret: str = SECRET) -> Repository:
    found = host_of(URLS[kind], kind)  # type: ignore[arg-type]
    return Repository("models", URLS[kind], host=Host(*found, webhook_secret=Secret(secret)))


def test_the_example_of_githubs_documentation() -> None:
    body = b"Hello, World!"
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert hooks.github("push", body)["X-Hub-Signature-256"] == signature
    # Its signature counts: it is only no JSON.
    with pytest.raises(Refused, match="no JSON") as caught:
        hear("github", {"X-Hub-Signature-256": signature}, body)
    assert caught.value.reason == "malformed"


@every_kind
def test_a_push(kind: HostKind) -> None:
    sign, event, data, *_ = KINDS[kind]
    body = encoded(data)
    found = hear(kind, sign(event, body), body)
    assert isinstance(found, Push)
    assert (found.branch, found.commit) == ("main", AFTER)
    assert is_about(found, repository(kind))


@every_kind
def test_a_pull_request(kind: HostKind) -> None:
    sign, *_, event, data = KINDS[kind]
    body = encoded(data)
    found = hear(kind, sign(event, body), body)
    assert isinstance(found, Opened)
    assert not found.closed
    url = found.request.url
    assert found.request == Request(2, AFTER, "main", "Update the README", "ada", url, fork=True)
    assert url.endswith("/2")
    assert is_about(found, repository(kind))


@every_kind
def test_a_closed_pull_request(kind: HostKind) -> None:
    sign, *_, event, data = KINDS[kind]
    data = copy.deepcopy(data)
    if kind == "gitlab":
        data["object_attributes"] |= {"action": "merge", "state": "merged"}
    elif kind == "azure-devops":
        data["resource"]["status"] = "abandoned"
    else:
        data["action"] = "closed"
    body = encoded(data)
    assert hear(kind, sign(event, body), body).closed


@every_kind
def test_a_deleted_branch_and_a_tag(kind: HostKind) -> None:
    sign, event, data, *_ = KINDS[kind]
    data = copy.deepcopy(data)
    place, name, new = (data, "ref", "after")
    if kind == "azure-devops":
        place, name, new = data["resource"]["refUpdates"][0], "name", "newObjectId"
    place[new] = "0" * 40
    body = encoded(data)
    assert hear(kind, sign(event, body), body).commit == ""
    place[name] = "refs/tags/v1"
    body = encoded(data)
    assert isinstance(hear(kind, sign(event, body), body), Nothing)


@every_kind
def test_what_asks_for_nothing(kind: HostKind) -> None:
    sign = KINDS[kind][0]
    bodies = {
        "github": ("ping", {"zen": "Design for failure.", "hook_id": 1}),
        "gitea": ("issues", {"action": "opened"}),
        "gitlab": ("Note Hook", {"object_kind": "note"}),
        "azure-devops": ("", {"eventType": "build.complete", "resource": {}}),
    }
    event, data = bodies[kind]
    body = encoded(data)
    assert isinstance(hear(kind, sign(event, body), body), Nothing)


@every_kind
def test_without_a_right_signature_it_is_refused(kind: HostKind) -> None:
    sign, event, data, *_ = KINDS[kind]
    body = encoded(data)
    for headers, secret, reason in (
        ({}, SECRET, "unsigned"),
        (sign(event, body, secret="a guess"), SECRET, "signature"),
        (sign(event, body, secret=""), "", "no-secret"),
        (sign(event, body), None, "no-secret"),
    ):
        with pytest.raises(Refused) as caught:
            hear(kind, headers, body, secret)
        assert caught.value.reason == reason
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_a_changed_body_is_refused(kind: HostKind) -> None:
    sign, event, data, *_ = KINDS[kind]
    headers = sign(event, encoded(data))
    with pytest.raises(Refused):
        hear(kind, headers, encoded({**data, "after": "e" * 40}))


def test_a_signature_of_sha1_counts_for_nothing() -> None:
    body = encoded(hooks.GITHUB_PUSH)
    old = "sha1=" + hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
    for headers in ({"X-Hub-Signature": old}, {"X-Hub-Signature-256": old}):
        with pytest.raises(Refused):
            hear("github", {"X-GitHub-Event": "push", **headers}, body)


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_a_form_is_read_too(kind: HostKind) -> None:
    sign, event, data, *_ = KINDS[kind]
    body = urlencode({"payload": encoded(data).decode()}).encode()
    headers = {**sign(event, body), "Content-Type": "application/x-www-form-urlencoded"}
    assert hear(kind, headers, body).commit == AFTER


# -- GitLab's signing tokens ------------------------------------------------------------------------------------------

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def standard(body: bytes, at: float = AT, key: str = KEY, id_: str = "msg_p5jXN8AQM9LWM0D4loKWxJek") -> dict[str, str]:
    raw = base64.b64decode(key.removeprefix("whsec_"))
    made = hmac.new(raw, f"{id_}.{int(at)}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(made).decode()}"
    return {"webhook-id": id_, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


def test_the_example_of_standard_webhooks() -> None:
    body = b'{"test": 2432232314}'
    headers = standard(body, at=1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert hear("gitlab", headers, body, KEY, now=1614265330.0) == Nothing("no event")


def test_a_signing_token_of_gitlab() -> None:
    body = encoded(hooks.GITLAB_PUSH)
    headers = standard(body)
    assert hear("gitlab", headers, body, KEY).commit == AFTER
    several = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']} v1a,BBBB"}
    assert hear("gitlab", several, body, KEY).commit == AFTER
    for wrong in (
        {**headers, "webhook-signature": "v1,AAAA"},
        {**headers, "webhook-id": "another"},
        standard(body, key="whsec_AAAA"),
        # The token itself proves nothing once there is a key to sign with.
        {"X-Gitlab-Token": KEY},
    ):
        with pytest.raises(Refused):
            hear("gitlab", wrong, body, KEY)


@pytest.mark.parametrize("off", [-301, 301, 86400])
def test_a_signed_time_that_is_off_is_refused(off: int) -> None:
    body = encoded(hooks.GITLAB_PUSH)
    with pytest.raises(Refused, match="time is off"):
        hear("gitlab", standard(body, at=AT + off), body, KEY)
    assert hear("gitlab", standard(body, at=AT + 299), body, KEY).commit == AFTER


def test_azure_takes_a_header_too() -> None:
    body = encoded(hooks.AZURE_PUSH)
    assert hear("azure-devops", {"Authorization": f"Bearer {SECRET}"}, body).commit == AFTER
    for wrong in ("Bearer guess", "Basic !!!", "Basic", f"Basic {base64.b64encode(SECRET.encode()).decode()}", SECRET):
        with pytest.raises(Refused):
            hear("azure-devops", {"Authorization": wrong}, body)


# -- all together -----------------------------------------------------------------------------------------------------


@every_kind
def test_a_delivery_is_heard_once(kind: str) -> None:
    sign, event, data, *_ = KINDS[kind]
    body = encoded(data)
    receive = Receiver(lambda: AT)
    assert isinstance(receive(repository(kind), sign(event, body), body), Push)
    assert receive(repository(kind), sign(event, body), body) == Nothing("it came before")


def test_github_may_deliver_again_under_another_name() -> None:
    body = encoded(hooks.GITHUB_PUSH)
    receive = Receiver(lambda: AT)
    for delivery in ("one", "two"):
        found = receive(repository("github"), hooks.github("push", body, delivery=delivery), body)
        assert isinstance(found, Push)


def test_only_so_many_deliveries_are_remembered() -> None:
    deliveries = Deliveries(most=100)
    assert all(deliveries.is_new({"x-github-delivery": str(n)}, b"") for n in range(150))
    assert deliveries.is_new({"x-github-delivery": "3"}, b"")
    assert not deliveries.is_new({"x-github-delivery": "149"}, b"")


@every_kind
def test_a_hook_of_an_organization_is_about_one_repository_only(kind: str) -> None:
    sign, event, data, *_ = KINDS[kind]
    text = encoded(data).decode().replace("acme/models", "acme/other").replace("_git/models", "_git/other")
    body = text.replace('"name": "models"', '"name": "other"').encode()
    found = Receiver(lambda: AT)(repository(kind), sign(event, body), body)
    assert isinstance(found, Nothing)


def test_a_repository_without_a_host_hears_nothing() -> None:
    with pytest.raises(Refused) as caught:
        hear("", hooks.github("push", b"{}"), b"{}")
    assert caught.value.reason == "unknown"


def test_too_large_a_body_is_refused_before_it_is_read() -> None:
    body = b" " * ((8 << 20) + 1)
    with pytest.raises(Refused) as caught:
        hear("github", hooks.github("push", body), body)
    assert caught.value.reason == "large"


@every_kind
@given(
    data=some.recursive(
        some.none() | some.booleans() | some.integers() | some.text(max_size=8),
        lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    )
)
def test_whatever_is_signed_is_read_or_refused(kind: HostKind, data: Any) -> None:
    sign, event, good, pull_event, pull = KINDS[kind]
    broken = [data, *({**good, name: data} for name in good), *({**pull, name: data} for name in pull)]
    for number, one in enumerate(broken):
        body = encoded(one)
        try:
            hear(kind, sign(pull_event if number > len(good) else event, body), body)
        except Refused as error:
            assert error.reason == "malformed"


@every_kind
@pytest.mark.parametrize("commit", ["--upload-pack=x", "HEAD", "A" * 40, "a" * 39, "a" * 40 + "\n", 7])
def test_a_commit_is_a_full_hash(kind: HostKind, commit: Any) -> None:
    sign, event, push, pull_event, pull = KINDS[kind]
    for name, data in ((event, push), (pull_event, pull)):
        body = encoded(data).decode().replace(encoded(AFTER).decode(), encoded(commit).decode()).encode()
        with pytest.raises(Refused) as caught:
            hear(kind, sign(name, body), body)
        assert caught.value.reason == "malformed"
