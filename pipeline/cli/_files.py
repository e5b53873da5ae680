"""Writes a command's text where the user wants it."""

from __future__ import annotations

from pathlib import Path

from pipeline.cli._shell import Shell
from pipeline.errors import UsageError


def write_text(shell: Shell, text: str, target: Path | None) -> None:
    """To the file, else to standard output; raises UsageError for a file that cannot be written."""
    if target is None or str(target) == "-":
        shell.line(text.removesuffix("\n"))
        return
    try:
        target.write_text(shell.masks.text(text).removesuffix("\n") + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror}", remedy="name another file with -o") from error
