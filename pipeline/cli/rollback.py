"""`pipeline rollback`: puts an earlier release back, and keeps it there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option, set_option
from pipeline.cli._services import target_words
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, opened
from pipeline.cli.render import only
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.targets.model import Release
    from pipeline.targets.remote import Verified

EXAMPLES = """
pipeline rollback manifests/prod.yaml aks                     the release before the live one
pipeline rollback manifests/prod.yaml aks --list              what there is to go back to
pipeline rollback manifests/prod.yaml aks --to 3f9c1d0e2a44
pipeline rollback manifests/prod.yaml aks --lift              runs roll out again
"""
ARGUMENTS = """
MANIFEST TARGET: a manifest and one of its targets; either may be left out when there is only one
"""


@command_(arguments=ARGUMENTS, examples=EXAMPLES)
@click.argument("words", metavar="[MANIFEST] [TARGET]", nargs=-1)
@click.option("--to", "revision", metavar="REVISION", default="", help="This one, by the beginning of its name.")
@click.option("--list", "listing", is_flag=True, help="Only show what there is to go back to.")
@click.option("--lift", is_flag=True, help="Only lift the pin: the next run rolls out what the manifest says.")
@set_option
@output_option
@click.pass_obj
def command(
    shell: Shell, words: tuple[str, ...], revision: str, listing: bool, lift: bool, sets: Mapping[str, str]
) -> None:
    """Put an earlier release of a target back, and pin it.

    Only releases that passed their checks there can be put back. Runs leave a pinned target as it is, and say so,
    until the pin is lifted.
    """
    if sum(map(bool, (revision, listing, lift))) > 1:
        raise UsageError("--to, --list and --lift do not go together", remedy="give one of them")
    manifest, name = target_words(shell, words)
    rollback(shell, Wanted(manifest, sets), name, revision, listing, lift)


def rollback(shell: Shell, wanted: Wanted, name: str, revision: str, listing: bool, lift: bool) -> None:
    """Raises RolloutError when the earlier release does not become healthy either."""
    from pipeline.stages.release import put_back, service_name, target_of, verified

    bench = opened(shell, wanted)
    entry = bench.manifest.targets[only(name, bench.manifest.targets, wanted.manifest)]
    service, target = service_name(bench, entry), target_of(bench, entry)
    kept = verified(bench, target)
    if listing:
        _list(shell, kept, service)
    elif lift:
        pin = kept.pinned(service)
        kept.pin(service, "")
        _told(shell, service, f"the pin to {pin} is lifted" if pin else "it was not pinned", "")
    else:
        before = target.observe()
        chosen = _chosen(kept.history(service), before.revision, revision, service)
        outcome = put_back(bench, entry, target, chosen, kept)
        address = outcome.observation.address
        text = f"revision {chosen.revision} is live and pinned, at {address}"
        _told(shell, service, text, chosen.revision)
        if not shell.json:
            shell.line(f"runs leave it there until 'pipeline rollback {wanted.manifest} {entry.name} --lift'")


def _chosen(history: Sequence[Release], live: str, revision: str, service: str) -> Release:
    """The release of this revision, or else the one before the live one."""
    remedy = f"there are: {', '.join(one.revision for one in history)}" if history else "nothing passed its checks yet"
    if revision:
        found = [one for one in history if one.revision.startswith(revision)]
        if len(found) != 1:
            how = "more than one release" if found else "no release"
            raise UsageError(f"{service} has {how} '{revision}'", remedy=remedy)
        return found[0]
    found = [one for one in history if one.revision != live]
    if not found:
        raise UsageError(f"{service} has no earlier release to go back to", remedy=remedy)
    return found[0]


def _list(shell: Shell, kept: Verified, service: str) -> None:
    from pipeline.digest import short
    from pipeline.reporters.lines import table

    pin, history = kept.pinned(service), kept.history(service)
    live = kept.get(service)
    rows = []
    for one in history:
        marks = ["live" if live and one.revision == live.revision else "", "pinned" if one.revision == pin else ""]
        rows.append([one.revision, one.reference or short(one.image), ", ".join(filter(None, marks))])
    if shell.json:
        shell.value([dict(zip(("revision", "image", "marks"), row, strict=True)) for row in rows])
        return
    for line in table(rows, ["REVISION", "IMAGE", ""]) if rows else ["nothing passed its checks yet"]:
        shell.line(line)


def _told(shell: Shell, service: str, text: str, pinned: str) -> None:
    if shell.json:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        shell.value({"service": service, "pinned": pinned, "text": text, "at": at})
    else:
        shell.line(f"{service}: {text}")
