"""From a commit to what its host and a channel are told: a whole server, real Git and real runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import hook_bodies as hooks
import pytest
from host_doubles import TOKEN, Fault, GiteaDouble, Pull, answer, silent
from servelab import Lab, manifest

from pipeline.http import Body, Response
from pipeline.serve.core import Core
from pipeline.serve.hosts import Push, Receiver
from pipeline.serve.watch import duty_name

CONFIG = f"""\
version: 1
url: https://serve.example.com
repositories:
  models:
    url: origin
    poll: 20s
    host:
      {{kind: gitea, api: https://codeberg.org/api/v1, project: acme/models, token: {TOKEN}, webhook_secret: s3cret}}
messages: {{team: {{slack: "https://hooks.example.com/T/B/x", on: [failed, recovered, done]}}}}
"""


class World:
    """Sends what is for the channel to it, and the rest to the host."""

    def __init__(self) -> None:
        self.host, self.posted = GiteaDouble(), list[str]()

    @contextmanager
    def send(self, method: str, url: str, headers: Mapping[str, str], body: Body = None) -> Iterator[Response]:
        if url.startswith("https://hooks.example.com/"):
            assert isinstance(body, bytes)
            self.posted.append(json.loads(body)["text"])
            yield answer(200, b"ok")
            return
        with self.host.send(method, url, headers, body) as response:
            yield response


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, {**manifest("one"), **manifest("two")}, CONFIG)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def core(lab: Lab, world: World) -> Iterator[Core]:
    made = lab.core(transport=world)
    yield made
    made.close()


def settle(lab: Lab, core: Core, seconds: float = 120.0) -> None:
    lab.settle(core, seconds)
    core.rota.call("outbox", lab.now)
    assert core.outbox.settle(30)


def test_commits_get_their_status_and_people_a_message(lab: Lab, world: World, core: Core) -> None:
    first = lab.origin.head
    settle(lab, core)
    broken = lab.origin.commit({"manifests/one.yaml": "version: 1\nname: one\nimages: {one: {base: nope}}\n"}, "Break")
    settle(lab, core)
    mended = lab.origin.commit(manifest("one", "newer"), "Mend")
    settle(lab, core)
    states = {key: value[0] for key, value in world.host.statuses.items()}
    assert states == {
        (first, "pipeline/one"): "success",
        (first, "pipeline/two"): "success",
        (broken, "pipeline/one"): "failure",
        (mended, "pipeline/one"): "success",
    }
    text, url = world.host.statuses[broken, "pipeline/one"][1:]
    assert text.startswith("manifests/one.yaml:3:")
    assert url.startswith("https://serve.example.com/jobs/")
    assert sorted(world.posted[:2]) == ["✅ one is done", "✅ two is done"]
    assert world.posted[2:] == ["❌ one failed", "✅ one is well again"]


def test_a_pull_request_gets_its_plan_and_its_errors(lab: Lab, world: World, core: Core) -> None:
    settle(lab, core)
    lab.origin.git("checkout", "-q", "-b", "topic")
    files = {**manifest("one", "newer"), "manifests/two.yaml": "version: 1\nname: two\nimages: {two: {base: nope}}\n"}
    commit = lab.origin.commit(files, "Change both")
    lab.origin.git("update-ref", "refs/pull/1/head", commit)
    lab.origin.git("checkout", "-q", "main")
    world.host.pulls.append(Pull(1, "topic", "main", "Change both", commit=commit))
    settle(lab, core)
    (text,) = world.host.on(1)
    assert "1 of 2 manifests would fail" in text
    assert "<details><summary>the plan</summary>" in text
    assert "manifests/two.yaml:3:" in text
    assert "nope" in text
    assert world.host.statuses[commit, "pipeline/one (plan)"][0] == "success"
    assert world.host.statuses[commit, "pipeline/two (plan)"][0] == "failure"
    assert len(core.journal.runs(9)) == 2


def test_a_host_that_was_away_is_told_later(lab: Lab, world: World, core: Core) -> None:
    world.host.faults += [
        Fault(silent(), count=3, method="POST"),
        Fault(answer(429, {}, retry_after="60"), method="POST"),
    ]
    settle(lab, core, 300)
    assert [value[0] for value in world.host.statuses.values()] == ["success", "success"]
    assert core.book.notes(float("inf")) == []


def test_a_webhook_begins_a_run(lab: Lab, core: Core) -> None:
    settle(lab, core)
    commit = lab.origin.commit({"manifests/one.txt": "newer"}, "Newer text")
    body = json.dumps({**hooks.GITHUB_PUSH, "after": commit}).encode()
    event = Receiver(core.now)(core.settings.repositories["models"], hooks.gitea("push", body, "s3cret"), body)
    assert isinstance(event, Push)
    core.pushed("models", event)
    # No time goes by: it is not the poll that finds it.
    job = core.tick()
    assert job is not None
    assert (job.commit, job.state) == (commit, "done")
    assert duty_name("models") in {health.name for health in core.rota.health()}
