"""`pipeline sync`, as a user calls it: one pass, its lines, and an exit code that does not lie."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from githttp import GitHttp, needs_backend
from gitmaker import git
from servelab import Lab, manifest

from pipeline.cli._door import run


class User:
    """Somebody with a project, a config file beside it, and a home."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def sync(self, *words: str, **more: str) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = run(["sync", *words], environ={**self.lab.environ, **more}, out=out, err=err)
        return code, out.getvalue(), err.getvalue()

    def events(self, *words: str) -> tuple[int, list[dict[str, Any]]]:
        code, out, _ = self.sync(*words, "--output", "json")
        return code, [json.loads(line) for line in out.splitlines()]

    @property
    def config(self) -> str:
        return str(self.lab.config)


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(Lab(tmp_path / "project", {**manifest("one"), **manifest("two")}))


def test_one_pass_does_what_is_to_be_done_and_the_next_one_nothing(user: User) -> None:
    code, out, err = user.sync(user.config)
    assert (code, err) == (0, "")
    assert "run       models/manifests/one.yaml  done in" in out
    assert "because of commit" in out
    assert out.splitlines()[-1].endswith(": 2 done")
    code, out, _ = user.sync(user.config)
    assert code == 0
    assert out.splitlines()[-1].endswith(": nothing to do")
    user.lab.origin.commit({"manifests/two.txt": "newer"}, "Newer")
    _, events = user.events(user.config)
    assert [one["event"] for one in events] == ["job", "repository", "end"]
    assert events[0]["manifest"] == "models/manifests/two.yaml"
    assert events[0]["reason"].endswith("'Newer' by Ada")


def test_what_failed_is_told_each_time_until_it_is_tried_again(user: User) -> None:
    user.lab.origin.commit({"manifests/two.yaml": "version: 1\nname: two\n"})
    code, out, _ = user.sync(user.config)
    assert code == 2
    assert "models/manifests/two.yaml  failed: " in out
    code, _, err = user.sync(user.config)
    assert code == 2
    assert "models/manifests/two.yaml has failed before (try it again with --retry): " in err
    code, out, _ = user.sync(user.config, "--retry")
    assert code == 2
    assert "another try: job" in out
    user.lab.origin.commit(manifest("two"))
    assert user.sync(user.config)[0] == 0


def test_a_repository_that_is_gone_or_out_of_reach(user: User) -> None:
    user.sync(user.config)
    user.lab.origin.git("branch", "-m", "main", "away")
    code, _, err = user.sync(user.config)
    assert code == 2
    assert "repository models is gone: " in err
    user.lab.config.write_text("version: 1\nrepositories: {models: {url: 'http://127.0.0.1:1/a/models.git'}}\n")
    code, _, err = user.sync(user.config)
    assert code == 4
    assert "repository models is unreachable: " in err


def test_what_waits_for_approval_is_no_failure(user: User) -> None:
    user.lab.config.write_text("version: 1\nrepositories: {models: {url: origin, approve: true}}\n")
    code, out, _ = user.sync(user.config)
    assert code == 0
    assert out.count("run       models/manifests/one.yaml  waits for approval") == 1


def test_one_repository_of_several(user: User) -> None:
    user.lab.config.write_text(
        "version: 1\nrepositories: {models: {url: origin}, other: {url: origin, folders: [elsewhere]}}\n"
    )
    _, events = user.events(user.config, "--repository", "other")
    assert [one["name"] for one in events if one["event"] == "repository"] == ["other"]
    code, _, err = user.sync(user.config, "--repository", "othr")
    assert code == 2
    assert "did you mean 'other'" in err


def test_a_folder_without_settings(user: User) -> None:
    folder = str(user.lab.origin.folder)
    code, out, _ = user.sync(folder)
    assert code == 0
    assert out.splitlines()[-1].endswith(": 2 done")
    assert user.sync(folder)[1].splitlines()[-1].endswith(": nothing to do")
    assert user.sync(folder, "--branch", "nothing")[0] == 2


@needs_backend
def test_an_address_with_a_token_that_is_seen_nowhere(user: User, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(user.lab.origin.folder), str(tmp_path / "served/models.git"))
    server = GitHttp(tmp_path / "served", "ada:s3cr3t-token")
    url = f"{server.url}/models.git"
    code, out, err = user.sync(url, "--username", "ada", "--token-from", "GIT_TOKEN", GIT_TOKEN="s3cr3t-token")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1].endswith(": 2 done")
    kept = [path for path in user.lab.folder.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert kept == []
    code, _, err = user.sync(url, "--token-from", "GIT_TOKEN", GIT_TOKEN="wrong")
    assert code == 3
    assert "refuses" in err
    server.close()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("nothing.yaml",), "there is no file or folder nothing.yaml"),
        (("ftp://example.com/x",), "no protocol that is spoken here"),
        (("http://example.com/a/x.git",), "plain HTTP"),
        ((".", "--repository", "models"), "--repository names one of the server's settings"),
        ((".", "--token-from", "NOTHING"), "NOTHING is not set"),
        (("CONFIG", "--branch", "main"), "--branch is for the address of one repository"),
    ],
)
def test_words_that_make_no_sense(user: User, words: tuple[str, ...], wanted: str) -> None:
    code, _, err = user.sync(*(user.config if word == "CONFIG" else word for word in words))
    assert code == 2
    assert wanted in err


def test_a_server_on_the_same_home_keeps_it_off(user: User) -> None:
    core = user.lab.core()
    code, _, err = user.sync(user.config)
    core.close()
    assert code == 2
    assert f"process {os.getpid()} serves from" in err


def test_a_commit_that_was_forced_is_applied_once_somebody_accepts_it(user: User) -> None:
    user.sync(user.config)
    user.lab.origin.git("commit", "--amend", "--quiet", "-m", "Forced")
    forced = user.lab.origin.head
    code, _, err = user.sync(user.config, "--accept", forced)
    assert (code, f"nothing waits for {forced} to be accepted" in err) == (2, True)
    assert user.sync(user.config)[0] == 3
    code, _, err = user.sync(user.config, "--accept", forced[:6])
    assert code == 2 and "7 characters" in err
    code, out, _ = user.sync(user.config, "--accept", forced[:12])
    assert (code, f"at {forced[:7]}" in out) == (0, True)


def test_a_folder_without_manifests_is_told(user: User) -> None:
    folder = str(user.lab.origin.folder)
    code, out, _ = user.sync(folder, "--folder", "manifest")
    assert (code, "there is no manifest below manifest" in out) == (0, True)
