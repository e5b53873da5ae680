"""Texts for hosts: what a line and a comment may hold, and the hidden mark that a comment is found by again."""

from __future__ import annotations

import hashlib
import hmac

_ENDED = "\n\n(cut here: it was too long)"
_ROOM = 128
"""Characters for what closes a text that was cut."""


def one_line(text: str, most: int) -> str:
    """Printable characters in one line of at most `most`, the end left out."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def cut(text: str, most: int) -> str:
    """At most so many characters of Markdown; what a cut would leave open is closed."""
    if len(text) <= most:
        return text
    kept = text[: most - _ROOM]
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    fence = _open_fence(kept)
    details = "\n\n</details>" * min(kept.count("<details>") - kept.count("</details>"), 2)
    return kept + (f"\n{fence}" if fence else "") + details + _ENDED


def _open_fence(text: str) -> str:
    """The fence of the code block that a text ends within (CommonMark 0.31, section 4.5); of backticks only."""
    fence = ""
    for line in text.splitlines():
        run = line[: len(line) - len(line.lstrip("`"))]
        if not fence and len(run) > 2:
            fence = run
        elif fence and len(run) >= len(fence) and line.strip() == run:
            fence = ""
    return fence if len(fence) <= _ROOM // 2 else ""


def marker(key: str, token: str) -> str:
    """A mark that does not show, and that nobody can write before it was there: who could would have their own comment
    taken for ours. It comes of the token, so a new token begins a new comment.
    """
    made = hmac.new(token.encode(), f"comment {key}".encode(), hashlib.sha256).hexdigest()
    return f"<!-- pipeline {key} {made[:16]} -->"


def marked(body: str, mark: str, most: int) -> str:
    """A comment with its mark, of at most `most` characters."""
    return f"{mark}\n{cut(body, most - len(mark) - 1)}"


__all__ = ["cut", "marked", "marker", "one_line"]
