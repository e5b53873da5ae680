"""What the pages say of jobs that are tried again, repositories that are not there, and releases to go back to."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from pathlib import Path

import pytest
from webmaker import PROD, Web

from pipeline.serve.model import Entry, Job, Reason, RepositoryStatus, Tracked
from pipeline.serve.settings import Access
from pipeline.serve.web.page_words import middle


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path, Access()).fill()


def shown(web: Web, path: str) -> str:
    """The page's text, without its tags."""
    answer = web.client.get(path)
    assert answer.status_code == 200, answer.text
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", answer.text).split()))


def test_a_job_that_is_tried_again_says_why_it_waits_and_until_when(web: Web) -> None:
    # How long it is until then is told by the machine's own clock.
    web.time = time.time()
    queue = web.parts.queue
    tools = Tracked("models", "manifests/tools.yaml")
    web.parts.book.put_entry(Entry(tools, "tools", "b1", commit="c" * 40))
    job = queue.add(Job(0, tools, "run", Reason("commit", "commit 3f9c1d0 'Newer'"), commit="c" * 40))
    while (taken := queue.take()) and taken.id != job.id:
        queue.end(taken.id, "done", 0, {})
    queue.again(job.id, web.time + 500.0, {"text": "the registry does not answer; tried again in 480 s"})
    for path in ("/", "/jobs"):
        assert "the registry does not answer; next try in " in shown(web, path)
    page = shown(web, f"/jobs/{job.id}")
    assert "Next try" in page
    # Nothing goes on meanwhile that would take longer and longer.
    assert " For " not in page
    assert web.client.get(f"/api/v1/jobs/{job.id}").json()["row"]["due"] == web.time + 500.0


def test_a_repository_that_is_not_there_was_not_deleted(web: Web) -> None:
    web.parts.book.put_repository(RepositoryStatus("models", "gone", "", "", "no branch main"))
    for path in ("/", "/repositories", f"/manifests/{PROD.id}"):
        text = shown(web, path)
        assert "not there" in text and "deleted" not in text, path


def test_a_crowd_that_waits_is_not_listed_whole(web: Web) -> None:
    for number in range(100):
        manifest = Tracked("models", f"manifests/s{number}.yaml")
        web.parts.queue.add(Job(0, manifest, "run", Reason("commit", "commit 3f9c1d0 'All'"), commit="c" * 40))
    text = web.client.get("/jobs").text
    assert 50 < text.count("manifests/s") / 2 < 80
    assert re.search(r"\d\d jobs more wait\.", text)


def test_a_release_is_told_by_what_made_it(web: Web) -> None:
    queue = web.parts.queue
    job = queue.add(Job(0, PROD, "run", Reason("commit", "commit 77ab 'The good one'"), commit="c" * 40))
    while (taken := queue.take()) and taken.id != job.id:
        queue.end(taken.id, "done", 0, {})
    queue.end(job.id, "done", 0, {"images": {"scoring": "sha256:3f"}})
    page = shown(web, f"/rollback?manifest={PROD.id}&target=aks")
    assert page.index("77ab live") < page.index("3f9c image 3f") < page.index("'The good one'")


def test_a_failure_is_told_once(web: Web) -> None:
    queue = web.parts.queue
    job = queue.add(Job(0, PROD, "run", Reason("commit", "commit 3f9c1d0 'Newer'"), commit="c" * 40))
    while (taken := queue.take()) and taken.id != job.id:
        queue.end(taken.id, "done", 0, {})
    place = {"file": "a.yaml", "line": 3}
    error = json.dumps({"event": "error", "message": "the disk is full", "remedy": "make room", "place": place})
    log = web.parts.home.state / "serve" / "jobs" / f"{job.id}.jsonl"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(error + "\n")
    queue.end(job.id, "failed", 3, {"text": "a.yaml:3: the disk is full"})
    text = shown(web, f"/jobs/{job.id}").partition(" Log ")[0]
    assert text.count("the disk is full") == 1
    assert "make room" in text


def test_long_names_keep_both_ends() -> None:
    assert middle("scoring") == "scoring"
    assert middle("image-with-a-rather-long-name-4") == "image-w…-name-4"
