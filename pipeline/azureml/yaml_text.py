"""Writes data as YAML that every reader of YAML 1.1 and 1.2 understands alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.noun import noun

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./+@-]*(?:[ =:<>~,!\[\]][A-Za-z0-9_./+@=<>~!\[\]-]+)*\]?")
_WORDS = re.compile(r"y|yes|n|no|true|false|on|off|null|~|\.inf|\.nan|=|<<", re.IGNORECASE)


@noun
class Comment:
    """A value with words for the reader beside it: on lines of their own above its key."""

    value: Any
    text: str


def dump(value: Mapping[str, Any]) -> str:
    """Block style; lists of plain values on one line where they are short."""
    return "\n".join(_mapping(value, "") if value else ["{}"]) + "\n"


def scalar(value: Any) -> str:
    """One value: plain where nothing can mistake it, else as a JSON string, which is YAML too (YAML 1.2.2, 7.3.1)."""
    if not isinstance(value, str):
        return _quoted(value)
    colon = ": " in value or value.endswith(":") or " #" in value
    if _PLAIN.fullmatch(value) and not colon and not _WORDS.fullmatch(value) and not re.match(r"\.[0-9]", value):
        return value
    return _quoted(value)


def _quoted(value: Any) -> str:
    """As JSON. What JSON leaves as it is, and YAML's readers refuse or break lines at, is escaped."""
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]", _escaped, json.dumps(value, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _mapping(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, part in value.items():
        text, part = (part.text, part.value) if isinstance(part, Comment) else ("", part)
        yield from (f"{indent}# {line}" for line in text.splitlines())
        yield from _entry(f"{indent}{scalar(key)}:", part, indent)


def _entry(head: str, part: Any, indent: str) -> Iterator[str]:
    short = _short(part)
    if short is not None and len(head) + len(short) < 110:
        yield f"{head} {short}"
    elif isinstance(part, Mapping):
        yield head
        yield from _mapping(part, indent + "  ")
    elif isinstance(part, list):
        yield head
        yield from _list(part, indent + "  ")
    else:
        yield f"{head} {scalar(part)}"


def _list(items: list[Any], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping) and item:
            lines = list(_mapping(item, indent + "  "))
            first = next(number for number, line in enumerate(lines) if not line.lstrip().startswith("#"))
            yield from (line[2:] for line in lines[:first])
            yield f"{indent}- {lines[first].lstrip()}"
            yield from lines[first + 1 :]
        else:
            yield f"{indent}- {_short(item) or scalar(item)}"


def _short(value: Any) -> str | None:
    """On one line, if it is empty, a plain value, or a list of those."""
    if isinstance(value, Mapping):
        return None if value else "{}"
    if not isinstance(value, list):
        return scalar(value)
    if any(isinstance(item, Mapping | list) for item in value):
        return None
    # Inside brackets a comma or a bracket ends a plain text.
    words = (json.dumps(item, ensure_ascii=False) if _breaks(item) else scalar(item) for item in value)
    return f"[{', '.join(words)}]"


def _breaks(item: Any) -> bool:
    return isinstance(item, str) and any(character in item for character in ",[]{}") and scalar(item) == item
