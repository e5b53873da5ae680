"""Files for a container as a tar: from memory and from this machine, large ones in pieces."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from pipeline.engine.arguments import CHUNK, archive


def test_files_from_memory_and_from_this_machine(tmp_path: Path) -> None:
    large = bytes(range(256)) * 5000 + b"end"
    (tmp_path / "large").write_bytes(large)
    name = "/run/" + "long/" * 40 + "name"
    pieces = list(archive({"/run/a": b"1", "/run/b": tmp_path / "large", name: b"", "/run/c": b"x" * 512}))
    assert max(map(len, pieces)) <= CHUNK
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        found = {f"/{member.name}": tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
        assert {member.mode for member in tar} == {0o644}
    assert found == {"/run/a": b"1", "/run/b": large, name: b"", "/run/c": b"x" * 512}
