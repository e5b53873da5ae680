"""Traces, as a collector that reads OTLP's protobuf gets them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from pipeline.serve.model import Job, Reason, Tracked
from pipeline.serve.traces import Traces
from pipeline.serve.views_model import RunView, StepView

PROD = Tracked("models", "manifests/prod.yaml")


class Collector:
    """Takes what is posted to /v1/traces; `spans` are in the order of their beginnings."""

    def __init__(self) -> None:
        self.resources: list[Any] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

                body = self.rfile.read(int(self.headers["Content-Length"]))
                body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                right = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                if right:
                    outer.resources += ExportTraceServiceRequest.FromString(body).resource_spans
                self.send_response(200 if right else 404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[Any]:
        found = [span for one in self.resources for scope in one.scope_spans for span in scope.spans]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, span.name))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def run(*steps: StepView) -> RunView:
    return RunView(7, PROD.path, "diabetes", "done", 100.0, 110.0, steps, counts={"made": 2, "hits": 1})


def job(**values: Any) -> Job:
    told = {"state": "done", "created": 90.0, "started": 100.0, "ended": 112.0, "attempt": 1, "commit": "3f9c"}
    return Job(12, PROD, "run", Reason("commit", "commit 3f9c 'Newer' by Ada"), **{**told, **values})


def values(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces"])
def test_a_jobs_trace_has_its_steps(collector: Collector, suffix: str) -> None:
    hit = StepView("base slim", "base", "slim", "", "hit")
    made = StepView("layer a", "layer", "a", "pip, 9 packages", "made", 101.0, 103.5, 2.5, 99, "requirements.txt")
    failed = StepView("image b", "image", "b", "", "failed", 104.0, 105.0, 1.0, error="no space left")
    traces = Traces(collector.url + suffix, lambda _job: run(hit, made, failed))
    traces.heard(job(state="failed", told={"text": "image b: no space left"}))
    traces.close()
    whole, first, second = collector.spans
    assert [span.name for span in collector.spans] == ["job run", "step layer", "step image"]
    assert {span.trace_id for span in collector.spans} == {whole.trace_id}
    assert not whole.parent_span_id and {first.parent_span_id, second.parent_span_id} == {whole.span_id}
    assert (whole.start_time_unix_nano, whole.end_time_unix_nano) == (100 * 10**9, 112 * 10**9)
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (101 * 10**9, 1035 * 10**8)
    assert values(whole) | {"pipeline.job": 12, "pipeline.waited": 10.0} == values(whole)
    assert values(whole)["pipeline.cause"] == "commit" and values(whole)["vcs.ref.head.revision"] == "3f9c"
    assert values(first)["pipeline.why"] == "requirements.txt" and values(first)["pipeline.size"] == 99
    assert (whole.status.code, whole.status.message) == (2, "image b: no space left")
    assert (first.status.code, second.status.code, second.status.message) == (0, 2, "no space left")
    resource = {one.key: one.value.string_value for one in collector.resources[0].resource.attributes}
    assert resource["service.name"] == "pipeline"


def test_only_jobs_that_ran_and_ended_have_one(collector: Collector) -> None:
    traces = Traces(collector.url, lambda _job: None)
    traces.heard(job(state="running", ended=0.0))
    traces.heard(job(state="replaced", started=0.0))
    traces.heard(job(state="done"))
    traces.close()
    assert [span.name for span in collector.spans] == ["job run"]


def test_a_collector_that_is_not_there_holds_nothing_up(collector: Collector) -> None:
    collector.close()
    traces = Traces(collector.url, lambda _job: None)
    for _ in range(5000):
        traces.heard(job())
