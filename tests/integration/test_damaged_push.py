"""Blobs that were damaged in the store and are sent to a real registry, which refuses them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = (
    "web: {{base: slim, layers: [code], command: [/srv/app/start], tags: [v1], push: {{to: prod, repository: {name}}}}}"
)


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


@pytest.mark.parametrize("more", ["", ", compression: zstd"], ids=["gzip", "zstd"])
def test_a_push_of_a_damaged_blob_fails_and_the_next_run_mends_it(
    tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch, more: str
) -> None:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shop = Project(tmp_path, registry.address)
    shop.images(WEB.format(name="web"), more)
    assert shop.run()[0] == 0
    blobs = sorted((tmp_path / "home/store/blobs/sha256").iterdir())
    for number, path in enumerate(blobs):
        name = f"web{more[-4:]}{number}"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        _empty(registry)
        shop.images(WEB.format(name=name), more)
        code, said = shop.run()
        assert code in (0, 3) and "bug:" not in said, said
        if code == 3:
            assert "damaged" in said, said
            assert not shop.remote(name, "v1")
        assert shop.run()[0] == 0
        assert shop.remote(name, "v1")
        # What was not sent is not read.
        assert shop("store", "verify")[0] in (0, 3)
        assert shop.run()[0] == 0
        assert shop("store", "verify")[0] == 0


def _empty(registry: RealRegistry) -> None:
    """Forgets all that the registry has: blobs that it had need not be sent."""
    import shutil

    for part in ("repositories", "blobs"):
        shutil.rmtree(registry.folder / "docker/registry/v2" / part, ignore_errors=True)
