"""What was asked for, as the lock keeps it for people: without hosts, and short; and how two of these differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.digest import cache_key, short
from pipeline.reference import hostless

_ADDRESS = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'>]+")
_NAME = re.compile(r"^[A-Za-z0-9][\w.+-]*?(?=[\s\[=<>!~;@:]|$)")
_EXTRAS = re.compile(r"\[[^\]=]*\]|\s+")
LONGEST = 200
"""The most characters of a text; a longer one, or one of several lines, stands in by its hash."""


def readable(request: Any) -> Any:
    """A kind's request (JSON types) as the lock keeps it: an address is told by a hash alone, a long text, too."""
    if isinstance(request, Mapping):
        return {key: _named(key, value) for key, value in request.items()}
    if isinstance(request, list | tuple):
        return [readable(item) for item in request]
    return _text(request) if isinstance(request, str) else request


def _named(key: str, value: Any) -> Any:
    return hostless(value) if key == "reference" and isinstance(value, str) else readable(value)


def _text(text: str) -> str:
    if len(text) > LONGEST or "\n" in text:
        count = len(text.splitlines())
        return f"text {short(cache_key(text), 8)}, {count} line{'s' * (count != 1)}"
    return _ADDRESS.sub(lambda match: f"address {short(cache_key(match[0]), 8)}", str(text))


def moved(before: Any, now: Any) -> list[str]:
    """What is asked for otherwise than before, in words: `scipy>=1 is new`, `numpy>=1 → numpy>=2`."""
    old, new = _by_name(before), _by_name(now)
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in new:
            lines.append(f"{old[key]} is gone")
        elif key not in old:
            lines.append(f"{new[key]} is new")
        elif old[key] != new[key]:
            lines.append(f"{old[key]} → {new[key]}")
    return lines


def otherwise(before: Any, now: Any) -> frozenset[str]:
    """The plain names (PEP 503) of packages that both ask for, each in other versions; extras make no difference."""
    old, new = _versions(before), _versions(now)
    return frozenset(name for place, name in old.keys() & new.keys() if old[place, name] != new[place, name])


def _versions(value: Any) -> dict[tuple[str, str], set[str]]:
    """What is asked of each package, by the list that it is in and its plain name."""
    found: dict[tuple[str, str], set[str]] = {}
    for place, text in _leaves(value, ""):
        # A conda package may have its channel before it.
        text = text.rpartition("::")[2]
        if " " in place and (name := _NAME.match(text)):
            key = place.partition(" ")[0], re.sub(r"[-_.]+", "-", name[0]).lower()
            found.setdefault(key, set()).add(_EXTRAS.sub("", text[name.end() :]))
    return found


def _by_name(value: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, text in _leaves(value, ""):
        # The same package may be asked for more than once, for other platforms.
        number = next(n for n in range(1, len(found) + 2) if f"{name} {n}" not in found)
        found[f"{name} {number}"] = text
    return found


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    """(what it is, what it says) of each text and number; in a list, what it is comes from the package's name."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping | list):
                yield from _leaves(item, name)
                continue
            found = _NAME.match(str(item))
            yield f"{name} {found[0].lower() if found else item}", str(item)
    else:
        yield name, f"{name} {value}" if name else str(value)
