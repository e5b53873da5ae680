"""Reads WWW-Authenticate: which schemes a registry accepts, with their parameters (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.noun import noun

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))')
_SCHEME = re.compile(rf"\s*({_TOKEN})(?=\s|,|$)")
_COMMA = re.compile(r"[\s,]*")


@noun
class Challenge:
    """One scheme in lower case, and its parameters by lower-case name."""

    scheme: str
    parameters: Mapping[str, str]


def parse(header: str) -> list[Challenge]:
    """The challenges of a header, in its order; what cannot be read ends the list."""
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    position = 0
    while position < len(header):
        position = _skip(header, position)
        if found and (match := _PARAMETER.match(header, position)):
            name, quoted, plain = match.groups()
            parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        elif match := _SCHEME.match(header, position):
            parameters = {}
            found.append(Challenge(match[1].lower(), parameters))
        else:
            break
        position = match.end()
    return found


def _skip(header: str, position: int) -> int:
    match = _COMMA.match(header, position)
    return match.end() if match else position
