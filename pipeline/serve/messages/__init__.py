"""Messages to people and programs: webhooks of three shapes."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.http import Transport
from pipeline.serve.messages.model import Channel, Message, folded
from pipeline.serve.messages.posting import Post
from pipeline.serve.messages.slack import Slack
from pipeline.serve.messages.teams import Teams
from pipeline.serve.messages.webhook import Webhook
from pipeline.serve.settings import Messages


def channel_of(settings: Messages, transport: Transport, now: Callable[[], float]) -> Channel:
    """The channel of a setting; nothing is asked yet. `now` gives Unix times in seconds."""
    post = Post(settings.name, settings.url, transport, now)
    if settings.kind == "slack":
        return Slack(post)
    return Teams(post) if settings.kind == "teams" else Webhook(post, settings.secret)


__all__ = ["Channel", "Message", "channel_of", "folded"]
