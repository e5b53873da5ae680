"""Runs a manifest as `pipeline run` does, for scripts: with the journal, and lines that tell how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.events import Event, Reporter

if TYPE_CHECKING:
    from pipeline.reporters import Show

Perform = Callable[[Path, Mapping[str, str]], None]
"""Makes everything that the manifest at a path asks for, in this environment. Raises PipelineError."""


def perform_aloud(manifest: Path, environ: Mapping[str, str]) -> None:
    """With a line on standard output for each step."""
    from pipeline.reporters.plain import Plain

    with closing(Plain(said, said)) as plain:
        perform_manifest(manifest, environ, plain)


def said(text: str) -> None:
    """A line on standard output."""
    # Cells of a notebook show what was flushed.
    print(text, flush=True)


def perform_manifest(manifest: Path, environ: Mapping[str, str], show: Show) -> None:
    """Resolves, plans and performs; `show` is told of all that happens, with secrets masked."""
    from pipeline.reporters.masks import Masks
    from pipeline.run import open_bench, perform, prepare
    from pipeline.stages.recording import Recorder, asked, journal_of

    masks = Masks()
    heard: list[Reporter] = [show]

    def report(event: Event) -> None:
        event = masks.value(event)
        for hear in heard:
            hear(event)

    bench = open_bench(manifest, environ, {}, report)
    masks.add(bench.manifest.secrets)
    one = asked(manifest.absolute(), bench.manifest.name, "azureml deploy", environ)
    recorder = Recorder(journal_of(bench.store, bench.home), one, show, masks.text, 0.0, bench.sweep)
    heard.insert(0, recorder)
    try:
        with recorder:
            plan = recorder.plan = prepare(bench, report)
            show.fit(step.name for step in plan.steps)
            perform(bench, plan, report)
    finally:
        bench.halt.set()
