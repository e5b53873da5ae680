"""A pull request's plan as a comment in Markdown: what would be made of its manifests and why, what moves in the lock.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.serve.hosts.text import one_line
from pipeline.serve.model import Job, Tracked

KEY = "plan"
_LONGEST = 40_000
"""Characters of all plans and changes together: what the host with the least room shows (65,536), and a margin."""
_MARKS = {"done": "✅", "failed": "❌", "cancelled": "➖"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&])")


def comment(jobs: Sequence[Job], called: Callable[[Tracked], str], page: Callable[[Job], str]) -> str:
    """One comment for all manifests of a pull request: its ended plans, by their names. `page` is a job's address."""
    ordered = sorted(jobs, key=lambda job: job.manifest.id)
    bad = sum(job.state == "failed" for job in ordered)
    count = f"{len(ordered)} manifest" + ("s" if len(ordered) != 1 else "")
    verdict = f"{bad} of {count} would fail" if bad else f"{count} can be planned"
    commit = ordered[0].commit[:12] if ordered else ""
    head = f"### What this pull request would do\n\n{verdict}, at `{commit}`." if ordered else ""
    room = _LONGEST // (2 * max(len(ordered), 1))
    return "\n\n".join([head, *(_one(job, called(job.manifest), page(job), room) for job in ordered)]) + "\n"


def nothing(commit: str) -> str:
    """The comment on a pull request that had plans, and changes no manifest any more."""
    return f"### What this pull request would do\n\nNothing: it changes no manifest any more, at `{commit[:12]}`.\n"


def _one(job: Job, called: str, page: str, room: int) -> str:
    """What a manifest's plan says: a line to read, and the rest to be opened."""
    named = f"**{plain(called)}**" + ("" if called == job.manifest.path else f" ({plain(job.manifest.path)})")
    # A failure's words stand below as they are; they may be many lines.
    said = "cannot be planned" if job.state == "failed" else one_line(_text(job.told.get("text")), 300) or job.state
    link = f" · [more]({page})" if page else ""
    parts = [f"{_MARKS.get(job.state, '')} {named}: {plain(said)}{link}".strip()]
    if job.state == "failed":
        why = _text(job.told.get("text")) or f"exit code {job.exit_code}"
        parts.append(fenced("\n".join(filter(None, (why, _text(job.told.get("remedy"))))), "text", room))
    for key, title, kind in (("lock", "what moves in the lock", "diff"), ("plan", "the plan", "text")):
        if text := _text(job.told.get(key)):
            parts.append(f"<details><summary>{title}</summary>\n\n{fenced(text, kind, room)}\n\n</details>")
    return "\n\n".join(parts)


def _text(value: Any) -> str:
    """Lines, or a text of lines."""
    if isinstance(value, list | tuple):
        value = "\n".join(str(line) for line in value)
    return str(value or "").strip("\n")


def fenced(text: str, kind: str = "", most: int = _LONGEST) -> str:
    """A code block of `most` characters that no text can end: its fence is longer than any within (CommonMark 0.31,
    section 4.5).
    """
    text = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    if len(text) > most:
        text = text[:most].rpartition("\n")[0] + "\n… (cut: see the job's page)"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"


def plain(text: str) -> str:
    """Text that means nothing in Markdown or HTML, and mentions nobody."""
    line = one_line(text, 1000)
    # A word joiner keeps a name after @, and a number after #, from being taken for somebody and something.
    return _SPECIAL.sub(lambda found: f"\\{found[1]}" + ("\u2060" if found[1] in "@#!" else ""), line)


__all__ = ["KEY", "comment", "fenced", "nothing", "plain"]
