"""Messages to people: what happened, why, and where to read more, whatever shape it takes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

from pipeline.noun import noun

_SHOWN = 10


@noun
class Message:
    """`event` is what settings call it (failed, recovered, …), `subject` what it is about: a manifest's id, a target's,
    a repository's name. `title` is one line, `text` the reason, `url` a page or empty, `at` Unix time in seconds.
    `facts` are short words by name. `count` says how often it was so; `more` are the titles of those it stands for.
    """

    event: str
    subject: str
    title: str
    text: str = ""
    url: str = ""
    at: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    more: tuple[str, ...] = ()

    @staticmethod
    def of(data: Mapping[str, Any]) -> Message:
        """The message of what `data` made of one."""
        return Message(**{**data, "more": tuple(data.get("more", ()))})

    @property
    def data(self) -> dict[str, Any]:
        """JSON types."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**facts, "facts": dict(self.facts), "more": list(self.more)}


class Channel(Protocol):
    """Where messages go."""

    folds: bool
    """Whether several that wait may go as one: people read it, and not a program."""

    def send(self, message: Message, delivery: str) -> None:
        """`delivery` is the same whenever the same message is tried again. Raises OutOfReach where trying again may
        help, UsageError where it does not.
        """
        ...


def folded(messages: Sequence[Message], url: str) -> Message:
    """One message for several."""
    counts = Counter(message.event for message in messages)
    title = f"{len(messages)} messages: " + ", ".join(f"{count} {event}" for event, count in counts.most_common())
    shown = tuple(message.title for message in messages[:_SHOWN])
    rest = len(messages) - len(shown)
    return Message(
        "several",
        "",
        title,
        f"and {rest} more" if rest else "",
        url,
        max(message.at for message in messages),
        count=len(messages),
        more=shown,
    )


def moment(at: float) -> str:
    """RFC 3339, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


__all__ = ["Channel", "Message", "folded", "moment"]
