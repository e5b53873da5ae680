"""`pipeline lock`: writes down what a manifest's moving names resolve to, says what would change, or exports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._find import find_manifest
from pipeline.cli._lock_told import compared, tell
from pipeline.cli._options import output_option, set_option, verbose_option
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, opened
from pipeline.errors import UsageError
from pipeline.events import Event, Followed, StepSaid, Warned
from pipeline.lock.upgrade import EVERYTHING
from pipeline.noun import noun

ARGUMENTS = """MANIFEST: the manifest; when left out, ./pipeline.yaml or the only file in ./manifests
NAME: after --upgrade a base, a layer, a package (numpy), one layer's package (science:numpy), or all bases (bases.*)"""
EXAMPLES = """
pipeline lock manifests/prod.yaml                          lock what is new or was asked differently
pipeline lock manifests/prod.yaml --upgrade                take the newest of everything
pipeline lock manifests/prod.yaml --upgrade science numpy  of one layer, and of one package wherever it is
pipeline lock manifests/prod.yaml --diff --upgrade         what that would change, writing nothing
pipeline lock manifests/prod.yaml --diff HEAD~1            what changed since that Git revision
pipeline lock manifests/prod.yaml --check                  in CI: fail when the lock is out of date
pipeline lock --export pylock --layer science -o pylock.toml
"""
STALE = 3
"""The exit code of --check when the lock would change."""


@noun
class Asked:
    """What the user asked for; `since` is None for no difference, and "" for what the lock would be now."""

    wanted: Wanted
    upgrade: tuple[str, ...] = ()
    check: bool = False
    since: str | None = None
    until: str = ""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("words", metavar="[MANIFEST] [NAME]...", nargs=-1)
@click.option(
    "--upgrade",
    metavar="[NAME]",
    multiple=True,
    is_flag=False,
    flag_value=EVERYTHING,
    help="Ask anew, for these bases, layers and packages alone, or for all, though the lock has an answer.",
)
@click.option(
    "--update",
    "upgrade_too",
    multiple=True,
    is_flag=False,
    flag_value=EVERYTHING,
    hidden=True,
    help="--upgrade's older name.",
)
@click.option("--check", is_flag=True, help=f"Write nothing; exit with {STALE} when the lock would change.")
@click.option(
    "--diff",
    "since",
    metavar="[OLD]",
    is_flag=False,
    flag_value="",
    default=None,
    help="Write nothing; show what would change, old → new, or what did since OLD (a lock file, a Git revision).",
)
@click.option("--export", type=click.Choice(["pylock", "requirements", "conda"]), help="Print it in another format.")
@click.option("--layer", "layers", metavar="NAME", multiple=True, help="Export only this layer. Repeatable.")
@click.option("--platform", metavar="OS/ARCH", default="", help="Export only for this platform.")
@click.option("-o", "target", metavar="FILE", help="Export to FILE; where there are several, FILE is a folder.")
@set_option
@verbose_option
@output_option
@click.pass_obj
def command(
    shell: Shell,
    words: tuple[str, ...],
    upgrade: tuple[str, ...],
    upgrade_too: tuple[str, ...],
    check: bool,
    since: str | None,
    export: str | None,
    layers: tuple[str, ...],
    platform: str,
    target: str | None,
    sets: Mapping[str, str],
) -> int:
    """Resolve packages and write the lock.

    The lock stands beside MANIFEST (prod.lock beside prod.yaml) and holds names, versions and hashes: commit it.
    What still answers stays as it is; of what was asked differently, as much as fits.
    """
    asked = _asked(shell, words, upgrade + upgrade_too, sets, check, since)
    if export:
        from pipeline.cli._lock_export import export as export_

        return export_(shell, asked.wanted, export, layers, platform, target)
    if layers or platform or target:
        raise UsageError("--layer, --platform and -o belong to --export", remedy="say which format: --export pylock")
    if asked.since:
        from pipeline.lock.model import path_of

        return compared(shell, path_of(asked.wanted.manifest), asked.since, asked.until)
    return lock(shell, asked)


def _asked(
    shell: Shell,
    words: Sequence[str],
    upgrade: Sequence[str],
    sets: Mapping[str, str],
    check: bool,
    since: str | None,
) -> Asked:
    """Tells the manifest from names: an option that needs no value takes the next word, whatever it is meant for."""
    manifests = [word for word in (*words, *upgrade, *([since] if since else ())) if _is_manifest(word)]
    if len(manifests) > 1:
        raise UsageError(f"there are two manifests: {manifests[0]} and {manifests[1]}", remedy="lock one at a time")
    names = [EVERYTHING if _is_manifest(name) else name for name in upgrade]
    rest = [word for word in words if not _is_manifest(word)]
    since = "" if since and _is_manifest(since) else since
    until = rest.pop(0) if since and rest and rest[0].endswith(".lock") else ""
    if rest and not names:
        raise UsageError(f"'{rest[0]}' is no manifest", remedy=f"a name goes with an option: --upgrade {rest[0]}")
    # `--upgrade prod.yaml numpy`: the manifest stood where the first name goes.
    names = [name for name in names if name != EVERYTHING] + rest or names
    manifest = Path(manifests[0]) if manifests else find_manifest(shell.cwd)
    return Asked(Wanted(manifest, sets), tuple(names), check, since, until)


def _is_manifest(word: str) -> bool:
    return word.endswith((".yaml", ".yml"))


def lock(shell: Shell, asked: Asked) -> int:
    """Resolves; writes the lock unless a difference or a check is wanted. The exit code."""
    from pipeline.lock.model import path_of
    from pipeline.stages.locks import anew, merged, read_lock, write_lock
    from pipeline.stages.resolve import resolve

    def report(event: Event) -> None:
        if isinstance(event, Followed):
            shell.error_line(event.text)
        if isinstance(event, Warned):
            shell.error_line(f"warning: {event.text}")
        if shell.verbose and isinstance(event, StepSaid):
            shell.error_line(event.text)

    bench = opened(shell, asked.wanted, report)
    old = read_lock(bench)
    resolution = resolve(bench, old, upgrade=anew(bench, old, asked.upgrade))
    new = merged(bench, old, resolution)
    writes = not asked.check and asked.since is None
    if writes:
        write_lock(bench, old, resolution, None)
    tell(shell, path_of(asked.wanted.manifest), old, new, writes)
    return STALE if asked.check and new != old else 0
