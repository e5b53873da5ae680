"""Manifests as jobs of other schedulers: each file fits its published schema, names what is needed, and no secret."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli._door import run
from pipeline.errors import UsageError
from pipeline.jobs import azure_pipelines, crontab, github_actions, gitlab_ci, systemd
from pipeline.jobs.model import Job
from pipeline.manifest.cron import cron

HOSTS = {
    "vendor.azure-pipelines": azure_pipelines.text,
    "vendor.github-workflows": github_actions.text,
    "vendor.gitlab-ci": gitlab_ci.text,
}
JOB = Job("prod", "manifests/prod.yaml", "manifests/prod.lock", ("REGISTRY", "REGISTRY_PASSWORD"))
ODD = Job("a b", "m & n/it's: #1.yaml", "m & n/it's: #1.lock", (), cron("*/15 3 * * mon-fri"), "rel/1.0", "x>=1")


@pytest.mark.parametrize("job", [JOB, ODD, Job("root", "pipeline.yaml", "pipeline.lock", ("A",), cron("0 3 1 1,7 *"))])
@pytest.mark.parametrize("schema", HOSTS)
def test_row_55_the_file_fits_the_hosts_published_schema(schema: str, job: Job, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yml"
    path.write_text(HOSTS[schema](job))
    command = [sys.executable, "-m", "check_jsonschema", "--regex-variant", "nonunicode", "--builtin-schema", schema]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr + path.read_text()


@pytest.mark.parametrize("text", HOSTS.values())
def test_every_variable_is_named_and_a_path_is_one_word_of_the_shell(text: Callable[[Job], str]) -> None:
    assert all(name in text(JOB) for name in JOB.variables)
    commands = [json.loads(found) for found in re.findall(r'"pipeline (?:run|plan) (?:[^"\\]|\\.)*"', text(ODD))]
    assert len(commands) == 3
    assert {shlex.split(command)[-1] for command in commands} == {ODD.manifest}


def test_a_host_of_git_rebuilds_only_when_it_was_told_when() -> None:
    for text in HOSTS.values():
        assert "--upgrade" not in text(JOB)
        assert "--upgrade" in text(ODD)


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("0 3 * * *", ["*-*-* 3:0:00"]),
        ("*/15 1-5/2 * * *", ["*-*-* 1..5/2:0/15:00"]),
        ("30 2 1,15 */3 *", ["*-1/3-1,15 2:30:00"]),
        ("0 3 * * 1-5", ["Mon,Tue,Wed,Thu,Fri *-*-* 3:0:00"]),
        ("0 3 * * sun", ["Sun *-*-* 3:0:00"]),
        ("0 3 * * 7", ["Sun *-*-* 3:0:00"]),
        ("0 3 * * */2", ["Sun,Tue,Thu,Sat *-*-* 3:0:00"]),
        ("0 3 13 * fri", ["*-*-13 3:0:00", "Fri *-*-* 3:0:00"]),
    ],
)
def test_systemd_gets_the_same_times(text: str, events: list[str]) -> None:
    assert systemd.calendar(cron(text)) == events


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("text", ["*/15 1-5/2 * * *", "30 2 1,15 */3 *", "0 3 13 * fri", "59 23 31 12 0-6"])
def test_systemd_takes_what_it_gets(text: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "calendar", *systemd.calendar(cron(text))], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0 3 * *",
        "60 3 * * *",
        "0 24 * * *",
        "0 3 0 * *",
        "5-1 3 * * *",
        "*/0 * * * *",
        "a b c d e",
        "@daily",
        "0 3 * * 8",
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="schedule"):
        cron(text)


def as_cron_would(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "PATH": os.defpath}
    return subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, check=False)


def test_a_line_for_crontab_goes_to_the_project_and_is_quiet_when_all_is_well(tmp_path: Path) -> None:
    """The line is run as cron would: by sh, with HOME alone."""
    folder = tmp_path / "50% off"
    folder.mkdir()
    program = tmp_path / "pipeline"
    program.write_text('#!/bin/sh\necho "$TOKEN $@ in $PWD"; exit $EXIT\n')
    program.chmod(0o755)
    for name, text in {".config/pipeline/prod.env": "TOKEN=t0ken\nEXIT=0\n", ".local/state/x": ""}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    job = Job("prod", "m.yaml", "m.lock", ("TOKEN", "EXIT"), None, folder=str(folder), program=str(program))
    line = crontab.text(job).splitlines()[-1]
    assert line.startswith("0 3 * * * ")
    # cron itself takes the backslash before a percent sign away (crontab(5)).
    command = re.sub(r"\\%", "%", line.removeprefix("0 3 * * * "))
    done = as_cron_would(command, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / ".config/pipeline/prod.env").write_text("TOKEN=t0ken\nEXIT=3\n")
    done = as_cron_would(command, tmp_path)
    assert done.returncode != 0
    assert done.stdout == f"t0ken run --upgrade m.yaml in {folder}\n"


def test_the_command_finds_the_project_and_what_it_needs(project: Callable[..., Path]) -> None:
    text = "version: 1\nname: shop\n# ${env:NEEDED} $${env:NOT} ${env:SOFT:-x} ${file:f} ${NAME}\n"
    folder = project({"manifests/prod.yaml": text})
    out, err = io.StringIO(), io.StringIO()
    words = ["export", "azure-pipelines", str(folder / "manifests/prod.yaml")]
    code = run(words, environ=dict(os.environ), out=out, err=err)
    assert code == 0, err.getvalue()
    assert '"pipeline run manifests/prod.yaml"' in out.getvalue()
    assert "NEEDED: $(NEEDED)" in out.getvalue()
    assert "SOFT" not in out.getvalue()
    assert "NOT" not in out.getvalue().replace("not(", "")


@pytest.mark.parametrize("scheduler", ["cron", "systemd"])
def test_a_file_of_any_name_is_a_plain_word_where_names_are_made_of_it(scheduler: str, tmp_path: Path) -> None:
    (tmp_path / "100% of.yaml").write_text("version: 1\nname: x\nimages: {a: {base: b, env: {A: '${env:TOKEN}'}}}\n")
    command = [sys.executable, "-m", "pipeline", "export", scheduler, "100% of.yaml"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "/pipeline/100-of.env" in done.stdout
    assert f"{Path(sys.executable).with_name('pipeline')} run --upgrade" in done.stdout
