"""`pipeline lock`: writes down what a manifest's moving names resolve to, or says whether it would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import MANIFEST_HELP, manifest_argument, output_option, set_option, verbose_option
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, known, opened
from pipeline.errors import UsageError
from pipeline.events import Event, StepSaid

if TYPE_CHECKING:
    from pipeline.stages.bench import Bench

EXAMPLES = """
pipeline lock manifests/prod.yaml                       lock what is new or was asked differently
pipeline lock manifests/prod.yaml --update              take the newest of everything
pipeline lock manifests/prod.yaml --update science      of one base or layer only
pipeline lock manifests/prod.yaml --check               in CI: fail when the lock is out of date
"""
EVERYTHING = "*"
STALE = 3
"""The exit code of --check when the lock would change."""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@click.option(
    "--update",
    metavar="[NAME]",
    multiple=True,
    is_flag=False,
    flag_value=EVERYTHING,
    help="Ask anew, for this base or layer or for all, though the lock has an answer. Repeatable.",
)
@click.option("--check", is_flag=True, help=f"Write nothing; exit with {STALE} when the lock would change.")
@set_option
@verbose_option
@output_option
@click.pass_obj
def command(shell: Shell, manifest: Path, update: tuple[str, ...], check: bool, sets: Mapping[str, str]) -> int:
    """Resolve packages and write the lock.

    The lock stands beside MANIFEST (prod.lock beside prod.yaml) and holds names, versions and hashes: commit it.
    """
    return lock(shell, Wanted(manifest, sets), update, check)


def lock(shell: Shell, wanted: Wanted, update: Sequence[str], check: bool) -> int:
    """Resolves; writes the lock unless `check`. The exit code."""
    from pipeline.lock.model import changes, path_of
    from pipeline.stages.locks import read_lock, write_lock
    from pipeline.stages.resolve import resolve

    def report(event: Event) -> None:
        if shell.verbose and isinstance(event, StepSaid):
            shell.error_line(event.text)

    bench = opened(shell, wanted, report)
    old = read_lock(bench)
    resolution = resolve(bench, old, update=_asked_anew(bench, update))
    moved = changes(old, resolution.lock) if check else write_lock(bench, old, resolution, None)
    changed = resolution.lock != old
    _tell(shell, path_of(wanted.manifest), changed, moved, check)
    return STALE if check and changed else 0


def _asked_anew(bench: Bench, update: Sequence[str]) -> Callable[[str], bool]:
    """Whether a lock entry's answer is not wanted any more."""
    manifest = bench.manifest
    for name in update:
        if name == EVERYTHING:
            return lambda _id: True
        if name.endswith((".yaml", ".yml")):
            raise UsageError(f"--update takes '{name}' for a base or layer", remedy=f"write: {name} --update")
        known(name, [*manifest.bases, *manifest.layers], "base or layer", manifest.path.name)
    return lambda id_: id_.split()[0].partition(".")[2] in update


def _tell(shell: Shell, path: Path, changed: bool, moved: Sequence[str], check: bool) -> None:
    if shell.json:
        shell.value({"lock": str(path), "changed": changed, "written": changed and not check, "changes": list(moved)})
        return
    for line in moved:
        shell.line(line)
    count = f"{len(moved)} change{'' if len(moved) == 1 else 's'}" if moved else "changes in what was asked"
    if not changed:
        shell.line(f"{path} is up to date")
    elif check:
        shell.line(f"{path} is out of date: {count}; run 'pipeline lock {path.with_suffix('.yaml')}' and commit it")
    else:
        shell.line(f"{path} written: {count}")
