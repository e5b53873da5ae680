"""The server's core, step by step: commits become runs of the command line, and what goes wrong is told."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from servelab import CONFIG, Lab, manifest

from pipeline.errors import UsageError
from pipeline.serve.model import Job, Reason, Tracked
from pipeline.store.lookup import find

BAD = "manifests/bad.yaml"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "lab", {**manifest("one"), **manifest("two")})


def test_a_commit_becomes_a_run_of_what_it_changed(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    first = core.queue.jobs(10)
    assert {(job.manifest.path, job.state) for job in first} == {
        ("manifests/one.yaml", "done"),
        ("manifests/two.yaml", "done"),
    }
    commit = lab.origin.commit({"manifests/two.txt": "second"}, "Newer text")
    lab.settle(core)
    job = core.queue.jobs(1)[0]
    assert (job.manifest.path, job.commit, job.state, job.exit_code) == ("manifests/two.yaml", commit, "done", 0)
    assert "Newer text" in job.reason.text and len(core.queue.jobs(10)) == 3
    run = core.journal.run(job.told["run"])
    assert run and run.asked.trigger == f"serve, job {job.id}: {job.reason.text}"
    assert job.told["images"]["two"] == find(core.store, "two/two:latest").image.digest
    core.close()


def test_what_is_wrong_with_a_manifest_is_told(lab: Lab) -> None:
    core = lab.core()
    lab.origin.commit({"manifests/one.yaml": "version: 1\nname: one\nimages: {one: {base: nope}}\n"}, "Break it")
    lab.settle(core)
    job = next(job for job in core.queue.jobs(9) if job.manifest.path.endswith("one.yaml"))
    assert (job.state, job.exit_code) == ("failed", 2)
    assert job.told["text"].startswith("manifests/one.yaml:3:")
    assert "nope" in job.told["text"]
    core.close()


def test_another_server_on_the_same_home_is_refused(lab: Lab) -> None:
    core = lab.core()
    with pytest.raises(UsageError, match=r"process \d+ serves from .* already"):
        lab.core()
    core.close()
    lab.core().close()


def test_what_is_out_of_reach_is_tried_again_and_given_up(lab: Lab) -> None:
    text = "version: 1\nname: one\nbases: {far: {image: 127.0.0.1:1/none:v1}}\nimages: {one: {base: far}}\n"
    lab.origin.commit({"manifests/one.yaml": f"{text}retry: {{attempts: 1}}\n"}, "Out of reach")
    core = lab.core(waits=(30.0, 60.0))
    lab.settle(core, 20)
    job = next(job for job in core.queue.open() if job.manifest.path.endswith("one.yaml"))
    assert (job.state, job.attempt, job.due > lab.now) == ("waiting", 1, True)
    lab.settle(core, 200)
    ended = core.queue.job(job.id)
    assert ended and (ended.state, ended.exit_code, ended.attempt) == ("failed", 4, 3)
    assert "does not answer" in ended.told["text"]
    core.close()


NO_ENGINE = """\
version: 1
name: one
bases: {none: {layout: ../base}}
layers: {made: {run: {commands: [echo hello]}}}
images: {one: {base: none, layers: [made]}}
build: {engine: none}
"""


def test_what_only_a_setting_can_mend_is_not_tried_again(lab: Lab) -> None:
    lab.origin.commit({"manifests/one.yaml": NO_ENGINE}, "Commands, and no engine")
    core = lab.core()
    lab.settle(core, 60)
    job = core.queue.jobs(1, "models/manifests/one.yaml")[0]
    assert (job.state, job.exit_code, job.attempt) == ("failed", 2, 1)
    assert "engine: none" in job.told["text"] and "engine: auto" in job.told["remedy"]
    core.close()


class Refusing(BaseHTTPRequestHandler):
    """A registry that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_args: object) -> None:
        pass


@pytest.mark.parametrize("approve", [False, True], ids=["run", "plan"])
def test_a_right_that_is_missing_is_not_waited_for(lab: Lab, approve: bool) -> None:
    if approve:
        lab.config.write_text(CONFIG.replace("poll: 20s", "poll: 20s, approve: true"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server, ThreadPoolExecutor() as pool:
        pool.submit(server.serve_forever, 0.05)
        where = f"127.0.0.1:{server.server_port}"
        text = "version: 1\nname: one\nbases: {far: {image: %s/none:v1}}\nimages: {one: {base: far}}\n"
        lab.origin.commit({"manifests/one.yaml": text % where}, "Nobody is let in")
        core = lab.core()
        lab.settle(core, 60)
        server.shutdown()
    jobs = core.queue.jobs(9, "models/manifests/one.yaml")
    job = next(job for job in jobs if job.action == ("plan" if approve else "run"))
    assert (job.state, job.exit_code, job.attempt) == ("failed", 4, 1)
    assert "wants credentials" in job.told["text"]
    core.close()


def test_a_later_commit_takes_the_place_of_one_that_is_tried_again(lab: Lab) -> None:
    text = "version: 1\nname: one\nbases: {far: {image: 127.0.0.1:1/none:v1}}\nimages: {one: {base: far}}\n"
    lab.origin.commit({"manifests/one.yaml": f"{text}retry: {{attempts: 1}}\n"}, "Out of reach")
    core = lab.core(waits=(1000.0,))
    lab.settle(core, 20)
    lab.origin.commit(manifest("one", "mended"), "Mend it")
    lab.settle(core)
    states = [job.state for job in core.queue.jobs(9, "models/manifests/one.yaml")]
    assert states == ["done", "replaced"]
    core.close()


@pytest.mark.parametrize(
    "meanwhile, wanted",
    [(manifest("one", "mended"), ["done", "replaced"]), ({"manifests/one.yaml": None}, ["cancelled"])],
    ids=["changed", "deleted"],
)
def test_what_a_commit_has_overtaken_while_it_ran_is_not_tried_again(
    lab: Lab, meanwhile: dict[str, str | None], wanted: list[str]
) -> None:
    """Tried again later, it would put the older commit back into the place of the newer one."""
    text = "version: 1\nname: one\nbases: {{far: {{image: {0}/none:v1}}}}\nimages: {{one: {{base: far}}}}\n"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        lab.origin.commit({"manifests/one.yaml": f"{text.format(address)}retry: {{attempts: 1}}\n"}, "Out of reach")
        core = lab.core(waits=(30.0, 60.0))
        core.rota.tick(lab.now + 5.0)
        with ThreadPoolExecutor() as pool:
            runs = pool.submit(lab.settle, core, 20.0)
            asks, _ = silent.accept()
            lab.origin.commit(meanwhile, "Meanwhile")
            core.rota.call("watch models", lab.now)
            asks.close()
            silent.close()
            runs.result()
    lab.settle(core)
    assert [job.state for job in core.queue.jobs(9, "models/manifests/one.yaml")] == wanted
    core.close()


def test_a_commit_that_waits_for_approval_is_planned_and_then_run(lab: Lab) -> None:
    lab.config.write_text(CONFIG.replace("poll: 20s", "poll: 20s, approve: true"))
    core = lab.core()
    lab.settle(core)
    waiting = [job for job in core.queue.open() if job.state == "approval"]
    assert len(waiting) == 2 and not core.journal.runs(9)
    assert any("layer" in line for line in waiting[0].told["plan"])
    core.queue.approve(waiting[0].id, "Ada")
    lab.settle(core)
    approved = core.queue.job(waiting[0].id)
    assert approved and (approved.state, approved.approved_by) == ("done", "Ada")
    assert [job.id for job in core.queue.open()] == [waiting[1].id]
    core.close()


ASKS = CONFIG.replace("poll: 20s", "poll: 20s, approve: true, environment: [GIVEN]")


def reads_the_environment() -> dict[str, str]:
    text = manifest("one")["manifests/one.yaml"]
    return {"manifests/one.yaml": text.replace("base: none", 'base: none, env: {A: "${env:GIVEN}"}')}


def test_what_changed_since_it_was_approved_waits_again_with_a_new_plan(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", {**manifest("one"), **reads_the_environment()}, ASKS)
    lab.environ["GIVEN"] = "first"
    core = lab.core()
    lab.settle(core)
    (waiting,) = core.queue.open()
    core.close()
    lab.environ["GIVEN"] = "second"
    core = lab.core()
    core.queue.approve(waiting.id, "Ada")
    lab.settle(core)
    approved, (again,) = core.queue.job(waiting.id), core.queue.open()
    assert approved and (approved.state, approved.replaced_by) == ("replaced", again.id)
    assert "approved by Ada, and not done, for since then: the manifest is another" in approved.told["text"]
    assert (again.state, again.commit, again.approved_by) == ("approval", waiting.commit, "")
    assert again.told["changed"][0] == "the manifest is another" and again.told["plan"]
    assert [run.outcome for run in core.journal.runs(9)] == ["failed"]
    core.queue.approve(again.id, "Ada")
    lab.settle(core)
    done = core.queue.job(again.id)
    assert done and done.state == "done"
    core.close()


def test_a_later_commit_takes_the_place_of_what_does_not_hold_any_more(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", {**manifest("one"), **reads_the_environment()}, ASKS)
    lab.environ["GIVEN"] = "first"
    core = lab.core()
    lab.settle(core)
    (waiting,) = core.queue.open()
    core.queue.approve(waiting.id, "Ada")
    core.queue.take()
    later = lab.origin.commit({"manifests/one.txt": "second"}, "Newer text")
    core.rota.call("watch models", lab.now)
    core.close()
    lab.environ["GIVEN"] = "second"
    core = lab.core()
    lab.settle(core)
    (left,) = core.queue.open()
    gone = core.queue.job(waiting.id)
    assert (left.commit, left.state) == (later, "approval")
    assert gone and (gone.state, gone.replaced_by) == ("replaced", left.id)
    core.close()


def test_an_approval_whose_plan_is_lost_waits_again(lab: Lab) -> None:
    lab.config.write_text(CONFIG.replace("poll: 20s", "poll: 20s, approve: true"))
    core = lab.core()
    lab.settle(core)
    waiting = core.queue.open()[0]
    (core.logs / f"{waiting.id}.plan").unlink()
    core.queue.approve(waiting.id, "Ada")
    lab.settle(core)
    again = core.queue.job((core.queue.job(waiting.id) or waiting).replaced_by or 0)
    assert again and again.state == "approval" and again.told["changed"] == ["its plan is not kept any more"]
    core.close()


def test_what_has_come_back_before_it_could_be_stopped_is_left_alone(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    lab.origin.commit({"manifests/elsewhere.yaml": manifest("one")["manifests/one.yaml"], "manifests/one.yaml": None})
    lab.settle(core)
    commit = lab.origin.git("rev-parse", "HEAD~1")
    for path in ("manifests/one.yaml", "manifests/two.yaml"):
        core.queue.add(Job(0, Tracked("models", path), "stop", Reason("prune", "deleted"), commit=commit))
    lab.settle(core)
    assert [job.told["text"] for job in reversed(core.queue.jobs(2))] == [
        "one is back (manifests/elsewhere.yaml): nothing was stopped",
        "two is back (manifests/two.yaml): nothing was stopped",
    ]
    core.close()


def test_a_commands_environment_is_what_the_settings_pass_on(lab: Lab) -> None:
    text = manifest("one")["manifests/one.yaml"].replace("base: none", 'base: none, env: {A: "${env:GIVEN}"}')
    lab.origin.commit({"manifests/one.yaml": text}, "Read the environment")
    lab.environ |= {"GIVEN": "x", "HIDDEN": "y"}
    core = lab.core()
    lab.settle(core)
    job = core.queue.jobs(1, "models/manifests/one.yaml")[0]
    assert job.state == "failed" and "GIVEN is not set" in job.told["text"]
    core.close()
    lab.config.write_text(CONFIG.replace("poll: 20s", "poll: 20s, environment: [GIVEN]"))
    core = lab.core()
    core.queue.add(Job(0, job.manifest, "run", Reason("hand", "again", who="Ada")))
    lab.settle(core)
    assert core.queue.jobs(1, "models/manifests/one.yaml")[0].state == "done"
    core.close()


def test_a_job_for_what_is_not_there_fails_with_a_reason(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    added = [
        core.queue.add(Job(0, Tracked("models", "manifests/no.yaml"), "run", Reason("hand", "by hand"))),
        core.queue.add(Job(0, Tracked("gone", "manifests/one.yaml"), "run", Reason("hand", "by hand"))),
    ]
    lab.settle(core)
    ended = [core.queue.job(job.id) for job in added]
    assert [job and job.state for job in ended] == ["failed", "failed"]
    assert ended[0] and "has no manifests/no.yaml" in ended[0].told["text"]
    assert ended[1] and "'gone'" in ended[1].told["text"]
    core.close()


def test_a_job_that_is_cancelled_before_its_attempt_is_not_begun(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    job = core.queue.add(Job(0, Tracked("models", "manifests/one.yaml"), "run", Reason("hand", "by hand")))
    taken = core.queue.take()
    assert taken and taken.id == job.id
    core.queue.cancel(job.id, "Ada")
    core.close()
    # As after a kill: it ran, and somebody had said that it shall not.
    core = lab.core()
    lab.settle(core)
    ended = core.queue.job(job.id)
    assert ended and ended.state == "cancelled" and "Ada" in ended.told["text"]
    assert not (core.logs / f"{job.id}.jsonl").exists()
    core.close()


def test_a_command_that_ended_before_the_kill_is_not_run_again(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core)
    job = core.queue.add(Job(0, Tracked("models", "manifests/one.yaml"), "run", Reason("hand", "by hand")))
    core.queue.take()
    events = [
        {"event": "attempt", "attempt": 1, "at": 1.0},
        {"event": "run-started", "manifest": "one", "steps": 4, "entries": {}},
        {"event": "run-ended", "report": {"seconds": 1.0, "made": 3, "hits": 1, "images": {"one": "sha256:ab"}}},
        {"event": "command-ended", "exit_code": 0},
    ]
    (core.logs / f"{job.id}.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    runs = len(core.journal.runs(99))
    core.close()
    core = lab.core()
    lab.settle(core)
    ended = core.queue.job(job.id)
    assert ended and ended.state == "done" and ended.told["text"].startswith("done in 1.0 s: 3 made")
    assert len(core.journal.runs(99)) == runs
    core.close()


def test_the_operator_is_told_how_repositories_are(lab: Lab) -> None:
    core = lab.core()
    lab.settle(core, 40)
    assert not lab.said
    away = lab.origin.folder.rename(lab.folder / "away")
    lab.settle(core, 60)
    assert len(lab.said) == 1 and lab.said[0].startswith("repository models is gone: ")
    away.rename(lab.origin.folder)
    lab.settle(core, 2000)
    assert lab.said[1:] == ["repository models is ok"]
    core.close()
