"""The server's metrics: what is counted as it ends, what is looked up, and the format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from webmaker import COMMIT, LOOK, PROD, Web

from pipeline.serve.metrics import Health, Metrics
from pipeline.serve.model import Entry, Live, Reason, RepositoryStatus, Tracked


def read(web: Web) -> dict[str, float]:
    answer = web.at(token=LOOK).get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(tmp_path)


def test_jobs_are_counted_as_they_end(web: Web) -> None:
    queue = web.parts.queue
    first = web.add(reason=Reason("commit", "commit 3f9c"))
    web.time += 20
    queue.take()
    web.time += 100
    queue.end(first.id, "failed", 3, {"text": "no"})
    queue.cancel(web.add().id, "ada")
    found = read(web)
    assert found["pipeline_jobs_total action=run cause=commit state=failed"] == 1
    assert found["pipeline_jobs_total action=run cause=hand state=cancelled"] == 1
    assert found["pipeline_job_duration_seconds_sum action=run state=failed"] == 100
    assert found["pipeline_job_duration_seconds_bucket action=run le=60.0 state=failed"] == 0
    assert found["pipeline_job_wait_seconds_sum action=run"] == 20


def test_what_is_noted_of_a_job_that_runs_does_not_count_its_wait_again(web: Web) -> None:
    queue, job = web.parts.queue, web.add()
    queue.take()
    queue.note(job.id, commit=COMMIT)
    queue.cancel(job.id, "ada")
    assert read(web)["pipeline_job_wait_seconds_count action=run"] == 1


def test_what_is_to_be_alerted_on_begins_at_0_so_that_its_first_growth_is_seen(web: Web) -> None:
    found = read(web)
    for action, cause in (("run", "commit"), ("run", "hand"), ("rebuild", "schedule"), ("plan", "pull-request")):
        for state in ("done", "failed"):
            assert found[f"pipeline_jobs_total action={action} cause={cause} state={state}"] == 0
    for result in ("accepted", "signature", "unsigned", "rate"):
        assert found[f"pipeline_webhooks_total result={result}"] == 0
    assert found["pipeline_run_steps_total outcome=failed"] == 0
    assert found["pipeline_notes_total kind=status result=given up"] == 0


def test_steps_are_counted_by_what_the_run_said(web: Web) -> None:
    metrics = Metrics(web.settings, web.parts.database, list, web.now, lambda _job: {"made": 3, "hits": 2})
    web.parts.queue.heard = metrics.heard
    job = web.add()
    web.parts.queue.take()
    web.parts.queue.end(job.id, "done", 0, {})
    text = metrics.told()[0].decode()
    assert 'pipeline_run_steps_total{outcome="made"} 3.0' in text
    assert 'pipeline_run_steps_total{outcome="hits"} 2.0' in text


def test_the_queue_is_looked_up(web: Web) -> None:
    assert read(web)["pipeline_queue_oldest_seconds"] == 0
    web.add(state="approval")
    web.add(manifest=Tracked("models", "b.yaml"))
    web.parts.queue.take()
    web.parts.queue.take()
    web.add(manifest=Tracked("models", "c.yaml"))
    web.time += 30
    web.add(manifest=Tracked("models", "d.yaml"))
    found = read(web)
    assert found["pipeline_queue_jobs state=approval"] == 1
    assert found["pipeline_queue_jobs state=waiting"] == 2
    assert found["pipeline_queue_oldest_seconds"] == 30


def test_repositories_manifests_and_targets_are_looked_up(web: Web) -> None:
    book = web.parts.book
    book.put_repository(RepositoryStatus("models", "diverged", COMMIT, COMMIT, "forced", 50.0, 50.0))
    book.put_entry(Entry(PROD, "diabetes", "b1"))
    book.put_entry(Entry(Tracked("models", "manifests/b.yaml"), "", "b2", error="no such key"))
    book.put_entry(Entry(Tracked("models", "manifests/old.yaml"), "", "b3", gone=True))
    live = Live(PROD, "aks", 1.0, "running", "77ab", drift=("replicas: 3 → 2",))
    book.put_live(PROD, [live, replace(live, target="here", state="stopped", drift=(), pinned="77ab")])
    book.tell("status", "k", {}, 1.0)
    web.health[:] = [Health("watch models", False, 60.0, "no answer"), Health("clocks", True)]
    found = read(web)
    assert found["pipeline_repository_state repository=models state=diverged"] == 1
    assert found["pipeline_repository_state repository=models state=ok"] == 0
    assert found["pipeline_repository_state repository=plain state=new"] == 1
    assert found["pipeline_repository_checked_timestamp_seconds repository=models"] == 50
    assert "pipeline_repository_checked_timestamp_seconds repository=plain" not in found
    assert found["pipeline_manifests repository=models"] == 2
    assert found["pipeline_manifests_broken repository=models"] == 1
    assert (found["pipeline_targets state=running"], found["pipeline_targets state=stopped"]) == (1, 1)
    assert (found["pipeline_targets_drifted"], found["pipeline_targets_pinned"]) == (1, 1)
    assert found["pipeline_notes_waiting kind=status"] == 1
    assert (found["pipeline_duty_up duty=watch models"], found["pipeline_duty_up duty=clocks"]) == (0, 1)
    assert found["pipeline_duty_last_timestamp_seconds duty=watch models"] == 60


def test_each_metric_is_in_the_docs(web: Web) -> None:
    web.fill().parts.metrics.note("status", "delivered")
    web.parts.metrics.hook("accepted")
    docs = (Path(__file__).parents[2] / "docs" / "serve.md").read_text(encoding="utf-8")
    text = web.parts.metrics.told()[0].decode()
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE pipeline_")}
    assert len(names) > 15
    assert not {name for name in names if name not in docs and not name.endswith("_created")}
