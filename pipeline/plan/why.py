"""Why a step is not a hit: which inputs changed, from what to what, and which steps below bring it about."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pipeline.plan.model import Change

MOST = 3
UNKNOWN = "made last by an older version, which kept no inputs"

_STEPS = ("base", "layer", "image", "push", "check", "tag", "target")
_PART = re.compile(r"([^/@ ]+)/.*?((?:@\S+)?(?: on \S+)?)")
_WEAK = re.compile("content|history|order|order of .*|spec .*")
"""What is told only when nothing else is: it says no more than that something changed."""
_SECRET = re.compile(r"\bsecret [0-9a-f]{8}\b")
_HASH = re.compile(r"#[0-9a-f]{12}")
_KEY = re.compile(r"[0-9a-f]{12}")
_DIGEST = re.compile(r"([0-9a-f]{12})(?: |$)")


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Change, ...]:
    """Every input that differs, what is the step's own first, and then the steps below."""
    every = [
        Change(name, hidden(before.get(name)), hidden(now.get(name)))
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
    every.sort(key=names_step)
    strong = [change for change in every if not _WEAK.fullmatch(change.name)]
    return tuple(strong or [change for change in every if change.name == "order"] or every)


def why(before: Mapping[str, str] | None, now: Mapping[str, str], most: int = MOST) -> str:
    """One line for people; "first time" when the step has no past, "result is gone" when nothing changed."""
    if before is None:
        return "first time"
    if not before and now:
        return UNKNOWN
    return told(changes(before, now), most) or "its result is no longer in the store"


def told(found: Sequence[Change], most: int = MOST, parts: bool = False) -> str:
    """Changes in one line: the first few of the step's own, and the steps below that change; these by the manifest's
    names, else with `parts` each part of an entry by itself.
    """
    below = _below([change for change in found if names_step(change)], parts)
    own = [words(change) for change in found if not names_step(change)]
    own += [f"{name} {state}" for name, state in below.items() if state]
    more = f" and {len(own) - most} more" if len(own) > most else ""
    said = [", ".join(own[:most]) + more] if own else []
    steps = [name for name, state in below.items() if not state]
    if steps:
        shown = listed([*steps[:most], *([f"{len(steps) - most} more"] if len(steps) > most else [])])
        said.append(f"because {shown} {'changes' if len(steps) == 1 else 'change'}")
    return ", ".join(said)


def _below(found: Sequence[Change], parts: bool) -> dict[str, str]:
    """Steps below by name, with `is new` or `is gone`; of an entry in parts only that it changes, for it may have had
    others.
    """
    states = {}
    for change in found:
        noun, _, name = change.name.partition(" ")
        whole = f"{noun} {entry(name)}"
        state = "is new" if change.before is None else "is gone" if change.now is None else ""
        states[change.name if parts else whole] = state if parts or whole == change.name else ""
    return states


def entry(name: str) -> str:
    """The manifest's name for a step's: without its part; its platform and what it is on stay."""
    found = _PART.fullmatch(name) if "/" in name else None
    return found[1] + found[2] if found else name


def words(change: Change) -> str:
    """One change: `numpy 2.1.0 → 2.2.0`, `src/score.py changed`, `env WORKERS 1 → 2`."""
    noun, _, subject = change.name.partition(" ")
    if noun == "package" and subject:
        return _package(subject, change)
    if noun in ("file", "folder") and subject:
        return _file(subject, change)
    if change.before is None or change.now is None:
        state = "is gone" if change.now is None else "is new"
        return f"{change.name} {state}"
    if change.before == change.now or any(_HASH.fullmatch(text) for text in (change.before, change.now)):
        return f"{change.name} changed"
    return f"{change.name} {_value(change.before)} → {_value(change.now)}"


def names_step(change: Change) -> bool:
    """Whether an input is another step: its name is a step's id, and its text the beginning of a key."""
    noun, _, subject = change.name.partition(" ")
    texts = [text for text in (change.before, change.now) if text is not None]
    return noun in _STEPS and bool(subject) and all(_KEY.fullmatch(text) for text in texts)


def listed(names: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _package(name: str, change: Change) -> str:
    before, now = (text and text.split(" ")[0] for text in (change.before, change.now))
    if change.before is None:
        return " ".join(filter(None, (name, now, "is new")))
    if change.now is None:
        return " ".join(filter(None, (name, before, "is gone")))
    return f"{name} {now} is another file" if before == now else f"{name} {_value(before)} → {_value(now)}"


def _file(path: str, change: Change) -> str:
    if change.before is None or change.now is None:
        return f"{path} {'is gone' if change.now is None else 'is new'}"
    (content, before), (other, now) = (_split(text) for text in (change.before, change.now))
    if content != other or before == now:
        return f"{path} changed"
    details = [(a, b) for a, b in zip(_pairs(before), _pairs(now), strict=False) if a != b]
    return f"{path} " + ", ".join(f"{a} → {b.rpartition(' ')[2]}" for a, b in details) if details else f"{path} changed"


def _split(text: str) -> tuple[str, str]:
    """The digest of a file, and what else there is to it."""
    found = _DIGEST.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def _pairs(text: str) -> list[str]:
    """`mode 0644 uid 0` as `mode 0644`, `uid 0`."""
    parts = text.split(" ")
    return [" ".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]


def _value(text: str | None) -> str:
    return text if text else "none"


def hidden(text: str | None) -> str | None:
    """Not even the trace of a secret that its change is seen by."""
    return None if text is None else _SECRET.sub("(secret)", text)
