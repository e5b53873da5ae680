"""A message for a Slack channel, by an incoming webhook."""

from __future__ import annotations

from typing import Any

from pipeline.serve.hosts.text import one_line
from pipeline.serve.messages.model import Message
from pipeline.serve.messages.posting import Post

_SIGNS = {"failed": "❌", "recovered": "✅", "done": "✅", "drift": "⚠️", "repository": "⚠️"}


class Slack:
    """Blocks as api.slack.com has them ("Reference: blocks"; "Sending messages using incoming webhooks"). What others
    wrote is plain text there: nothing in it mentions anybody, or links.
    """

    folds = True

    def __init__(self, post: Post) -> None:
        self._post = post

    def send(self, message: Message, delivery: str) -> None:  # noqa: ARG002
        title = f"{_SIGNS.get(message.event, '')} {message.title}".strip()
        self._post({"text": _escaped(one_line(title, 300)), "blocks": _blocks(message, title)})


def _blocks(message: Message, title: str) -> list[dict[str, Any]]:
    lines = "\n".join((*(f"• {one_line(each, 200)}" for each in message.more), message.text)).strip()
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(one_line(title, 150))}]
    if lines:
        blocks.append({"type": "section", "text": _plain(lines[:2900])})
    if message.facts:
        facts = [_plain(one_line(f"{name}: {value}", 200)) for name, value in list(message.facts.items())[:10]]
        blocks.append({"type": "context", "elements": facts})
    if message.url:
        link = {"type": "mrkdwn", "text": f"<{_escaped(message.url)}|Read more>"}
        blocks.append({"type": "section", "text": link})
    return blocks


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escaped(text: str) -> str:
    """The three characters that begin something in Slack's own markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


__all__ = ["Slack"]
