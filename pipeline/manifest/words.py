"""Words for messages: how values, types and near misses are named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.manifest.model import Secret

_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, or nothing when no known word is near."""
    import difflib

    near = difflib.get_close_matches(word[:100], [k for k in known if len(k) <= 100][:1000], n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else ""


def suggestion(word: str, known: Iterable[str], label: str = "known here") -> str:
    """The near miss, else what there is to choose from."""
    names = sorted(known)
    return did_you_mean(word, names) or (f"{label}: {listed(names)}" if names else "")


def listed(names: Iterable[str], most: int = 12) -> str:
    """`a, b, c`, cut short when there are many."""
    every = [str(name) for name in names]
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def shown(value: Any) -> str:
    """A value in a message: short, on one line, and never a secret."""
    if isinstance(value, Secret):
        return "***"
    if isinstance(value, str):
        text = "".join(c if c.isprintable() else "\ufffd" for c in value[:61])
        return f"'{text[:60]}…'" if len(value) > 60 else f"'{text}'"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return type_name(value)


def type_name(value: Any) -> str:
    """What a value is, in plain words."""
    if isinstance(value, bool):
        return "true or false"
    names: dict[type, str] = {int: "a whole number", float: "a number", list: "a list", dict: "a mapping"}
    return "empty" if value is None else names.get(type(value), "text")


def type_names(types: Iterable[str]) -> str:
    """JSON Schema's type names in plain words: `text or a list`."""
    return " or ".join(_TYPES.get(name, name) for name in types)


def size(count: int) -> str:
    """Bytes for people, in powers of 1000: `512 B`, `1.2 MB`, `81 MB`."""
    if count < 1000:
        return f"{count} B"
    value = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 9.95:
            return f"{value:.1f} {unit}"
        if value < 999.5:
            return f"{value:.0f} {unit}"
    return f"{value:.0f} TB"


def exact_size(count: int) -> str:
    """Bytes for people where none may be lost: `900 MB`, `1500001 B`."""
    powers = ((10**9, "GB"), (10**6, "MB"), (1000, "kB"))
    return next((f"{count // one} {unit}" for one, unit in powers if count % one == 0), f"{count} B")


def article(noun: str) -> str:
    return f"an {noun}" if noun[:1] in "aeiou" else f"a {noun}"
