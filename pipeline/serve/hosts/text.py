"""Texts for hosts: what a line and a comment may hold, and the hidden mark that a comment is found by again."""

from __future__ import annotations

import hashlib
import hmac

_ENDED = "\n\n(cut here: it was too long)"


def one_line(text: str, most: int) -> str:
    """Printable characters in one line of at most `most`, the end left out."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def cut(text: str, most: int) -> str:
    """At most so many characters of Markdown; what a cut would leave open is closed."""
    if len(text) <= most:
        return text
    kept = text[: most - 64]
    kept = kept[: kept.rfind("\n")] if "\n" in kept else kept
    fences = [line.strip() for line in kept.splitlines() if line.strip().startswith("```")]
    closed = f"\n{'`' * (len(fences[-1]) - len(fences[-1].lstrip('`')))}" if len(fences) % 2 else ""
    open_details = "\n\n</details>" * (kept.count("<details>") - kept.count("</details>"))
    return (kept + closed + open_details[:24] + _ENDED)[:most]


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
