"""`pipeline graph`: draws the steps of a run and what each needs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_text
from pipeline.cli._options import (
    MANIFEST_HELP,
    frozen_option,
    image_option,
    manifest_argument,
    output_option,
    set_option,
)
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, planned

if TYPE_CHECKING:
    from pipeline.plan.model import Plan

EXAMPLES = """
pipeline graph manifests/prod.yaml
pipeline graph manifests/prod.yaml --format mermaid      for Markdown
pipeline graph manifests/prod.yaml --format svg -o prod.svg
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "svg"]), default="text", help="How to draw it.")
@click.option("-o", "target", metavar="FILE", type=click.Path(path_type=Path), help="Write to FILE.")
@set_option
@image_option
@frozen_option
@output_option
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path,
    form: str,
    target: Path | None,
    sets: Mapping[str, str],
    images: tuple[str, ...],
    frozen: bool,
) -> None:
    """Draw the steps and what each needs.

    Hits and misses are those of the moment.
    """
    from pipeline.plan import graph

    draw = {"text": graph.text, "mermaid": graph.mermaid, "svg": graph.svg}[form]
    plan = planned(shell, Wanted(manifest, sets, images, frozen))
    if shell.json and target is None:
        shell.value(as_json(plan))
    else:
        write_text(shell, draw(plan), target)


def as_json(plan: Plan) -> dict[str, Any]:
    """Nodes, and edges from what is needed to what needs it; where a crowd waits for a crowd, through a point."""
    from pipeline.plan.graph import needed

    nodes = [{"step": step.id, "kind": step.kind, "hit": plan.verdicts[step.id].hit} for step in plan.steps]
    needs, points = needed(plan.steps)
    nodes += [
        {"step": point, "kind": "point", "hit": all(plan.verdicts[n].hit for n in needs[point])} for point in points
    ]
    edges = [{"from": need, "to": id_} for id_ in needs for need in needs[id_]]
    return {"manifest": plan.name, "nodes": nodes, "edges": edges}
