"""Git over HTTP, by git's own server: tokens, refusals, silence, redirects, pushes."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from githttp import GitHttp, needs_backend
from gitmaker import ENVIRON, Origin, cloned, git

from pipeline.errors import OutOfReach
from pipeline.manifest.model import Secret
from pipeline.serve.git.clone import Clone
from pipeline.serve.git.errors import Gone, Moved, Refused

pytestmark = needs_backend


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "work")
    made.commit({"manifests/a.yaml": "one"})
    git(tmp_path, "clone", "--quiet", "--bare", str(made.folder), str(tmp_path / "served" / "models.git"))
    made.git("remote", "add", "served", str(tmp_path / "served" / "models.git"))
    return made


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttp]:
    made = GitHttp(tmp_path / "served")
    yield made
    made.close()


@pytest.fixture
def clone(origin: Origin, server: GitHttp, tmp_path: Path) -> Iterator[Clone]:  # noqa: ARG001
    made = cloned(f"{server.url}/models.git", tmp_path / "state")
    yield made
    made.close()


def push(origin: Origin, *words: str) -> None:
    origin.git("push", "--quiet", *words, "served", "HEAD:main")


def test_commits_are_seen_and_fetched(clone: Clone, origin: Origin) -> None:
    assert clone.tip() == origin.head
    tip = origin.commit({"manifests/a.yaml": "two"})
    push(origin)
    assert clone.tip() == tip
    clone.fetch(tip)
    assert clone.text(tip, "manifests/a.yaml") == "two"


def test_a_look_is_one_small_conversation(clone: Clone, server: GitHttp) -> None:
    clone.tip()
    server.seen.clear()
    clone.tip()
    assert len(server.seen) == 2  # what the server can, and the one branch (gitprotocol-v2)


def test_a_token_is_sent_at_once_and_seen_nowhere(
    origin: Origin,  # noqa: ARG001
    server: GitHttp,
    tmp_path: Path,
) -> None:
    server.login = "bot:s3cr3t-token"
    made = cloned(f"{server.url}/models.git", tmp_path / "more", username="bot", token=Secret("s3cr3t-token"))
    tip = made.tip()
    made.fetch(tip)
    assert all(sent for _, sent in server.seen)
    kept = [path for path in (tmp_path / "more").rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert kept == []
    made.close()
    wrong = cloned(f"{server.url}/models.git", tmp_path / "wrong", username="bot", token=Secret("other-s3cr3t"))
    with pytest.raises(Refused) as refused:
        wrong.tip()
    assert "s3cr3t" not in str(refused.value)
    assert "right to read" in refused.value.remedy


def test_a_repository_that_wants_a_password(clone: Clone, server: GitHttp) -> None:
    server.login = "bot:x"
    with pytest.raises(Refused):
        clone.tip()


def test_a_token_does_not_go_to_where_a_host_leads(server: GitHttp, origin: Origin, tmp_path: Path) -> None:
    other = GitHttp(tmp_path / "served")
    # Another name of the same machine is another host.
    server.moved = other.url.replace("127.0.0.1", "localhost")
    made = cloned(f"{server.url}/models.git", tmp_path / "more", username="bot", token=Secret("s3cr3t-token"))
    with pytest.raises(Refused, match="has moved"):
        made.tip()
    assert not any(sent for _, sent in other.seen)
    made.close()
    assert cloned(f"{server.url}/models.git", tmp_path / "plain").tip() == origin.head
    other.close()


@pytest.mark.parametrize(("status", "error"), [(500, OutOfReach), (503, OutOfReach), (429, OutOfReach), (403, Refused)])
def test_a_host_that_fails(clone: Clone, server: GitHttp, status: int, error: type[Exception]) -> None:
    server.fails = status
    with pytest.raises(error):
        clone.tip()


def test_a_repository_that_is_not_there(server: GitHttp, tmp_path: Path) -> None:
    with pytest.raises(Gone):
        cloned(f"{server.url}/nothing.git", tmp_path / "state").tip()


def test_a_host_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutOfReach):
        cloned("http://127.0.0.1:1/models.git", tmp_path / "state").tip()


def test_a_commit_of_a_pull_request_is_fetched_by_its_hash(clone: Clone, origin: Origin) -> None:
    origin.git("checkout", "--quiet", "-b", "try")
    commit = origin.commit({"manifests/a.yaml": "try"})
    origin.git("push", "--quiet", "served", "HEAD:refs/pull/7/head")
    clone.fetch(commit)
    assert clone.text(commit, "manifests/a.yaml") == "try"
    with pytest.raises(Gone):
        clone.fetch("1" * 40)


def test_a_push_and_one_that_came_too_late(clone: Clone, origin: Origin) -> None:
    tip = origin.head
    with clone.at(tip, "manifests/a.yaml") as folder:
        (folder / "manifests/a.lock").write_text("lock")
        (folder / "junk").write_text("not to be pushed")
        made = clone.push(folder, ["manifests/a.lock"], "Lock", "main")
        assert clone.tip() == made
        assert clone.changed(tip, made) == ["manifests/a.lock"]
        assert clone.commit(made).author == "pipeline"
    with clone.at(tip, "manifests/a.yaml") as folder:
        (folder / "manifests/a.lock").write_text("another")
        with pytest.raises(Moved):
            clone.push(folder, ["manifests/a.lock"], "Lock", "main")
        clone.push(folder, ["manifests/a.lock"], "Lock", "pipeline/rebuild/a", force=True)
    assert clone.tip() == made


def test_what_does_not_differ_is_not_pushed(clone: Clone, origin: Origin) -> None:
    with clone.at(origin.head, "manifests/a.yaml") as folder:
        assert clone.push(folder, ["manifests/a.yaml"], "Nothing", "main") == origin.head


def test_a_push_that_the_host_refuses_says_why(clone: Clone, origin: Origin, tmp_path: Path) -> None:
    hook = tmp_path / "served" / "models.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    with clone.at(origin.head, "manifests/a.yaml") as folder:
        (folder / "manifests/a.lock").write_text("lock")
        with pytest.raises(Refused) as refused:
            clone.push(folder, ["manifests/a.lock"], "Lock", "main")
    assert "main is protected" in refused.value.message
    assert "propose" in refused.value.remedy


def test_a_proxy_of_the_environment_is_used(origin: Origin, server: GitHttp, tmp_path: Path) -> None:  # noqa: ARG001
    environ = {**ENVIRON, "http_proxy": server.url}
    with pytest.raises((Gone, OutOfReach)):
        cloned("http://git.invalid/models.git", tmp_path / "state", environ).tip()
    assert server.seen[0][0].startswith("http://git.invalid/")


def test_settings_of_the_user_do_not_count(origin: Origin, server: GitHttp, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "{server.url}/nowhere/"]\n\tinsteadOf = {server.url}/\n')
    (home / ".netrc").write_text("machine 127.0.0.1 login evil password evil\n")
    made = cloned(f"{server.url}/models.git", tmp_path / "state", {**ENVIRON, "HOME": str(home)})
    assert made.tip() == origin.head
    assert not any(sent for _, sent in server.seen)


def test_many_threads_share_a_clone(clone: Clone, origin: Origin) -> None:
    commits = [origin.head, *(origin.commit({"manifests/a.yaml": str(number)}) for number in range(5))]
    push(origin)
    wrong: list[object] = []

    def work(number: int) -> None:
        for commit in commits:
            with clone.at(commit, f"manifests/{number}.yaml") as folder:
                text = (folder / "manifests/a.yaml").read_text()
                if text != clone.text(commit, "manifests/a.yaml"):
                    wrong.append((number, commit, text))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_slots_are_remembered(clone: Clone, origin: Origin, tmp_path: Path) -> None:
    with clone.at(origin.head, "a") as first, clone.at(origin.head, "b") as second:
        assert first != second
    with clone.at(origin.head, "b") as again:
        assert again == second
    assert json.loads(next(tmp_path.rglob("slots.json")).read_text()) == {"a": 0, "b": 1}


@pytest.mark.skipif(not shutil.which("git-lfs"), reason="git-lfs is not installed")
def test_files_of_git_lfs_come_from_the_host_with_the_token(origin: Origin, server: GitHttp, tmp_path: Path) -> None:
    weights = b"weights" * 1000
    hash_ = sha256(weights).hexdigest()
    server.files[hash_] = weights
    server.login = "bot:s3cr3t-token"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hash_}\nsize {len(weights)}\n"
    tip = origin.commit({".gitattributes": "*.bin filter=lfs -text\n", "model.bin": pointer})
    server.login = ""
    push(origin)
    server.login = "bot:s3cr3t-token"
    made = cloned(f"{server.url}/models.git", tmp_path / "more", username="bot", token=Secret("s3cr3t-token"))
    with made.at(tip, "a") as folder:
        assert (folder / "model.bin").read_bytes() == weights
    server.files.clear()
    kept = next(path for path in (tmp_path / "more/repos/models.git/lfs/objects").rglob(hash_))
    os.utime(kept, (1, 1))
    newer = origin.commit({"README.md": "x"})
    push(origin)
    made.fetch(newer)
    assert not kept.exists()
    with made.at(newer, "a") as folder:
        assert (folder / "model.bin").read_bytes() == weights
