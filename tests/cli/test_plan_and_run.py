"""What `plan` says before, `run` does after: one thing is changed at a time, and the misses are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.store import Store

MANIFEST = """\
version: 1
name: shop
bases:
  slim: {plain: [{from: base/, to: /usr/share/shop/}]}
layers:
  code: {files: [{from: src/, to: /srv/app/}]}
  data: {files: [{from: data/, to: /srv/data/, mode: "0644"}]}
images:
  web:
    base: slim
    layers: [code, data]
    command: [/srv/app/start]
    tags: [v1]
    env: {WORKERS: "1"}
    labels: {team: blue}
    checks: {size: 1MB}
  job:
    base: slim
    layers: [code]
    command: [/srv/app/start]
targets:
  here: {remembered: {image: web, port: 8890}}
"""
WEB = {"image web", "check web", "tag web", "target here"}
JOB = {"image job", "check job", "tag job"}
CHANGES: list[tuple[str, str, str, set[str], str]] = [
    ("src/start", "#!/bin/sh\n", "#!/bin/bash\n", {"layer code", *WEB, *JOB}, "src/start changed"),
    ("data/table", "1\n", "2\n", {"layer data", *WEB}, "data/table changed"),
    ("base/etc.txt", "base\n", "new\n", {"base slim", *WEB, *JOB}, "base/etc.txt changed"),
    ("pipeline.yaml", 'WORKERS: "1"', 'WORKERS: "2"', WEB, "env WORKERS 1 → 2"),
    ("pipeline.yaml", "team: blue", "team: red", WEB, "label team blue → red"),
    ("pipeline.yaml", "tags: [v1]", "tags: [v2]", {"tag web"}, "tags v1 → v2"),
    ("pipeline.yaml", "port: 8890", "port: 8891", {"target here"}, "port 8890 → 8891"),
    ("pipeline.yaml", "size: 1MB", "size: 2MB", {"check web"}, "size 1 MB → 2 MB"),
    ("pipeline.yaml", 'mode: "0644"', 'mode: "0600"', {"layer data", *WEB}, "data/table mode 0644 → 0600"),
    ("pipeline.yaml", "layers: [code, data]", "layers: [data, code]", WEB, "order slim code data → slim data code"),
    ("pipeline.yaml", "image: web, ", "image: job, ", {"target here"}, "image web → job"),
]


@pytest.fixture
def project(shop: Any) -> Any:
    shop.write("pipeline.yaml", MANIFEST)
    shop.write("data/table", "1\n")
    return shop


def _plan(shop: Any) -> dict[str, Any]:
    return {step["step"]: step for step in shop("plan", "--output", "json").json["steps"]}


def _misses(shop: Any) -> set[str]:
    return {id_ for id_, step in _plan(shop).items() if not step["hit"]}


def _made(shop: Any) -> set[str]:
    ended = shop("run", "--output", "json")
    assert ended.code == 0, ended.err
    return {event["step"] for event in ended.events if event["event"] == "step-ended" and event["outcome"] == "made"}


def _store(shop: Any) -> Path:
    return Path(shop.environ["PIPELINE_HOME"]) / "store"


@pytest.mark.parametrize(("file", "old", "new", "expected", "why"), CHANGES, ids=[change[4] for change in CHANGES])
def test_a_run_does_what_the_plan_said(
    project: Any, file: str, old: str, new: str, expected: set[str], why: str
) -> None:
    project("run")
    assert _misses(project) == set()
    project.write(file, Path(file).read_text().replace(old, new))
    planned = _plan(project)
    misses = {id_ for id_, step in planned.items() if not step["hit"]}
    assert misses == expected
    assert any(why in step["why"] for step in planned.values())
    assert why in project("plan").out
    assert _made(project) == misses
    assert _misses(project) == set()


def test_entries_of_the_same_content_are_both_made_as_the_plan_said_and_told_from_what_they_were(project: Any) -> None:
    twin = "  twin: {files: [{from: src/, to: /srv/app/}]}\n"
    text = MANIFEST.replace("  data: {files", f"{twin}  data: {{files").replace(
        "    layers: [code]\n", "    layers: [twin]\n"
    )
    project.write("pipeline.yaml", text)
    assert _made(project) >= {"layer code", "layer twin"}
    project.write("src/start", "#!/bin/bash\n")
    planned = _plan(project)
    assert planned["layer code"]["why"] == planned["layer twin"]["why"] == "src/start changed"
    assert _made(project) == {id_ for id_, step in planned.items() if not step["hit"]}


def test_a_run_makes_what_was_removed_from_the_store_as_the_plan_said(project: Any) -> None:
    project("run")
    layer = _plan(project)["layer code"]["key"]
    database = json.loads(_record(project, layer))
    blob = _store(project) / "blobs" / database["layers"][0]["blob"]["digest"].replace(":", "/")
    for damage in (lambda: blob.unlink(), lambda: blob.write_bytes(blob.read_bytes()[:-1])):
        damage()
        misses = _misses(project)
        assert misses == {"layer code", "image web", "image job"}
        assert _made(project) == misses
    assert _misses(project) == set()


def test_a_damaged_config_makes_the_image_anew_and_is_no_error(project: Any) -> None:
    project("run")
    image = json.loads(_record(project, _plan(project)["image web"]["key"]))
    config = next(blob for blob in image["blobs"] if "config" in blob["mediaType"])
    (_store(project) / "blobs" / config["digest"].replace(":", "/")).unlink()
    assert "image web" in _misses(project)
    _made(project)
    assert _misses(project) == set()


def test_what_was_done_with_an_earlier_image_of_the_same_key_does_not_count(project: Any) -> None:
    from pipeline.store.database import Database

    project("run")
    plan = _plan(project)
    # As a command leaves it that was executed again, with another result, in a run that was killed right after.
    other = _record(project, plan["image job"]["key"])
    key = plan["image web"]["key"]
    Database(_store(project) / "store.db").adopt(key, json.loads(other))
    misses = {id_: step["why"] for id_, step in _plan(project).items() if not step["hit"]}
    assert set(misses) == {"check web", "tag web", "target here"}
    assert "made again" in misses["check web"]
    assert _made(project) == set(misses)
    assert _misses(project) == set()


def test_a_service_that_was_stopped_is_said_to_be(project: Any) -> None:
    project("run")
    assert project("stop", "pipeline.yaml", "here").code == 0
    last = project("plan").out.splitlines()
    assert "the service is stopped; starts" in last[-2]
    assert last[-1].endswith("here starts")


def _record(shop: Any, key: str) -> str:
    from pipeline.store.database import Database

    return json.dumps(Database(_store(shop) / "store.db").record(key))


def test_a_change_is_told_from_what_was_last_and_not_from_what_was_last_made(project: Any) -> None:
    for workers in ("1", "2", "1", "3"):
        project.write("pipeline.yaml", MANIFEST.replace('WORKERS: "1"', f'WORKERS: "{workers}"'))
        if workers != "3":
            project("run")
    assert "env WORKERS 1 → 3" in project("plan").out


def test_check_tells_by_its_exit_code_whether_there_is_something_to_do(project: Any) -> None:
    assert project("plan").code == 0
    assert project("plan", "--check").code == 10
    project("run")
    assert project("plan", "--check").code == 0


def test_verbose_names_all_that_changed(project: Any) -> None:
    for number in range(6):
        project.write(f"src/{number}", "1")
    project("run")
    for number in range(6):
        project.write(f"src/{number}", "2")
    short = project("plan").out
    assert "src/0 changed, src/1 changed, src/2 changed and 3 more" in short
    assert "src/5 changed" in project("plan", "--verbose").out
    changes = _plan(project)["layer code"]["changes"]
    assert [change["text"] for change in changes] == [f"src/{number} changed" for number in range(6)]


def test_a_secret_of_a_target_is_told_as_changed_and_never_shown(project: Any) -> None:
    manifest = MANIFEST.replace("port: 8890}", "port: 8890, env: {TOKEN: '${env:TOKEN_SECRET}'}}")
    project.write("pipeline.yaml", manifest)
    for value in ("hunter2-hunter2", "rotated-rotated"):
        environ = {"TOKEN_SECRET": value}
        if value.startswith("hunter2"):
            assert project("run", environ=environ).code == 0
        else:
            told = project("plan", "--verbose", "--save", "plan.json", environ=environ)
            assert "env TOKEN changed" in told.out
            assert not any(text in told.out + Path("plan.json").read_text() for text in ("hunter2", "rotated"))


# -- saved plans --------------------------------------------------------------------------------------------------


def test_a_saved_plan_is_performed_once_and_then_there_is_nothing_to_do(project: Any) -> None:
    assert project("plan", "--save", "plan.json").code == 0
    value = json.loads(Path("plan.json").read_text())
    assert (value["version"], value["manifest"]) == (1, "pipeline.yaml")
    assert str(project.folder) not in Path("plan.json").read_text()
    assert "10 made" in project("run", "--plan", "plan.json", environ={"CI": "true"}).out
    assert Path("pipeline.lock").is_file()
    again = project("run", "pipeline.yaml", "--plan", "plan.json")
    assert (again.code, "nothing to do" in again.out) == (0, True)


def test_a_saved_plan_goes_on_where_another_run_was_interrupted(project: Any) -> None:
    project("plan", "--save", "plan.json")
    project("build")
    assert "5 made" in project("run", "--plan", "plan.json").out


def test_a_saved_plan_goes_on_where_its_own_rollout_was_interrupted(project: Any) -> None:
    project("plan", "--save", "plan.json")
    assert project("run", "--plan", "plan.json").code == 0
    (target,) = (step for step in json.loads(Path("plan.json").read_text())["steps"] if step["step"] == "target here")
    # As it is while the release is not healthy yet: it is live, and there is no record of it.
    Store(_store(project)).database.forget(target["key"])
    assert "1 made" in project("run", "--plan", "plan.json").out


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("src/start", "#!/bin/sh\n", "#!/bin/bash\n", "src/"),
        ("pipeline.yaml", 'WORKERS: "1"', 'WORKERS: "2"', "the manifest is another"),
        ("pipeline.lock", '"version"', ' "version"', ""),
        ("pipeline.lock", '"packer": "', '"packer": "0', "the lock is another"),
    ],
)
def test_a_saved_plan_is_refused_when_the_world_has_moved(
    project: Any, file: str, old: str, new: str, reason: str
) -> None:
    project("run")
    project.write("data/table", "2\n")
    project("plan", "--save", "plan.json")
    project.write(file, Path(file).read_text().replace(old, new, 1))
    ended = project("run", "--plan", "plan.json")
    if reason:
        assert (ended.code, ended.out) == (3, "")
        assert reason in ended.err
        assert "does not hold any more" in ended.err
    else:
        assert ended.code == 0


def test_a_saved_plan_is_refused_when_something_else_is_live(project: Any) -> None:
    project("run")
    project.write("data/table", "2\n")
    project("plan", "--save", "plan.json")
    project.write("data/table", "3\n")
    project("run")
    project.write("data/table", "2\n")
    project("lock")
    ended = project("run", "--plan", "plan.json")
    assert ended.code == 3
    assert "the lock is another" in ended.err or "target here was" in ended.err


def test_what_a_saved_plan_took_for_there_must_be_there(project: Any) -> None:
    project("run")
    project.write("data/table", "2\n")
    layer = json.loads(_record(project, _plan(project)["layer code"]["key"]))
    project("plan", "--save", "plan.json")
    (_store(project) / "blobs" / layer["layers"][0]["blob"]["digest"].replace(":", "/")).unlink()
    ended = project("run", "--plan", "plan.json")
    assert ended.code == 3
    assert "layer code was there, and is not now" in ended.err


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--plan", "none.json"], "cannot be read"),
        (["--plan", "pipeline.yaml"], "is no saved plan"),
        (["--plan", "old.json"], "is a plan of version 9"),
        (["--plan", "broken.json"], "damaged"),
        (["--plan", "plan.json", "--image", "web"], "leave out --image"),
        (["--plan", "plan.json", "--set", "a=b"], "leave out --set"),
        (["other.yaml", "--plan", "plan.json"], "other.yaml is not there"),
    ],
)
def test_wrong_words_for_saved_plans(project: Any, args: list[str], text: str) -> None:
    project("plan", "--save", "plan.json")
    project.write("old.json", '{"version": 9}')
    project.write("broken.json", '{"version": 1}')
    ended = project("run", *args)
    assert ended.code == 2
    assert text in ended.err


def test_a_plan_that_cannot_be_written_is_one_clear_error(project: Any) -> None:
    ended = project("plan", "--save", "nowhere/plan.json")
    assert (ended.code, "cannot be written" in ended.err) == (2, True)


# -- why ----------------------------------------------------------------------------------------------------------


def test_why_tells_of_the_next_build_and_then_of_the_last(project: Any) -> None:
    assert "image web will be made: first time" in project("why", "web").out
    project("run")
    assert "first time" in project("why", "web").out
    project.write("data/table", "2\n")
    following = project("why", "web").out.splitlines()
    assert following[0].startswith("image web will be made (last made just now")
    assert following[1].startswith("└─ layer data will be made")
    assert following[1].endswith("data/table changed")
    project("run")
    past = project("why", "web").out.splitlines()
    assert past[0].startswith("image web made just now")
    assert past[1].endswith("data/table changed")
    (reason,) = project("why", "here", "pipeline.yaml", "--output", "json").json
    assert (reason["step"], reason["next"], reason["made"] > 0) == ("target here", False, True)
    assert [reason["below"][0]["step"], reason["below"][0]["below"][0]["step"]] == ["image web", "layer data"]


def test_why_of_a_step_by_its_own_name_and_of_none(project: Any) -> None:
    assert project("why", "tag web").out.startswith("tag web will be made")
    ended = project("why", "wbe")
    assert (ended.code, "web" in ended.err) == (2, True)
