"""A lock that is none, is damaged, or cannot be written: one clear error each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import PipelineError
from pipeline.facts import Facts, Platform
from pipeline.kinds import build_kind
from pipeline.lock.model import Lock, LockEntry, entry_id, request_hash
from pipeline.lock.text import dump
from pipeline.run import open_bench
from pipeline.stages.bench import machine_platform
from pipeline.stages.locks import write_lock
from pipeline.stages.resolve import resolve


@pytest.mark.parametrize("content", ["", b"\xff", "<<<<<<< ours\n", "[]", '{"version": 1}', None])
def test_a_lock_that_is_none_is_one_clear_error(shop: Any, content: str | bytes | None) -> None:
    lock = shop.folder / "pipeline.lock"
    if content is None:
        lock.mkdir()
    else:
        lock.write_bytes(content.encode() if isinstance(content, str) else content)
    ended = shop("plan")
    assert ended.code in (2, 3)
    assert ended.err.startswith("error: ")
    assert "pipeline.lock" in ended.err


@pytest.mark.parametrize("locked", [{}, [1], {"packages": [{"name": "python3", "version": "3"}]}, None, "text"])
def test_a_damaged_entry_of_the_lock_is_a_clear_error(shop: Any, locked: Any) -> None:
    base = "{debian: {suite: bookworm, packages: [python3]}}"
    manifest = Path("pipeline.yaml").read_text().replace("{plain: [{from: base/, to: /usr/share/shop/}]}", base)
    shop.write("pipeline.yaml", manifest)
    bench = open_bench(Path("pipeline.yaml"), shop.environ, {})
    entry, kind, below = (
        bench.manifest.bases["slim"],
        build_kind("bases", "debian"),
        Facts(Platform.parse(machine_platform())),
    )
    id_ = entry_id("bases", "slim", str(below.platform), kind.needs(entry.spec, below))
    request = request_hash(kind.request(entry.spec, bench.files))
    shop.write("pipeline.lock", dump(Lock({id_: LockEntry("debian", request, locked)})))
    ended = shop("plan")
    assert ended.code == 3
    assert "the lock's entry of slim is damaged" in ended.err
    assert "pipeline lock --upgrade slim" in ended.err


def test_a_lock_that_cannot_be_written_is_a_clear_error(shop: Any) -> None:
    bench = open_bench(Path("pipeline.yaml"), shop.environ, {})
    (shop.folder / ".pipeline.lock.new").mkdir()
    resolution = resolve(bench, Lock({"bases.slim": LockEntry("plain", {}, {})}))
    resolution.entries["bases.slim"] = LockEntry("plain", {}, {"packages": []})
    with pytest.raises(PipelineError, match=r"the lock .*pipeline.lock cannot be written: Is a directory"):
        write_lock(bench, Lock(), resolution, None)
