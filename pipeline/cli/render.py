"""`pipeline render`: what a target's platform is to be told, as a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import frozen_option, output_option, set_option
from pipeline.cli._services import target_words
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, known, opened
from pipeline.errors import UsageError

EXAMPLES = """
pipeline render manifests/prod.yaml aks > deploy/prod.yaml   for Argo CD or Flux
pipeline render manifests/prod.yaml aks | kubectl diff -f -
"""
ARGUMENTS = """
MANIFEST TARGET: a manifest and one of its targets; either may be left out when there is only one
"""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("words", metavar="[MANIFEST] [TARGET]", nargs=-1)
@set_option
@frozen_option
@output_option
@click.pass_obj
def command(shell: Shell, words: tuple[str, ...], sets: Mapping[str, str], frozen: bool) -> None:
    """Print what a run would apply to a target.

    For a cluster: its objects as YAML, the image by its digest, which must have been pushed ('pipeline run
    --no-deploy'). Secrets are named and not printed. Nothing is asked of the target.
    """
    manifest, name = target_words(shell, words)
    name, text = render(shell, Wanted(manifest, sets, frozen=frozen), name)
    if shell.json:
        shell.value({"target": name, "text": text})
    else:
        for line in text.splitlines():
            shell.line(line)


def render(shell: Shell, wanted: Wanted, name: str) -> tuple[str, str]:
    """The target's name and the text. UsageError for a kind that has no such text, and for an image not pushed."""
    from pipeline.kinds import find
    from pipeline.run import plan_of
    from pipeline.stages.locks import read_lock
    from pipeline.stages.release import surroundings
    from pipeline.stages.resolve import resolve
    from pipeline.stages.wanted import wanted_release

    bench = opened(shell, wanted)
    name = only(name, bench.manifest.targets, wanted.manifest)
    entry = bench.manifest.targets[name]
    make = getattr(find("targets", entry.kind), "render", None)
    if make is None:
        raise UsageError(f"a {entry.kind} target has nothing to render", remedy="'pipeline run' deploys it")
    plan = plan_of(
        bench, resolve(bench, read_lock(bench), frozen=wanted.frozen, only=None), ("base", "layer", "image", "push")
    )
    release = wanted_release(plan.step(f"target {name}"), plan, bench)
    return name, str(make(release, surroundings(bench, entry)))


def only(name: str, targets: Mapping[str, object], manifest: Path) -> str:
    """The target of this name, or the only one. UsageError for no such."""
    if not name and len(targets) != 1:
        remedy = f"name one: {', '.join(targets)}" if targets else "add one to its section 'targets'"
        raise UsageError(f"{manifest.name} has {len(targets) or 'no'} targets", remedy=remedy)
    name = name or next(iter(targets))
    known(name, targets, "target", manifest.name)
    return name
