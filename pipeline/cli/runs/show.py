"""`pipeline runs show`: what one run did, step by step."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, verbose_option
from pipeline.cli._shell import Shell
from pipeline.cli.runs._common import ID_HELP, as_json, chosen, journal, took, when

if TYPE_CHECKING:
    from pipeline.store.journal import Run, RunStep

EXAMPLES = """
pipeline runs show
pipeline runs show 17 -v              with keys, inputs and outputs
pipeline runs show 17 --output json
"""


@command_(arguments=ID_HELP, examples=EXAMPLES)
@click.argument("id_", metavar="[ID]", required=False, type=click.IntRange(1))
@verbose_option
@output_option
@click.pass_obj
def command(shell: Shell, id_: int | None) -> None:
    """Show what a run did: its steps, tries, times and errors."""
    found = journal(shell)
    run = chosen(found, id_)
    steps = found.steps(run.id)
    log = found.log(run.id).path
    if shell.json:
        shell.value({**as_json(run), "log": str(log), "done": [step_json(step) for step in steps]})
        return
    for line in (*head(run, {step.error for step in steps}), *step_lines(steps, shell.verbose)):
        shell.line(line)
    if log.exists():
        shell.line(f"log      {log}")


def step_json(step: RunStep) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(step)


def head(run: Run, told: Collection[str] = ()) -> Iterator[str]:
    """The run as a whole; with its error, if that is not among those `told` elsewhere."""
    from pipeline.reporters.lines import number, size

    one, counts = run.asked, run.counts
    yield f"run {run.id}  {run.outcome}  {took(run.started, run.ended)}"
    yield f"manifest {one.manifest} ({one.name})"
    yield f"command  {one.command}" + (f", by {one.trigger}" if one.trigger else "")
    ended = f", ended {when(run.ended)}" if run.ended is not None else f", process {one.pid} on {one.host}"
    yield f"started  {when(run.started)}{ended}"
    if run.continues:
        yield f"continues run {run.continues}, which was killed"
    outcomes = {"made": counts.made, "failed": counts.failed, "skipped": counts.skipped}
    words = [number(counts.steps, "step"), *(f"{n} {word}" for word, n in outcomes.items() if n)]
    words += [number(counts.hits, "hit")] if counts.hits else []
    words += [f"{size(counts.size)} new"] if counts.size else []
    yield f"steps    {', '.join(words)}"
    if run.error and run.error not in told:
        yield from _indented("error    ", run.error)


def step_lines(steps: list[RunStep], verbose: bool) -> Iterator[str]:
    from pipeline.reporters.lines import size, titled, width

    names = [step.step.partition(" ")[2] for step in steps]
    wide = width(names)
    for step, name in zip(steps, names, strict=True):
        kind = step.step.partition(" ")[0]
        new = f"  {size(step.size)}" if step.size else ""
        text = titled(step.title) if step.outcome == "made" else ""
        yield f"{kind:<6} {name:<{wide}} {step.outcome:<11} {took(step.started, step.ended):>8}{new}  {text}".rstrip()
        for one in step.attempts:
            yield from _indented(f"    attempt {one.attempt}: ", f"{one.error}; tried again after {one.wait:.1f} s")
        if step.error:
            yield from _indented("    ", step.error)
        if verbose:
            yield from _details(step)


def _details(step: RunStep) -> Iterator[str]:
    if step.why:
        yield f"    why: {step.why}"
    if step.key:
        yield f"    key: {step.key}"
    for name, value in sorted(step.inputs.items()):
        yield f"    in:  {name} = {value}"
    if isinstance(step.output, dict):
        for name, value in step.output.items():
            yield f"    out: {name} = {json.dumps(value, ensure_ascii=False)}"


def _indented(first: str, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines()):
        yield (first if not number else " " * len(first)) + line.rstrip()
