"""Writes a command's text where the user wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def write_files(shell: Shell, files: Mapping[Path, str], notes: Sequence[str], *, force: bool, remedy: str) -> None:
    """Several files with their folders, and what is to be said of them; with `force` also over files that are there.

    Raises UsageError, with this remedy, for the first that is there already (nothing is written then), or cannot be
    written.
    """
    if not force and (there := [path for path in files if path.exists()]):
        raise UsageError(f"{there[0]} is there already", remedy=f"{remedy}, or --force")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(shell.masks.text(text), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}", remedy=remedy) from error
    if shell.json:
        shell.value({"files": [str(path) for path in files], "notes": list(notes)})
        return
    for path in files:
        shell.line(f"wrote {path}")
    for note in notes:
        shell.line(f"note: {note}")
