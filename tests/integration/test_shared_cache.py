"""Two machines and one registry: what the first made, the second takes, and moves no byte that it need not read."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = "web: {base: slim, layers: [data, code], command: [/srv/app/start], push: {to: prod}}"
CACHE = "cache: {registry: prod, repository: shared/cache}\n"
LAYERS = "layers:\n  data: {files: [{from: data/, to: /srv/data/}]}\n"
DATA = 3_000_000


@pytest.fixture(scope="module")
def registry() -> Iterator[RealRegistry]:
    with running({USER: PASSWORD}) as found:
        yield found


class Machine(Project):
    """A machine with a checkout of the project, and a home of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder, address)
        (folder / "project/data").mkdir()
        # Not to be compressed, so that its bytes can be counted.
        noise = b"".join(bytes((n * n * 31 + n // 7) % 256 for n in range(k, k + 1000)) for k in range(0, DATA, 1000))
        (folder / "project/data/noise.bin").write_bytes(noise)
        self.describe()

    def describe(self, images: str = WEB, cache: str = CACHE, more: str = "") -> None:
        self.images(images, more)
        self.manifest.write_text(self.manifest.read_text().replace("layers:\n", cache + LAYERS))

    def outcomes(self) -> dict[str, str]:
        """How each step of a run ended."""
        import json

        code, out, err = self("run", str(self.manifest), "--output", "json")
        assert code == 0, out + err
        events = [json.loads(line) for line in out.splitlines()]
        return {event["step"]: event["outcome"] for event in events if event["event"] == "step-ended"}


class Traffic:
    """What a registry was asked since this was made, by its access log."""

    def __init__(self, registry: RealRegistry) -> None:
        self._log = registry.folder.parent / "log"
        self._start = self._log.stat().st_size

    def requests(self) -> list[tuple[str, str, int, int]]:
        """(method, path, status, bytes of the answer) of each."""
        text = self._log.read_text()[self._start :]
        found = re.findall(r'"([A-Z]+) (\S+) HTTP/1.1" (\d+) (\d+)', text)
        return [(method, path, int(status), int(size)) for method, path, status, size in found]

    def fetched(self) -> int:
        return sum(size for method, path, _, size in self.requests() if method == "GET" and "/blobs/" in path)

    def sent(self) -> list[str]:
        """Blobs that were uploaded, those mounted left out."""
        return [path for method, path, status, _ in self.requests() if method == "PUT" and "/blobs/" in path]


@pytest.fixture
def machines(tmp_path: Path, registry: RealRegistry, monkeypatch: pytest.MonkeyPatch) -> tuple[Machine, Machine]:
    monkeypatch.syspath_prepend(str(PLUGIN))
    shutil.rmtree(registry.folder / "docker/registry/v2", ignore_errors=True)
    return Machine(tmp_path / "a", registry.address), Machine(tmp_path / "b", registry.address)


def test_another_machine_makes_nothing_and_moves_no_layer(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    assert set(first.outcomes().values()) == {"made"}
    traffic = Traffic(registry)
    ended = second.outcomes()
    print(traffic.requests())
    assert {step: how for step, how in ended.items() if how != "hit"} == {"tag web": "made"}
    assert traffic.fetched() == 0
    assert traffic.sent() == []
    assert second.remote("web", "latest") == first.remote("web", "latest")
