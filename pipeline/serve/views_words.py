"""Words for what pages show: how a repository is and what to do, what a schedule says, and times of text. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.serve.book import Tick
from pipeline.serve.model import RepositoryStatus
from pipeline.serve.settings import Repository

_WORDS = {
    "new": "Not looked at yet.",
    "ok": "All commits of {branch} are applied.",
    "unreachable": "It does not answer; it is asked again by itself. What runs goes on running.",
    "diverged": "{branch} was forced to a commit that does not follow from what was applied. Nothing of it is applied "
    "until the branch is put right, or somebody accepts it.",
    "unsigned": "A commit of {branch} has no signature that counts. Nothing from it on is applied until it is signed, "
    "or somebody accepts it.",
    "held": "What of {branch} was applied is not known any more. Nothing is run until somebody accepts its newest "
    "commit.",
    "gone": "The repository or its branch {branch} is not there. What runs goes on running; nothing is torn down.",
    "broken": "It is there and cannot be read. What runs goes on running.",
}


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-Z\\\\-_])")
# Of Unicode's control and format characters those that move, turn or hide others (UAX #9, 2; UTS #39): not those that
# join letters and signs.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\ud800-\udfff]"
)


def plain(text: str) -> str:
    """Text from elsewhere as it may be shown: without a terminal's sequences (ECMA-48, 5.4: colours, moves), without
    what turns the direction of writing, and of lines that were overwritten (CR) the last state.
    """
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _UNSEEN.sub("\ufffd", text)


def log_line(text: str) -> str:
    """The same as an entry of a log: what follows its first line is indented, so that it is taken for no entry."""
    return plain(text).replace("\n", "\n    ")


def repository_words(one: Repository, status: RepositoryStatus) -> str:
    """How a repository is, in a sentence or two."""
    if status.state == "ok" and status.seen and status.seen != status.applied:
        return f"A new commit of {one.branch} is being looked at."
    return _WORDS[status.state].format(branch=one.branch)


def schedule_words(schedule: Mapping[str, Any] | None) -> str:
    """`0 3 * * 1 Europe/Berlin`; empty for none."""
    if not schedule:
        return ""
    return " ".join(str(schedule[name]) for name in ("cron", "timezone") if schedule.get(name))


def next_due(ticks: Mapping[str, Tick], manifest: str) -> float:
    """When the schedule of a manifest is due; 0 for never."""
    tick = ticks.get(f"schedule {manifest}")
    return tick.due if tick else 0.0


def since(text: str) -> float:
    """The Unix time of an RFC 3339 text; 0 where there is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


__all__ = ["log_line", "next_due", "plain", "repository_words", "schedule_words", "since"]
