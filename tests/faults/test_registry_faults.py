"""Runs through a proxy that breaks one answer of the registry, or all from one on: they end well, or with one clear
error in bounded time; no tag moves wrongly, the store stays whole, and the next run ends well.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from registry_proxy import ALWAYS, FAULTS, Proxy, proxied

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from publishing import PASSWORD, PLUGIN, USER, Project
from registry_server import running

from pipeline.store import Store
from pipeline.store.verify import verify

Count = Callable[[str, int], None]
SHARDS = 4
BOUND = 240.0
"""Seconds after which a run is taken for hanging: a thousand times what it may wait for one answer, and less than the
proxy would let it hang.
"""
MANIFEST = """\
version: 1
name: shop
registries:
  all: {{address: "{address}/ml", username: bob, password: "${{env:BOB_PASSWORD}}"}}
  prod: {{address: "{address}/ml/{name}", username: bob, password: "${{env:BOB_PASSWORD}}"}}
bases:
  slim: {{plain: [{{from: base/, to: /usr/share/shop/}}]}}
  given: {{image: {{reference: "basis:v1", registry: all}}}}
layers:
  code: {{files: [{{from: src/, to: /srv/app/}}]}}
retry: {{attempts: 2, wait: 10ms, max_wait: 20ms}}
timeouts: {{connect: 1s, read: 200ms}}
images:
"""
BASIS = "  basis: {base: slim, layers: [], command: [/bin/x], tags: [v1], push: {to: all}}\n"
WEB = "  web: {base: given, layers: [code], command: [/srv/app/start], tags: [v1, v2], push: {to: prod}}\n"
PATIENT = ("--set", "timeouts.read=30s")
"""For runs without a fault: the machine may be busy."""
WORDS = {
    "reset": ("reset", "closed", "lost"),
    "stalls and drips": ("stall", "drip", "endless"),
    "statuses": ("status", "errors"),
    "wrong bytes": ("flipped", "other", "longer", "lying", "zipped", "bomb"),
    "truncated": ("truncated", "short"),
}


def figure_of(fault: str) -> str:
    """The figure that a fault is counted in."""
    kind = next((kind for kind, words in WORDS.items() if fault.startswith(words)), "no HTTP, lost places, redirects")
    return f"registry faults: {kind}"


@dataclass
class Town:
    """A registry behind a proxy, with a base image, and projects that push to it."""

    proxy: Proxy
    folder: Path
    numbers: Iterator[int]

    def project(self, images: str = WEB) -> Project:
        shop = Project(self.folder / f"p{next(self.numbers)}", self.proxy.address)
        text = MANIFEST.format(address=self.proxy.address, name=shop.folder.name)
        shop.write("project/pipeline.yaml", text + images)
        return shop

    def tags(self, shop: Project) -> dict[str, str]:
        return {tag: shop.remote(f"{shop.folder.name}/web", tag) for tag in ("v1", "v2")}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    sys.path.insert(0, str(PLUGIN))
    with running({USER: PASSWORD}) as registry, proxied(registry.address) as proxy:
        made = Town(proxy, tmp_path_factory.mktemp("town"), itertools.count(1))
        code, said = made.project(BASIS).run(*PATIENT)
        assert code == 0, said
        yield made
    sys.path.remove(str(PLUGIN))


@pytest.fixture(scope="module")
def requests(town: Town) -> list[str]:
    """What an undisturbed run asks, in order; the tags that it leaves are those of all others."""
    shop = town.project()
    town.proxy.arm()
    code, said = shop.run(*PATIENT)
    assert code == 0, said
    return list(town.proxy.seen)


@pytest.fixture(scope="module")
def expected(town: Town, requests: list[str]) -> dict[str, str]:  # noqa: ARG001
    shop = town.project()
    assert shop.run(*PATIENT)[0] == 0
    return town.tags(shop)


def bounded(shop: Project, *args: str) -> tuple[int, str]:
    """`pipeline run` in a thread: one that hangs is seen."""
    found: list[tuple[int, str]] = []
    thread = threading.Thread(target=lambda: found.append(shop.run(*args)), daemon=True)
    thread.start()
    thread.join(BOUND)
    assert found, f"the run did not end within {BOUND:g} s"
    return found[0]


def survives(town: Town, fault: str, at: int, expected: dict[str, str], always: bool = False) -> None:
    what = f"{fault} at request {at}{' and after' if always else ''}"
    shop = town.project()
    town.proxy.arm(FAULTS[fault], at, always)
    code, said = bounded(shop)
    seen = town.proxy.seen[at - 1 : at]
    town.proxy.arm()
    assert code in (0, 3, 4), f"{what} {seen}: {code} {said}"
    assert "Traceback" not in said
    tags = town.tags(shop)
    assert all(digest in ("", expected[tag]) for tag, digest in tags.items()), f"{what}: {tags}"
    assert code or tags == expected, f"{what}: {tags}"
    assert verify(Store(shop.folder / "home" / "store"), dry_run=True).damage == (), what
    code, said = bounded(shop, *PATIENT)
    assert code == 0, f"after {what} {seen}: {said}"
    assert town.tags(shop) == expected, what


def places(requests: list[str], number: int, many: int) -> list[int]:
    """A few of the requests, others for each fault: together the faults meet all of them."""
    step = len(requests) / many
    return sorted({int(number + position * step) % len(requests) + 1 for position in range(many)})


@pytest.mark.parametrize("fault", FAULTS)
def test_one_answer_that_is_broken(
    town: Town, requests: list[str], expected: dict[str, str], figure: Count, fault: str
) -> None:
    found = places(requests, [*FAULTS].index(fault), 3)
    for at in found:
        survives(town, fault, at, expected)
    figure(figure_of(fault), len(found))


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_each_answer_that_is_broken(
    town: Town, requests: list[str], expected: dict[str, str], figure: Count, fault: str
) -> None:
    for at in range(1, len(requests) + 1):
        survives(town, fault, at, expected)
    figure(figure_of(fault), len(requests))


@pytest.mark.parametrize("fault", ALWAYS)
def test_all_answers_from_one_on(
    town: Town, requests: list[str], expected: dict[str, str], figure: Count, fault: str
) -> None:
    found = places(requests, [*FAULTS].index(fault), 3)
    for at in found:
        survives(town, fault, at, expected, always=True)
    figure(figure_of(fault), len(found))


@pytest.mark.usefixtures("town")
def test_a_registry_that_is_gone_is_tried_as_often_as_the_policy_says(tmp_path: Path) -> None:
    images = "  web: {base: slim, layers: [code], command: [/bin/x], tags: [v1, v2], push: {to: prod}}\n"
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        shop = Project(tmp_path, f"127.0.0.1:{nobody.getsockname()[1]}")
        text = MANIFEST.format(address=shop.address, name="shop").replace("  given: {image", "  # {image")
        shop.write("project/pipeline.yaml", text + images)
        code, said = shop.run()
    assert code == 4, said
    told = json.loads(shop("runs", "show", "--output", "json")[1])
    tries = {step["step"]: len(step["attempts"]) for step in told["done"]}
    assert tries["push web"] == 1
