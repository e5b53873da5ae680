"""A message for a Microsoft Teams channel, by a workflow that begins "When a Teams webhook request is received"."""

from __future__ import annotations

from typing import Any

from pipeline.serve.hosts.text import one_line
from pipeline.serve.messages.model import Message
from pipeline.serve.messages.posting import Post

_COLOURS = {"failed": "Attention", "recovered": "Good", "done": "Good", "drift": "Warning", "repository": "Warning"}
_LONGEST = 4_000
"""Characters of the reason: a card of more than 28 KB is refused."""
_MOST_LINES = 30


class Teams:
    """An adaptive card (adaptivecards.io, version 1.4) as an attachment of a message, as learn.microsoft.com has it
    ("Create incoming webhooks with Workflows"). What others wrote stands in text runs, which know no Markdown.
    """

    folds = True

    def __init__(self, post: Post) -> None:
        self._post = post

    def send(self, message: Message, delivery: str) -> None:  # noqa: ARG002
        content = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": _body(message),
            **({"actions": [_link(message.url)]} if message.url else {}),
        }
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
        self._post({"type": "message", "attachments": [attachment]})


def _body(message: Message) -> list[dict[str, Any]]:
    colour = _COLOURS.get(message.event, "Default")
    title = {"type": "TextRun", "text": one_line(message.title, 300), "weight": "Bolder", "size": "Medium"}
    body = [_runs({**title, "color": colour})]
    body += [_runs({"type": "TextRun", "text": f"• {one_line(each, 200)}"}) for each in message.more]
    lines = [line for line in message.text[:_LONGEST].splitlines() if line.strip()][:_MOST_LINES]
    body += [_runs({"type": "TextRun", "text": line}) for line in lines]
    facts = [f"{name}: {one_line(value, 200)}" for name, value in message.facts.items()]
    if facts:
        body.append(_runs({"type": "TextRun", "text": " · ".join(facts), "isSubtle": True, "size": "Small"}))
    return body


def _runs(run: dict[str, Any]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [run]}


def _link(url: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": "Read more", "url": url}


__all__ = ["Teams"]
