"""A service that the server keeps: rolled out by commits, put back, pinned, lifted, and stopped with its manifest."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from servelab import CONFIG, Lab, layout

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from servicelab import PYTHON, SERVER, interpreter

from pipeline.serve.core import Core
from pipeline.serve.model import Action, Job, Reason, Tracked

SHOP = Tracked("models", "manifests/shop.yaml")
MANIFEST = """\
version: 1
name: shop
bases: {{none: {{layout: ../base}}}}
layers: {{machine: {{files: [{{from: ../root/, to: /, mode: 0755}}]}}}}
images:
  web:
    base: none
    layers: [machine]
    command: ["{python}", -I, -S, -m, gunicorn]
    checks: {{score: {{request: {{}}, expect: {{type: object}}}}}}
targets:
  here: {{local: {{image: web, port: {port}, engine: none, env: {{WHO: {who}}}, health: {{deadline: 60}}}}}}
"""


class Shop(Lab):
    """A lab whose one manifest has a service that answers with its WHO."""

    def __init__(self, folder: Path, config: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        super().__init__(folder, layout(), config)
        root = self.origin.folder / "root"
        for path in interpreter():
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(path).resolve(), place)
        (root / os.__file__.lstrip("/")).with_name("gunicorn.py").write_text(SERVER)
        self.revise("first")

    def revise(self, who: str) -> None:
        text = MANIFEST.format(python=PYTHON, port=self.port, who=who)
        self.origin.commit({"manifests/shop.yaml": text}, f"Be {who}")

    def answer(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=20) as answer:
            return str(json.load(answer)["who"])

    def do(self, core: Core, action: Action) -> Job:
        added = core.queue.add(Job(0, SHOP, action, Reason("hand", "by hand", who="Ada"), asked={"target": "here"}))
        self.settle(core)
        job = core.queue.job(added.id)
        assert job and job.state == "done", job
        return job


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "lab", CONFIG.replace("poll: 20s", "poll: 20s, prune: true"))
    yield shop
    core = shop.core()
    core.children.ask(["stop", "shop-here"], shop.environ)
    core.close()


def test_the_life_of_a_service(shop: Shop) -> None:
    core = shop.core()
    shop.settle(core)
    assert shop.answer() == "first"
    shop.revise("second")
    shop.settle(core)
    assert shop.answer() == "second"
    (live,) = core.book.live(SHOP)
    assert (live.state, live.pinned) == ("running", "")

    back = shop.do(core, "rollback")
    assert shop.answer() == "first" and back.asked["revision"] and "live and pinned" in back.told["text"]
    (live,) = core.book.live(SHOP)
    assert live.revision == live.pinned == back.asked["revision"]
    assert f"; here stays pinned to {live.revision}" in shop.do(core, "run").told["text"]
    assert shop.answer() == "first"

    assert "is lifted" in shop.do(core, "lift").told["text"]
    shop.do(core, "run")
    assert shop.answer() == "second"

    shop.origin.commit({"manifests/shop.yaml": None}, "No shop any more")
    shop.settle(core)
    assert core.queue.jobs(1)[0].told["text"] == "stopped here"
    with pytest.raises(OSError):
        shop.answer()
    assert core.book.entry(SHOP) is None
    core.close()
