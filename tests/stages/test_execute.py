"""Executed layers from plan to image: keys, parents, logs, failures, limits and secrets."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.memory import MemoryEngine, Scene
from pipeline.engine.model import Ended, EngineError
from pipeline.errors import OutOfReach, PipelineError
from pipeline.events import Event, StepSaid
from pipeline.facts import Facts, Platform
from pipeline.layers import files, run
from pipeline.manifest.model import Secret
from pipeline.plan.model import Plan, ResolvedEntry, ResolvedImage
from pipeline.recipe import Recipe
from pipeline.run import open_bench, perform, plan_of
from pipeline.stages.bench import Bench
from pipeline.stages.execute import CommandFailed, log_file
from pipeline.stages.resolve import Resolution
from pipeline.stages.surroundings import surroundings
from pipeline.store.lookup import ImageDocuments, documents

MANIFEST = """\
version: 1
name: shop
build: {network: none, ca_bundle: none}
bases: {slim: {debian: {suite: bookworm, packages: []}}}
layers: {first: {run: {commands: a}}, second: {run: {commands: b}}}
images: {web: {base: slim, layers: [first, second], command: [x]}}
"""
Project = Callable[[Mapping[str, str | bytes]], Path]
Perform = Callable[[Scene], int | Ended]


class Shop:
    """One image of a base and executed layers, built with an engine in memory."""

    def __init__(self, folder: Path, report: Callable[[Event], None] = lambda _event: None) -> None:
        self.events: list[Event] = []
        self.bench: Bench = open_bench(folder / "shop.yaml", os.environ, {}, self._report)
        self.report = report

    def _report(self, event: Event) -> None:
        self.events.append(event)

    def plan(self, **specs: Mapping[str, Any]) -> Plan:
        manifest = self.bench.manifest
        base = [{"from": "base/", "to": "/opt"}]
        made = files.recipes(base, files.request(base, self.bench.files), Facts())
        stack = [self._entry("bases", "slim", made)]
        for name, spec in specs.items():
            stack.append(self._entry("layers", name, run.recipes(spec, run.request(spec, self.bench.files), Facts())))
        image = ResolvedImage(manifest.images["web"], Platform(), tuple(stack))
        return plan_of(self.bench, Resolution([image]))

    def _entry(self, section: Any, name: str, recipes: Iterable[Recipe]) -> ResolvedEntry:
        entry = getattr(self.bench.manifest, section)[name]
        return ResolvedEntry(section, entry, name, None, Facts(), Facts(), tuple(recipes))

    def build(self, perform_: Perform, **specs: Mapping[str, Any]) -> MemoryEngine:
        engine = MemoryEngine(perform_)
        self.bench.__dict__["engine"] = engine
        perform(self.bench, self.plan(**specs), self._report, ("base", "layer", "image"))
        return engine

    def image(self) -> ImageDocuments:
        """The one image that was built."""
        ((built, _),) = self.bench.store.images().values()
        return documents(self.bench.store, built)[0]

    def members(self, number: int) -> list[str]:
        """The paths of the newest image's layer."""
        image = self.image()
        return [member[0] for member in self.bench.store.contents(image.layers[number])["members"]]


@pytest.fixture
def shop(project: Project) -> Shop:
    return Shop(project({"shop.yaml": MANIFEST, "base/a": "1"}))


def write(path: str) -> Perform:
    def perform_(scene: Scene) -> int:
        scene.write(path, b"x")
        return 0

    return perform_


def test_a_command_gets_all_layers_below_and_gives_one(shop: Shop) -> None:
    engine = shop.build(write("opt/b"), first={"commands": "a"}, second={"commands": "b"})
    assert shop.members(1) == ["opt", "opt/b"]
    assert [len(engine.layers(job.image) or ()) for job in engine.jobs] == [1, 2]
    assert [job.network for job in engine.jobs] == ["none", "none"]


def test_what_the_engine_has_is_not_sent_again(shop: Shop) -> None:
    engine = shop.build(write("opt/b"), first={"commands": "a"}, second={"commands": "b"})
    assert [len(layers_in(archive)) for archive in engine.loaded] == [1, 1]
    again = MemoryEngine(write("opt/c"))
    again._images = engine._images
    shop.bench.__dict__["engine"] = again
    perform(shop.bench, shop.plan(first={"commands": "other"}), lambda _: None, ("base", "layer"))
    assert again.loaded == []


def layers_in(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [name for name in tar.getnames() if name.endswith(".tar")]


def test_the_key_names_what_lies_below(shop: Shop) -> None:
    def keys(first: str) -> list[str]:
        plan = shop.plan(first={"commands": first}, second={"commands": "b"})
        return [step.key for step in plan.steps if step.kind == "layer"]

    (one, above_one), (two, above_two) = keys("a"), keys("changed")
    assert one != two
    assert above_one != above_two
    assert keys("a") == [one, above_one]


def test_limits_and_secrets_do_not_enter_the_key(shop: Shop) -> None:
    def key(**more: Any) -> str:
        return shop.plan(first={"commands": "a", **more}).step("layer first").key

    assert key() == key(timeout="1s", memory="1GB", cpus=2, network="host", cache=["/c"])
    assert key(secrets={"T": Secret("one")}) == key(secrets={"T": Secret("two")}) != key()
    assert key(env={"A": "1"}) != key(env={"A": "2"})


def test_a_failure_shows_the_last_lines_and_where_the_rest_is(shop: Shop) -> None:
    def fail(scene: Scene) -> int:
        for number in range(40):
            scene.say(f"line {number}")
        return 3

    with pytest.raises(CommandFailed) as caught:
        shop.build(fail, first={"commands": "a"})
    assert "shop.yaml:5:" in str(caught.value)
    assert "exit code 3" in str(caught.value)
    assert caught.value.log == tuple(f"line {number}" for number in range(25, 40))
    kept = log_file(shop.bench, shop.plan(first={"commands": "a"}).step("layer first"))
    assert kept.read_text().splitlines()[0] == "line 0"
    assert str(kept) in str(caught.value)


def test_want_of_memory_and_a_kill_are_told_apart(shop: Shop) -> None:
    with pytest.raises(CommandFailed, match="for want of memory, of which it may use 64 MB"):
        shop.build(lambda _: Ended(137, True), first={"commands": "a", "memory": "64MB"})
    with pytest.raises(CommandFailed, match=r"was killed \(exit code 137\)"):
        shop.build(lambda _: 137, first={"commands": "a"})


def until_killed(scene: Scene) -> int:
    wait = threading.Event()
    while not scene.killed:
        wait.wait(0.01)
    return 137


def test_a_command_that_never_ends_is_killed(shop: Shop) -> None:
    with pytest.raises(CommandFailed, match=r"did not end within 0\.05 s"):
        shop.build(until_killed, first={"commands": "a", "timeout": 0.05})


def test_an_interrupted_run_kills_its_commands(shop: Shop) -> None:
    def interrupted(scene: Scene) -> int:
        shop.bench.halt.set()
        return until_killed(scene)

    shop.build(interrupted, first={"commands": "a"})
    plan = shop.plan(first={"commands": "a"})
    assert not plan.verdicts["layer first"].hit


def test_a_secret_is_seen_by_the_command_alone(shop: Shop) -> None:
    def echo(scene: Scene) -> int:
        scene.say(f"the password is {scene.job.secrets['T']}")
        scene.write("opt/b", b"nothing")
        return 0

    shop.build(echo, first={"commands": "a", "secrets": {"T": Secret("hunter22")}})
    said = [event.text for event in shop.events if isinstance(event, StepSaid)]
    assert "the password is ***" in said
    kept = [path for path in shop.bench.home.store.parent.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"hunter22" in path.read_bytes()]
    assert "hunter22" not in json.dumps(shop.image().config)


def test_a_secret_in_the_layer_is_refused(shop: Shop) -> None:
    def keep(scene: Scene) -> int:
        scene.write("opt/pip.conf", b"x=hunter22")
        return 0

    with pytest.raises(PipelineError, match=r"wrote the secret T into /opt/pip\.conf"):
        shop.build(keep, first={"commands": "a", "secrets": {"T": Secret("hunter22")}})


def test_an_engine_that_goes_is_tried_again(shop: Shop) -> None:
    tries: list[int] = []

    def goes(scene: Scene) -> int:
        tries.append(1)
        if len(tries) == 1:
            raise OutOfReach("gone", transient=True)
        scene.write("opt/b")
        return 0

    shop.build(goes, first={"commands": "a"})
    assert len(tries) == 2


def test_an_engine_that_lost_a_layer_gets_the_whole_image(shop: Shop) -> None:
    engine = shop.build(write("opt/b"), first={"commands": "a"})
    load, refused = engine.load, []

    def picky(archive: Iterable[bytes]) -> None:
        data = list(archive)
        if not refused:
            refused.append(data)
            raise EngineError("no such layer")
        load(data)

    engine.load = picky  # type: ignore[method-assign]
    perform(shop.bench, shop.plan(first={"commands": "a"}, second={"commands": "b"}), lambda _: None, ("layer",))
    assert len(refused) == 1
    assert len(engine.loaded) == 2


def test_proxies_certificates_and_mirrors_are_for_the_step_alone(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    (etc / "apt/apt.conf.d").mkdir(parents=True)
    (etc / "apt/apt.conf.d/proxy").write_text('Acquire::http::Proxy "http://proxy:1";')
    (etc / "apt/sources.list").write_text("deb http://mirror/debian bookworm main\n")
    (tmp_path / "ca.pem").write_bytes(b"CERT")
    environ = {"https_proxy": "http://proxy:1", "SSL_CERT_FILE": str(tmp_path / "ca.pem"), "OTHER": "1"}
    bookworm = Facts(distribution="debian", release="12")
    env, files_ = surroundings(environ, "auto", tmp_path, bookworm, False, tmp_path)
    assert env["https_proxy"] == "http://proxy:1"
    assert "OTHER" not in env
    assert files_[env["PIP_CERT"]] == b"CERT"
    assert b'acquire::http::proxy "http://proxy:1";' in files_[env["APT_CONFIG"]]
    assert b"http://mirror/debian bookworm main\n" in files_["/run/pipeline/sources.list"]
    assert b" bookworm-security main\n" in files_["/run/pipeline/sources.list"]
    _, own = surroundings(environ, "none", tmp_path, bookworm, True, tmp_path)
    assert list(own) == ["/run/pipeline/apt.conf"]
    with pytest.raises(PipelineError, match=r"nothing\.pem cannot be read"):
        surroundings(environ, "nothing.pem", tmp_path, bookworm, True, tmp_path)
