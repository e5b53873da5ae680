"""Which packages the caches hold, by the names that they keep them under."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.indexes.held import Held

WHEEL = {"file": "My_Package-1.0-py3-none-any.whl", "sha256": "ab" * 32, "size": 3}
DEB = {"file": "pool/main/a/a_1_amd64.deb", "sha256": "cd" * 32, "size": 3}
CONDA = {"file": "zlib-1.3-h1.conda", "sha256": "ef" * 32, "size": 3}


@pytest.mark.parametrize(
    ("package", "path"),
    [
        (WHEEL, "uv/wheels-v8/pypi/my-package/1.0-py3-none-any.http"),
        (WHEEL, "uv/wheels-v8/index/0123456789abcdef/my-package/1.0-py3-none-any.rev"),
        (DEB, f"cache/debian/debs/{'cd' * 32}.deb"),
        (CONDA, "cache/conda/pkgs/zlib-1.3-h1/info/index.json"),
    ],
)
def test_a_package_is_held_once_it_is_in_its_cache(tmp_path: Path, package: dict[str, object], path: str) -> None:
    held = Held(tmp_path / "cache", {"UV_CACHE_DIR": str(tmp_path / "uv")})
    assert not held.has(package)
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"abc")
    assert held.has(package)


def test_what_is_half_there_or_of_another_version_is_not_held(tmp_path: Path) -> None:
    held = Held(tmp_path / "cache", {"UV_CACHE_DIR": str(tmp_path / "uv")})
    debs, wheels = tmp_path / "cache/debian/debs", tmp_path / "uv/wheels-v8/pypi/my-package"
    for folder in (debs, wheels):
        folder.mkdir(parents=True)
    (debs / f"{'cd' * 32}.deb").write_bytes(b"a")
    (wheels / "1.0-py3-none-any.msgpack").write_bytes(b"")
    (wheels / "1.0.1-py3-none-any.http").write_bytes(b"")
    assert not held.has(DEB) and not held.has(WHEEL)


def test_what_uv_was_never_asked_for_is_not_held(tmp_path: Path) -> None:
    assert not Held(tmp_path, {"HOME": str(tmp_path)}).has({"file": "sdist-1.0.tar.gz", "sha256": "00"})
