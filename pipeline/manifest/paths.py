"""Keeps every path of a manifest inside its project folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import PipelineError

WILDCARDS = "*?["


def project_root(manifest: Path) -> Path:
    """The folder that no path may leave: the nearest one above the manifest that holds `.git`, else the parent of one
    named `manifests`, else the manifest's own.
    """
    folder = Path(os.path.abspath(manifest)).parent  # noqa: PTH100 - resolve() would follow links
    above = [folder, *folder.parents]
    for candidate in above:
        if (candidate / ".git").exists():
            return candidate
    for candidate in above:
        if candidate.name == "manifests":
            return candidate.parent
    return folder


def inside(root: Path, base: Path, relative: str) -> Path:
    """The real path of `relative`, which is read from the folder `base` and must stay in the folder `root`.

    Links in every component are followed, and the path must be inside `root` after each of them. It need not exist.
    Raises PipelineError for an absolute path, and for one that leaves the project by `..` or by a symbolic link.
    """
    return within(root, base)(relative)


def within(root: Path, base: Path) -> Callable[[str], Path]:
    """`inside` for many paths: the two folders are looked at once."""
    top, start = os.path.realpath(root), os.path.realpath(base)
    return lambda relative: _inside(root, top, start, relative)


def _inside(root: Path, top: str, start: str, relative: str) -> Path:
    if "\0" in relative:
        raise PipelineError("the path holds a NUL character", remedy="remove it")
    if relative.startswith("/"):
        message = f"'{relative}' is an absolute path"
        raise PipelineError(message, remedy="write it relative to the manifest, inside the project folder")
    current = start
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        current = _step(current, part)
        if current == top or current.startswith(top.rstrip("/") + "/"):
            continue
        if part == "..":
            message, remedy = f"'{relative}' leaves the project folder by '..'", f"the project folder is {root}"
        else:
            message = f"'{relative}' leaves the project folder by the symbolic link '{part}'"
            remedy = "copy the file into the project"
        raise PipelineError(message, remedy=remedy)
    return Path(current)


def _step(folder: str, part: str) -> str:
    """The real path of a component below a real path: looked at alone, for thousands of paths begin alike."""
    if part == "..":
        return os.path.dirname(folder)  # noqa: PTH120
    step = os.path.join(folder, part)  # noqa: PTH118 - Path() would swallow '..' rules of its own
    return os.path.realpath(step) if os.path.islink(step) else step  # noqa: PTH114


def is_glob(relative: str) -> bool:
    return any(character in relative for character in WILDCARDS)


def fixed_part(pattern: str) -> str:
    """What stands before the first component with a wildcard: `src` of `src/*.py`; `.` when there is nothing."""
    parts: list[str] = []
    for part in pattern.split("/"):
        if is_glob(part):
            break
        parts.append(part)
    return "/".join(parts) or ("/" if pattern.startswith("/") else ".")


def check(root: Path, base: Path, relative: str, *, must_exist: bool = True) -> Path:
    """As `inside`, for a path or a glob; a plain path must exist, too, unless told otherwise."""
    if is_glob(relative) and not os.path.lexists(base / relative):
        if ".." in relative[len(fixed_part(relative)) :].split("/"):
            raise PipelineError(f"'{relative}' has '..' after a wildcard", remedy="put '..' first")
        return inside(root, base, fixed_part(relative))
    path = inside(root, base, relative)
    if must_exist and not path.exists():
        raise PipelineError(
            f"'{relative}' does not exist", remedy=_similar(path) or "paths are relative to the manifest"
        )
    return path


def _similar(path: Path) -> str:
    from pipeline.manifest.words import did_you_mean

    try:
        return did_you_mean(path.name, os.listdir(path.parent))
    except OSError:
        return ""
