"""Traces of jobs (OpenTelemetry): a span for each job and, below it, for each step of its run, sent by OTLP/HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pipeline import __version__
from pipeline.errors import UsageError
from pipeline.serve.model import OPEN, Job
from pipeline.serve.views_model import RunView, StepView

_PATH = "/v1/traces"
"""Where an OTLP/HTTP endpoint takes traces (OTLP specification 1.5, "OTLP/HTTP Request")."""
_PATIENCE, _AT_THE_END = 10.0, 2.0
"""Seconds for an answer of the collector, and for all of them when the server ends."""


class Traces:
    """`heard` is told of each job that changed; its trace is sent once it has ended, in a thread of its own. What
    cannot be sent is tried again for some seconds, then dropped: nothing waits for a collector.

    `run_of` is the run of a job, as far as there is one. Raises UsageError where the libraries are missing.
    """

    def __init__(self, endpoint: str, run_of: Callable[[Job], RunView | None]) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ModuleNotFoundError as error:
            remedy = "pip install 'pipeline-images[traces]'"
            raise UsageError(f"traces: {error.name} is not installed", remedy=remedy) from error
        url = endpoint.rstrip("/")
        self._exporter: Any = OTLPSpanExporter(endpoint=url if url.endswith(_PATH) else url + _PATH, timeout=_PATIENCE)
        # OTEL_RESOURCE_ATTRIBUTES and OTEL_EXPORTER_OTLP_HEADERS of the environment count as everywhere.
        resource = Resource.create({"service.name": "pipeline", "service.version": __version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("pipeline.serve", __version__)
        self._run_of = run_of

    def heard(self, job: Job) -> None:
        """To be told of a job that changed."""
        if job.state in OPEN or not job.started or not job.ended:
            return
        from opentelemetry.trace import set_span_in_context

        run = self._run_of(job)
        whole = self._span(f"job {job.action}", job.started, None, _of_job(job, run))
        for step in run.steps if run else ():
            if step.started:
                span = self._span(f"step {step.kind}", step.started, set_span_in_context(whole), _of_step(step))
                if step.state == "failed":
                    _fail(span, step.error)
                span.end(_nanoseconds(max(step.started, step.ended or job.ended)))
        if job.state == "failed":
            _fail(whole, str(job.told.get("text", "")))
        whole.end(_nanoseconds(job.ended))

    def close(self) -> None:
        """Sends what is left, if that is a matter of a moment: a server that ends waits for no collector."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True)
        sending.start()
        sending.join(_AT_THE_END)
        if sending.is_alive():
            # It stops trying again.
            self._exporter.shutdown()

    def _span(self, name: str, started: float, context: Any, attributes: dict[str, Any]) -> Any:
        return self._tracer.start_span(name, context=context, start_time=_nanoseconds(started), attributes=attributes)


def _of_job(job: Job, run: RunView | None) -> dict[str, Any]:
    found = {
        "pipeline.job": job.id,
        "pipeline.manifest": job.manifest.id,
        "pipeline.action": job.action,
        "pipeline.state": job.state,
        "pipeline.cause": job.reason.cause,
        "pipeline.reason": job.because,
        "pipeline.attempt": job.attempt,
        "pipeline.waited": max(0.0, job.started - job.created),
    }
    found |= {"vcs.ref.head.revision": job.commit} if job.commit else {}
    return found | ({f"pipeline.steps.{name}": count for name, count in run.counts.items()} if run else {})


def _of_step(step: StepView) -> dict[str, Any]:
    found = {
        "pipeline.step": step.id,
        "pipeline.name": step.name,
        "pipeline.outcome": step.state,
        "pipeline.size": step.size,
    }
    words = {"pipeline.title": step.title, "pipeline.why": step.why}
    return found | {name: text for name, text in words.items() if text}


def _fail(span: Any, text: str) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_status(Status(StatusCode.ERROR, text[:500] or None))


def _nanoseconds(at: float) -> int:
    return int(at * 1e9)


__all__ = ["Traces"]
