"""Accounts that Podman adds to a container's files for a user by number, and that are no change of the command's."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable

from pipeline.store.pieces import as_file

FILES = ("etc/passwd", "etc/group")
# Podman's libpod/container_internal_linux.go, "generateUserPasswdEntry" and "generateUserGroupEntry".
_GIVEN = re.compile(rb"\n?(?:[^:\n]+:\*:[0-9]+:[0-9]+:container user:[^\n]*|[0-9]+:x:[0-9]+:[^:\n]*)?\n?")


def is_given(before: bytes, after: bytes) -> bool:
    """Whether nothing but an account of Podman's own has come to a file."""
    return after.startswith(before) and _GIVEN.fullmatch(after[len(before) :]) is not None


def content(pieces: Iterable[bytes]) -> bytes:
    """The file of a tar of one file; nothing where it is none."""
    with tarfile.open(fileobj=as_file(pieces), mode="r|") as tar:
        member = tar.next()
        file = tar.extractfile(member) if member and member.isreg() else None
        return file.read() if file else b""
