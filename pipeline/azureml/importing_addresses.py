"""Addresses of indexes and channels that hold credentials: what is written has references in their place."""

from __future__ import annotations

import re

from pipeline.azureml.importing_parts import Parts, literal
from pipeline.manifest.model import Secret

_CREDENTIALS = re.compile(r"://(?:(?P<user>[^/@\s:]*):)?(?P<password>[^/@\s:]+)@(?P<host>[^/\s:]+)")
_CHANNEL_TOKEN = re.compile(r"://(?P<host>[^/\s:@]+)(?::[0-9]+)?/t/(?P<token>[^/\s]+)(?=/)")
_TOKEN_LENGTH = 20
"""Characters from which on a name alone, as in https://TOKEN@host/, is taken for a token: those of services have 40."""


def guarded(text: str, parts: Parts) -> str:
    """A channel, or a line for pip, as the manifest has it. Secrets in it get into `parts`, with a note for each."""
    pieces, at = [], 0
    for match, group, kind in _found(text):
        start, end = match.span(group)
        # pip's own ${NAME} is expanded when the packages are looked for.
        if start < at or match[group].startswith("${"):
            continue
        variable = _variable(match[group], f"{match['host']}_{kind}", parts)
        pieces += [literal(text[at:start]), f"${{env:{variable}}}"]
        at = end
    return "".join([*pieces, literal(text[at:])])


def _found(text: str) -> list[tuple[re.Match[str], str, str]]:
    named = [
        (match, "password", "password")
        for match in _CREDENTIALS.finditer(text)
        if match["user"] is not None or len(match["password"]) >= _TOKEN_LENGTH
    ]
    tokens = [(match, "token", "token") for match in _CHANNEL_TOKEN.finditer(text)]
    return sorted((*named, *tokens), key=lambda each: each[0].start())


def _variable(value: str, name: str, parts: Parts) -> str:
    """The variable that stands for a secret; one that is met again keeps its variable."""
    wanted = variable = re.sub(r"[^A-Za-z0-9]+", "_", f"_{name}" if name[:1].isdigit() else name).upper()
    number = 2
    while variable in parts.secrets and parts.secrets[variable].reveal() != value:
        variable, number = f"{wanted}_{number}", number + 1
    if variable not in parts.secrets:
        parts.secrets[variable] = Secret(value)
        parts.notes.append(f"set {variable} to what stands in the address of its packages: it is not copied")
    return variable
