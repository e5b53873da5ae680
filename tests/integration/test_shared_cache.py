"""Two machines and one registry: what the first made, the second takes, and moves no byte that it need not read."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import RealRegistry, running

WEB = "web: {base: slim, layers: [data, code], command: [/srv/app/start], push: {to: prod}}"
CACHE = "cache: {registry: prod, repository: shared/cache}\n"
LAYERS = "layers:\n  data: {files: [{from: data/, to: /srv/data/}]}\n"
DATA = 3_000_000
ROOT = Path(__file__).parents[2]


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
        noise = random.Random(1).randbytes(DATA)
        (folder / "project/data/noise.bin").write_bytes(noise)
        self.describe()

    def describe(self, images: str = WEB, cache: str = CACHE, more: str = "") -> None:
        self.images(images, more)
        self.manifest.write_text(self.manifest.read_text().replace("layers:\n", cache + LAYERS))

    def outcomes(self, *args: str) -> dict[str, str]:
        """How each step of a run ended."""
        code, out, err = self("run", str(self.manifest), "--output", "json", *args)
        assert code == 0, out + err
        events = [json.loads(line) for line in out.splitlines()]
        return {event["step"]: event["outcome"] for event in events if event["event"] == "step-ended"}

    def started(self) -> subprocess.Popen[str]:
        """A run in a process of its own, which has begun."""
        command = [sys.executable, "-u", "-m", "pipeline", "run", str(self.manifest)]
        environ = {**self.environ, "PYTHONPATH": str(PLUGIN)}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ, cwd=ROOT
        )

    def has_blobs(self, size: float) -> bool:
        """Whether the store holds a blob of at least this size."""
        blobs = self.folder / "home" / "store" / "blobs" / "sha256"
        return any(path.stat().st_size >= size for path in blobs.iterdir())

    def shared(self) -> list[Mapping[str, Any]]:
        """The layers of all records in the cache, as descriptors."""
        cache = self.registries().repository(f"{self.address}/ml/shared/cache")
        return [layer for tag in cache.tags() for layer in cache.manifest(tag).value["layers"]]


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
    assert {step: how for step, how in ended.items() if how != "hit"} == {"tag web": "made"}
    assert traffic.fetched() == 0
    assert traffic.sent() == []
    assert second.remote("web", "latest") == first.remote("web", "latest")


def test_one_changed_line_makes_one_layer_and_its_image_and_fetches_nothing(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.outcomes()
    before = first.document("web", "latest")
    second.write("project/src/start", "#!/bin/sh\nexit 1\n")
    traffic = Traffic(registry)
    made = {step for step, how in second.outcomes().items() if how == "made"}
    assert made == {"layer code", "image web", "push web", "check web", "tag web"}
    assert traffic.fetched() == 0
    assert not second.has_blobs(DATA)
    layers = second.document("web", "latest")["layers"]
    assert [layer["mediaType"][-5:] for layer in layers] == ["+gzip"] * 3
    assert layers[:2] == before["layers"][:2]
    first.write("project/src/start", "#!/bin/sh\nexit 1\n")
    assert {step for step, how in first.outcomes().items() if how == "made"} == {"tag web"}


def test_each_blob_is_uploaded_once(machines: tuple[Machine, Machine], registry: RealRegistry) -> None:
    first, _ = machines
    first.describe(more=", compression: zstd")
    traffic = Traffic(registry)
    first.outcomes()
    digests = [path.rpartition("digest=")[2] for path in traffic.sent()]
    large = [digest for digest in digests if registry.blob_file(digest.replace("%3A", ":")).stat().st_size > 2]
    assert len(large) == len(set(large))


def test_a_layer_that_the_cache_lost_is_made_again(machines: tuple[Machine, Machine], registry: RealRegistry) -> None:
    first, second = machines
    first.outcomes()
    largest = max(
        (layer for layer in first.shared() if layer["mediaType"].endswith("zstd")), key=lambda one: one["size"]
    )
    registry.forget("ml/shared/cache", largest["digest"])
    _, planned, _ = second("plan", str(second.manifest))
    assert re.search(r"layer +data +miss", planned)
    assert re.search(r"layer +code +hit .*cache prod/shared/cache", planned)
    made = {step for step, how in second.outcomes().items() if how == "made"}
    assert made >= {"layer data", "tag web"} and "layer code" not in made
    third = Machine(second.folder.parent / "c", registry.address)
    assert {step for step, how in third.outcomes().items() if how == "made"} == {"tag web"}


def test_a_layer_lost_after_it_was_lent_is_no_false_hit(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.outcomes()
    second.outcomes()
    largest = max(
        (layer for layer in first.shared() if layer["mediaType"].endswith("zstd")), key=lambda one: one["size"]
    )
    registry.forget("ml/shared/cache", largest["digest"])
    assert second.outcomes()["layer data"] == "made"
    assert second.outcomes()["layer data"] == "hit"


def test_what_was_made_before_there_was_a_cache_is_shared_as_well(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.describe(cache="")
    first.outcomes()
    assert first.shared() == []
    first.describe()
    assert set(first.outcomes().values()) == {"hit"}
    traffic = Traffic(registry)
    assert set(first.outcomes().values()) == {"hit"}
    assert not [path for _, path, _, _ in traffic.requests() if "/shared/cache/" in path]
    assert {step for step, how in second.outcomes().items() if how == "made"} == {"tag web"}
    second.write("project/src/start", "#!/bin/sh\nexit 1\n")
    traffic = Traffic(registry)
    assert second.outcomes()["push web"] == "made"
    assert traffic.fetched() == 0, "what layers were packed to for the registry is shared as well"


def test_reading_and_writing_can_be_turned_off(machines: tuple[Machine, Machine]) -> None:
    first, second = machines
    first.outcomes("--set", "cache.write=false")
    assert first.shared() == []
    first.outcomes("--set", "cache.write=true")
    assert first.shared() != []
    assert second.outcomes("--set", "cache.read=false")["layer data"] == "made"


def test_a_registry_out_of_reach_warns_once_and_the_run_goes_on(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, _ = machines
    first.describe(images=WEB.replace(", push: {to: prod}", ""))
    first.manifest.write_text(first.manifest.read_text().replace(registry.address, "127.0.0.1:1"))
    code, out, err = first("plan", str(first.manifest))
    assert code == 0 and "the cache prod/shared/cache cannot be read, going on without it" in err, out + err
    code, out, err = first("run", str(first.manifest))
    assert code == 0, err
    assert err.count("the cache prod/shared/cache") == 1
    code, out, err = first("run", str(first.manifest), "--set", "cache.read=false", "--set", "images.web.user=7")
    assert code == 0, err
    assert err.count("the cache prod/shared/cache was not written to") == 1


def test_two_machines_at_once_end_well_and_share_one_result(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    runs = [machine.started() for machine in machines]
    said = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    assert "warning" not in "".join(said)
    third = Machine(machines[0].folder.parent / "c", registry.address)
    assert {step for step, how in third.outcomes().items() if how == "made"} == {"tag web"}


def test_a_run_that_was_killed_is_made_up_for_by_the_next(machines: tuple[Machine, Machine]) -> None:
    first, second = machines
    run = first.started()
    assert run.stdout
    for line in run.stdout:
        if line.startswith("layer  data"):
            run.kill()
            break
    run.communicate()
    first.outcomes()
    assert {step for step, how in second.outcomes().items() if how == "made"} == {"tag web"}


def test_what_is_checked_by_names_fetches_names_alone(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.outcomes()
    second.describe(images=WEB.replace("push:", "checks: {size: 50MB}, push:"))
    traffic = Traffic(registry)
    assert second.outcomes()["check web"] == "made"
    assert 0 < traffic.fetched() < 10_000


def test_a_plan_counts_what_is_fetched_to_run_an_image_here(machines: tuple[Machine, Machine]) -> None:
    first, second = machines
    first.outcomes()
    second.manifest.write_text(
        second.manifest.read_text() + "targets:\n  here: {remembered: {image: web, port: 8890}}\n"
    )
    code, out, _ = second("plan", str(second.manifest), "--output", "json")
    assert code == 0
    download = json.loads(out)["download"]
    assert DATA < download["bytes"] < 1.1 * DATA
    assert download["exact"]


def test_another_registry_gets_layers_that_this_machine_never_keeps(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.describe(more=", compression: zstd")
    first.outcomes()
    with running() as other:
        second.describe(more=", compression: zstd")
        text = second.manifest.read_text().replace("push: {to: prod}", "push: {to: other}")
        text = text.replace(
            "registries:\n", f"registries:\n  other: {{address: '{other.address}', compression: zstd}}\n"
        )
        second.manifest.write_text(text)
        traffic = Traffic(registry)
        assert {step for step, how in second.outcomes().items() if how == "made"} == {"push web", "tag web"}
        assert traffic.fetched() >= DATA
        assert not second.has_blobs(DATA)


def test_a_record_that_is_none_of_ours_is_of_no_use_and_is_said(
    machines: tuple[Machine, Machine], registry: RealRegistry
) -> None:
    first, second = machines
    first.outcomes()
    cache = first.registries().repository(f"{registry.address}/ml/shared/cache")
    layers = [tag for tag in cache.tags() if tag.startswith("v1-layer-")]
    cache.for_push().tag(cache.resolve(layers[0]).digest, layers[1:])
    code, _, err = second("run", str(second.manifest))
    assert code == 0, err
    assert "the cache prod/shared/cache holds something that is of no use: the record v1-layer-" in err, err


def test_no_secret_reaches_the_cache(machines: tuple[Machine, Machine], registry: RealRegistry) -> None:
    first, _ = machines
    first.outcomes()
    files = [path for path in registry.folder.rglob("*") if path.is_file()]
    assert files and not [path for path in files if PASSWORD.encode() in path.read_bytes()]
