"""Messages in the shapes of Slack, Teams and our own, checked against their documentation; their addresses hidden."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jsonschema
import pytest
from host_doubles import answer, one_of, record, silent

from pipeline.errors import OutOfReach, PipelineError, UsageError
from pipeline.http import Body, Http, Response
from pipeline.manifest.model import Secret
from pipeline.serve.messages import Message, channel_of, folded
from pipeline.serve.settings import Messages

URL = "https://hooks.example.com/services/T00/B00/XXXXsecretXXXX?sig=abc123"
NOW = 1_700_000_000.0
FAILED = Message(
    "failed",
    "models/manifests/prod.yaml",
    "prod failed",
    "no such package: numpyy\ncheck its name",
    "https://serve.example.com/jobs/7",
    NOW,
    {"repository": "models", "because": "commit 3f9c1d0 'Newer <model> @here' by Ada"},
)
HOSTILE = "<!channel> <https://evil.example.com|here> [x](https://evil.example.com) **b** & `c` \x1b[31m\n" * 200

TEXT = {"type": "string", "minLength": 1}


def plain(most: int) -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": most}
    return record(("type", "text"), type={"const": "plain_text"}, text=text, emoji={"type": "boolean"})


LINK = record(("type", "text"), type={"const": "mrkdwn"}, text={"pattern": r"^<https://[^<>|]+\|[A-Za-z ]+>$"})
SLACK = record(
    ("text", "blocks"),
    text={"type": "string", "pattern": "^[^<>]*$"},
    blocks={
        "type": "array",
        "maxItems": 50,
        "items": {
            "oneOf": [
                record(("type", "text"), type={"const": "header"}, text=plain(150)),
                record(("type", "text"), type={"const": "section"}, text={"oneOf": [plain(3000), LINK]}),
                record(
                    ("type", "elements"),
                    type={"const": "context"},
                    elements={"type": "array", "minItems": 1, "maxItems": 10, "items": plain(3000)},
                ),
            ]
        },
    },
)
"""api.slack.com, "Reference: blocks" (header, section, context)."""

RUN = record(
    ("type", "text"),
    type={"const": "TextRun"},
    text=TEXT,
    weight=one_of("Lighter", "Default", "Bolder"),
    size=one_of("Default", "Small", "Medium", "Large", "ExtraLarge"),
    color=one_of("Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"),
    isSubtle={"type": "boolean"},
)
BLOCK = record(("type", "inlines"), type={"const": "RichTextBlock"}, inlines={"type": "array", "items": RUN})
ACTION = record(("type", "url"), type={"const": "Action.OpenUrl"}, title=TEXT, url={"pattern": "^https://"})
CARD = {
    **record(
        ("type", "version", "body"),
        type={"const": "AdaptiveCard"},
        version={"const": "1.4"},
        body={"type": "array", "minItems": 1, "items": BLOCK},
        actions={"type": "array", "items": ACTION},
    ),
}
CARD["properties"]["$schema"] = {"const": "http://adaptivecards.io/schemas/adaptive-card.json"}
TEAMS = record(
    ("type", "attachments"),
    type={"const": "message"},
    attachments={
        "type": "array",
        "minItems": 1,
        "maxItems": 1,
        "items": record(
            ("contentType", "content"),
            contentType={"const": "application/vnd.microsoft.card.adaptive"},
            contentUrl={"type": "null"},
            content=CARD,
        ),
    },
)
"""learn.microsoft.com, "Create incoming webhooks with Workflows"; adaptivecards.io, the schema of 1.4."""

OURS = record(
    ("version", "event", "subject", "title", "text", "url", "at", "facts", "count", "more"),
    version={"const": 1},
    event=TEXT,
    subject={"type": "string"},
    title=TEXT,
    text={"type": "string"},
    url={"type": "string"},
    at={"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
    facts={"type": "object", "additionalProperties": {"type": "string"}},
    count={"type": "integer"},
    more={"type": "array", "items": TEXT},
)
SCHEMAS = {"slack": SLACK, "teams": TEAMS, "webhook": OURS}


class Inbox:
    """Takes what is posted, or answers as it was told to."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.got: list[tuple[Mapping[str, str], bytes]] = []

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        assert (method, url, headers["Content-Type"]) == ("POST", URL, "application/json")
        assert isinstance(body, bytes)
        self.got.append((headers, body))
        found = self.answers.pop(0) if self.answers else answer(200, b"ok")
        if isinstance(found, Exception):
            raise found
        yield found


def send(
    kind: Any, message: Message, *answers: Response | Exception, secret: str = ""
) -> tuple[Mapping[str, str], Any]:
    inbox = Inbox(*answers)
    settings = Messages("team", kind, Secret(URL), secret=Secret(secret) if secret else None)
    channel_of(settings, inbox, lambda: NOW).send(message, "17")
    headers, body = inbox.got[0]
    return headers, json.loads(body)


every_kind = pytest.mark.parametrize("kind", list(SCHEMAS))


@every_kind
@pytest.mark.parametrize(
    "message",
    [
        FAILED,
        Message("done", "models/a.yaml", "a is done"),
        Message("failed", "x", HOSTILE, HOSTILE, "https://serve.example.com/x", NOW, {"because": HOSTILE}),
        folded([FAILED] * 30, "https://serve.example.com"),
    ],
)
def test_a_message_is_as_documented(kind: str, message: Message) -> None:
    _, data = send(kind, message)
    jsonschema.validate(data, SCHEMAS[kind])
    # Teams refuses cards over 28 KB, and says so to nobody.
    assert len(json.dumps(data)) < 28_000 or kind == "webhook"


@every_kind
def test_the_reason_and_a_link_are_in_it(kind: str) -> None:
    _, data = send(kind, FAILED)
    text = json.dumps(data, ensure_ascii=False)
    for part in ("prod failed", "no such package: numpyy", "https://serve.example.com/jobs/7", "by Ada"):
        assert part in text


def test_nothing_that_others_wrote_is_markup_for_slack() -> None:
    _, data = send("slack", Message("failed", "x", HOSTILE, HOSTILE, "", NOW, {"because": HOSTILE}))
    marked = [block for block in data["blocks"] if block.get("text", {}).get("type") == "mrkdwn"]
    assert marked == []
    assert "<" not in data["text"]


def test_our_own_form_is_signed_and_has_a_number() -> None:
    inbox = Inbox()
    settings = Messages("team", "webhook", Secret(URL), secret=Secret("s3cret"))
    channel_of(settings, inbox, lambda: NOW).send(FAILED, "17")
    headers, body = inbox.got[0]
    made = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={made}"
    assert (headers["X-Pipeline-Event"], headers["X-Pipeline-Delivery"]) == ("failed", "17")
    headers, data = send("webhook", FAILED)
    assert "X-Hub-Signature-256" not in headers
    assert data["at"] == "2023-11-14T22:13:20Z"


@every_kind
@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_what_is_refused_is_not_tried_again(kind: str, status: int) -> None:
    with pytest.raises(UsageError, match=rf"'team' \(hooks\.example\.com\) are refused: invalid_payload \({status}\)"):
        send(kind, FAILED, answer(status, b"invalid_payload"))


@every_kind
@pytest.mark.parametrize(
    ("status", "headers", "wait"), [(500, {}, 0.0), (429, {"retry_after": "30"}, 30.0), (429, {}, 60)]
)
def test_what_may_pass_is(kind: str, status: int, headers: dict[str, str], wait: float) -> None:
    with pytest.raises(OutOfReach) as caught:
        send(kind, FAILED, answer(status, b"busy", **headers))
    assert caught.value.transient
    assert caught.value.retry_after == wait


@every_kind
def test_no_error_shows_the_address(kind: str) -> None:
    told = OutOfReach(f"{URL} does not answer: /services/T00/B00/XXXXsecretXXXX", transient=True)
    for one in (answer(404, URL.encode()), answer(500, b"/services/T00/B00/XXXXsecretXXXX"), told, silent()):
        with pytest.raises(PipelineError) as caught:
            send(kind, FAILED, one)
        assert "secret" not in str(caught.value)
        assert "abc123" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["hooks.example.com/secret", "https:///secret", "https://exa mple/secret", "ftp://x/secret"]
)
def test_an_address_that_is_none_is_not_shown_either(url: str) -> None:
    channel = channel_of(Messages("team", "slack", Secret(url)), Http({}), lambda: NOW)
    with pytest.raises(PipelineError) as caught:
        channel.send(FAILED, "1")
    assert "secret" not in str(caught.value)


def test_several_become_one() -> None:
    one = folded(
        [FAILED, FAILED, Message("recovered", "b", "b is well again", at=NOW + 5)], "https://serve.example.com"
    )
    assert one.title == "3 messages: 2 failed, 1 recovered"
    assert one.more == ("prod failed", "prod failed", "b is well again")
    assert (one.count, one.at) == (3, NOW + 5)
    assert folded([FAILED] * 30, "").text == "and 20 more"
