"""Tells which folder of this machine an engine's overlay keeps a container's changes in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ESCAPED = re.compile(r"\\([0-7]{3})")


def named(driver: Mapping[str, Any]) -> Path | None:
    """By what an engine says of a container's `GraphDriver`; one with containerd's image store says nothing there."""
    found = (driver.get("Data") or {}).get("UpperDir", "")
    return Path(found) if found and driver.get("Name") in ("overlay2", "overlay") else None


def mounted(mountinfo: str, id_: str) -> Path | None:
    """By the mount at a folder named for the container, as long as it is mounted.

    The form is the kernel's (Documentation/filesystems/proc.rst, section 3.5, "/proc/<pid>/mountinfo").
    """
    for line in mountinfo.splitlines():
        mount, _, system = line.partition(" - ")
        point, words = mount.split(" ")[4:5], system.rpartition(" ")[2].split(",")
        if not system.startswith("overlay ") or not point or point[0].rpartition("/")[2] != id_:
            continue
        found = next((_ESCAPED.sub(_character, word[9:]) for word in words if word.startswith("upperdir=")), "")
        # With `userxattr` it marks folders by other attributes.
        return Path(found) if found.startswith("/") and "userxattr" not in words else None
    return None


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))
