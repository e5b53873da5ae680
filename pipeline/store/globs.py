"""Globs, and rules of a .dockerignore file (Docker, "Build context"; Go's path/filepath.Match)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence

_PART = re.compile(r"\*\*/|\*\*|\*|\?|\\.|\[\^?[^\]]+\]|.", re.DOTALL)
_WORDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def expression(pattern: str) -> str:
    """The regular expression of a glob: `*` and `?` within a name, `**` across folders, `[a-z]`; a backslash quotes."""
    return "".join(map(_translated, _PART.findall(pattern)))


def _translated(part: str) -> str:
    if part in _WORDS:
        return _WORDS[part]
    if part.startswith("["):
        inner = part[1:-1].replace("[", r"\[").replace("&&", r"\&&").replace("||", r"\||").replace("~~", r"\~~")
        return f"[{inner}]"
    return re.escape(part.removeprefix("\\") or part)


def keeper(rules: Sequence[str]) -> tuple[Callable[[str], bool], bool]:
    """Whether a path is kept by `rules`, and whether a folder that is not kept may still hold what is.

    A rule that matches a folder counts for all in it; later rules win; `!` brings back; `#` begins a comment. Every
    rule starts at the top; `**/` in front of it is for any depth.
    """
    wanted = [(rule.startswith("!"), _cleaned(rule)) for rule in map(str.strip, rules) if rule and rule[0] != "#"]
    compiled = [(back, _compiled(rule)) for back, rule in reversed(wanted) if rule]
    if not any(back for back, _ in compiled):
        either = re.compile("|".join(expression_.pattern for _, expression_ in compiled) or r"(?!)", re.DOTALL)
        return lambda path: not either.fullmatch(path), False

    def kept(path: str) -> bool:
        return next((back for back, rule in compiled if rule.fullmatch(path)), True)

    return kept, True


def _cleaned(rule: str) -> str:
    return posixpath.normpath("/" + rule.removeprefix("!").strip()).lstrip("/")


def _compiled(rule: str) -> re.Pattern[str]:
    try:
        return re.compile(f"{expression(rule)}(?:/.*)?", re.DOTALL)
    except re.error:
        # Such as [z-a], which Docker takes for a rule that matches nothing.
        return re.compile(r"(?!)")
