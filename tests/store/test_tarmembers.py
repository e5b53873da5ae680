"""Tars that are hostile: what they may cost, and that each flaw is a TarError."""

from __future__ import annotations

import io
import tarfile

import pytest

from pipeline.store.tarmembers import HEADERS, Forward, Members


def info(name: str = "a", size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    made = tarfile.TarInfo(name)
    made.size, made.type = size, kind
    return made.tobuf(tarfile.GNU_FORMAT)


def pax(*records: str) -> bytes:
    """An extended header whose records have two digits of length, and an empty file."""
    body = "".join(f"{len(record) + 4} {record}\n" for record in records).encode()
    return info("x", len(body), tarfile.XHDTYPE) + body.ljust(512, b"\0") + info()


def test_members_and_their_content() -> None:
    data = (
        info("a", 3)
        + b"abc".ljust(512, b"\0")
        + info("b/", kind=tarfile.DIRTYPE)
        + info("c", 1)
        + b"x".ljust(1536, b"\0")
    )
    members = Members(Forward(io.BytesIO(data)))
    found = [(one.name, file.read() if (file := members.content(one)) else None) for one in members]
    assert found == [("a", b"abc"), ("b", None), ("c", b"x")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pax("size=-512"), "impossible numbers"),
        (pax("mtime=nan"), "impossible numbers"),
        (pax("uid=-123"), "impossible numbers"),
        (info("L", HEADERS, tarfile.GNUTYPE_LONGNAME), "the headers of a member have more than"),
        (info("x", 1 << 40, tarfile.XHDTYPE), "the headers of a member have more than"),
        (info("L", 2, tarfile.GNUTYPE_LONGNAME).ljust(1024, b"n") * 3000, "headers without end"),
        (b"garbage" * 100, "header"),
    ],
)  # fmt: skip
def test_what_no_tar_has(data: bytes, message: str) -> None:
    with pytest.raises(tarfile.TarError, match=message):
        list(Members(io.BytesIO(data + bytes(1024))))


def test_a_sparse_file_has_no_content_however_large_it_says_it_is() -> None:
    sparse = pax("GNU.sparse.map=0,1", f"GNU.sparse.size={1 << 40}")
    members = Members(io.BytesIO(sparse + bytes(1024)))
    with pytest.raises(tarfile.TarError, match="sparse"):
        members.content(next(iter(members)))
