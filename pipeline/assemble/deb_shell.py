"""Reads the commands out of maintainer scripts without running them.

A small part of the shell is understood: words, quotes, continued lines, assignments, `for` over words; each branch of
`if` and `case` counts as taken. A word that only running could tell is `UNKNOWN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_SHELL = re.compile(r"^#!\s*\S*/(?:ba|da)?sh\b")
_HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)=(.*)$", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_KEYWORDS = frozenset(("if", "then", "else", "elif", "fi", "do", "done", "while", "until", "{", "}", "!", "(", ")"))
_SEPARATORS = (";", "&&", "||", "|", "&", "\n")
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)|(?P<comment>(?<![^\s;&|(])#[^\n]*)|(?P<separator>\n|;;|;|&&|\|\||\||&(?!>))"
    r"|(?P<word>(?:\\.|'[^']*'|\"(?:\\.|[^\"\\])*\"|\$\([^()]*(?:\([^()]*\)[^()]*)*\)|\$\{[^}]*\}|`[^`]*`"
    r"|[^\s;&|\\'\"`$]|\$|&>)+)",
    re.DOTALL,
)
_PIECE = re.compile(r"\\(.)|'([^']*)'|\"((?:\\.|[^\"\\])*)\"|(\$\(|`)|([^\\'\"`$]+|\$[{\w][^\\'\"`$]*|\$)", re.DOTALL)
MAX_REPEATS = 500
UNKNOWN = "\0"
"""Stands for a word whose value is not in the script; no path, name or number holds this character."""


class _Unknown(Exception):
    pass


def commands(script: str, variables: Mapping[str, str] | None = None) -> Iterator[list[str]]:
    """Each simple command of a shell script as its words; nothing for scripts of other languages."""
    if not _SHELL.match(script):
        return
    lines = _statements(_without_heredocs(script.replace("\\\n", " ")))
    yield from _run(lines, dict(variables or {}))


def _without_heredocs(script: str) -> str:
    kept: list[str] = []
    end = ""
    for line in script.split("\n"):
        if end:
            end = "" if line.strip() == end else end
            continue
        kept.append(line)
        match = _HEREDOC.search(line) if not line.lstrip().startswith("#") else None
        end = match[2] if match else ""
    return "\n".join(kept)


def _statements(script: str) -> list[list[str]]:
    """The raw words of each command, keywords included."""
    statements: list[list[str]] = [[]]
    for match in _TOKEN.finditer(script):
        if match["separator"]:
            statements.append([])
        elif word := match["word"]:
            if word in _KEYWORDS:
                statements += [[word], []]
            else:
                statements[-1].append(word)
    return [words for words in statements if words]


def _run(statements: list[list[str]], variables: dict[str, str]) -> Iterator[list[str]]:
    position = 0
    while position < len(statements):
        words = statements[position]
        position += 1
        if words[0] == "for" and len(words) > 2 and words[2] == "in":
            end = _loop_end(statements, position)
            body = statements[position:end]
            for value in _fields(words[3:], variables)[:MAX_REPEATS]:
                variables[words[1]] = value
                yield from _run(body, variables)
            position = end + 1
            continue
        yield from _simple(words, variables)


def _loop_end(statements: list[list[str]], position: int) -> int:
    depth = 0
    for index in range(position, len(statements)):
        word = statements[index][0]
        depth += (word == "do") - (word == "done")
        if word == "done" and depth == 0:
            return index
    return len(statements)


def _simple(words: list[str], variables: dict[str, str]) -> Iterator[list[str]]:
    """A command, once the assignments before it are noted and a `case` pattern is passed over."""
    while words and words[0].endswith(")") and not words[0].startswith("$"):
        words = words[1:]
    while words and (match := _ASSIGNMENT.match(words[0])):
        try:
            variables[match[1]] = _word(match[2], variables)
        except _Unknown:
            variables.pop(match[1], None)
        words = words[1:]
    if not words or words[0] in _KEYWORDS or words[0] == "case":
        return
    known = _fields(words, variables)
    if known[:1] not in ([], [UNKNOWN]):
        yield known


def _fields(words: list[str], variables: Mapping[str, str]) -> list[str]:
    """Words with their variables replaced; an unquoted one is split at white space, as the shell does."""
    fields: list[str] = []
    for word in words:
        try:
            value = _word(word, variables)
        except _Unknown:
            value = UNKNOWN
        quoted = word[:1] in "\"'"
        fields += [value] if quoted or not word.startswith("$") else value.split()
    return fields


def _word(text: str, variables: Mapping[str, str]) -> str:
    """A word without its quotes. Raises _Unknown for what only running could tell."""
    out = ""
    for match in _PIECE.finditer(text):
        escaped, single, double, substitution, plain = match.groups()
        if substitution or (double is not None and ("`" in double or "$(" in double)):
            raise _Unknown
        if escaped is not None or single is not None:
            out += escaped or single or ""
        elif double is not None:
            out += _replaced(re.sub(r'\\(["\\$`])', r"\1", double) if "\\" in double else double, variables)
        else:
            out += _replaced(plain, variables)
    return out


def _replaced(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name in variables:
            return variables[name]
        if match[3] is not None:
            return match[3]
        raise _Unknown

    replaced = _VARIABLE.sub(value, text)
    if "$" in replaced.replace("$", "", 0) and re.search(r"\$[{(@*#?!]", replaced):
        raise _Unknown
    return replaced
