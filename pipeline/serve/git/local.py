"""Reads a branch of a repository on this machine without a process (gitrepository-layout(5), "refs")."""

from __future__ import annotations

import re
from pathlib import Path

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


def tip(repository: Path, branch: str) -> str:
    """The commit of a branch; empty where files do not tell it for sure: git itself has to be asked."""
    folder = repository / ".git" if (repository / ".git").is_dir() else repository
    if not (folder / "HEAD").exists() or (folder / "reftable").exists() or (folder / "commondir").exists():
        return ""
    try:
        text = (folder / "refs/heads" / branch).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        # Only now: git writes the packed file before it removes the one that it packs.
        return _packed(folder, f"refs/heads/{branch}")
    except (OSError, ValueError):
        return ""
    return text if _HASH.fullmatch(text) else ""


def _packed(folder: Path, ref: str) -> str:
    try:
        with (folder / "packed-refs").open("rb") as file:
            wanted = b" " + ref.encode() + b"\n"
            line = next((line for line in file if line.endswith(wanted)), b"")
    except OSError:
        return ""
    text = line.partition(b" ")[0].decode("ascii", "replace")
    return text if _HASH.fullmatch(text) else ""


__all__ = ["tip"]
