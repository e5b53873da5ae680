"""`pipeline store verify`: reads everything again, and removes what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.errors import StoreError

if TYPE_CHECKING:
    from pipeline.store.verify import Damage, Verified

EXAMPLES = """
pipeline store verify
pipeline store verify --dry-run --output json | jq -r '.damage[].name'
"""
DAMAGED = StoreError.exit_code


@command_(examples=EXAMPLES)
@click.option("--dry-run", is_flag=True, help="Remove nothing, and say what is damaged.")
@output_option
@click.pass_obj
def command(shell: Shell, dry_run: bool) -> int:
    """Read all that the store holds again, and remove what is damaged.

    The next run makes it anew, or fetches it. Exit code 0 when all is whole, 3 when something was damaged.
    """
    from pipeline.stages.verify import verify
    from pipeline.store import Store

    store = Store(shell.home.store, mend=not dry_run)
    done = verify(shell.home, store, dry_run=dry_run, told=_progress(shell))
    seconds = shell.clock() - shell.started
    if shell.json:
        shell.value(_json(done, seconds, dry_run))
    else:
        for line in _lines(done, seconds, dry_run):
            shell.line(line)
    return DAMAGED if done.damage else 0


def _progress(shell: Shell) -> Callable[[int, int], None]:
    """A line that moves on a terminal, a few times each second."""
    if not shell.live or shell.json:
        return lambda _done, _of: None
    from pipeline.reporters.lines import size

    shown = [0.0]

    def told(done: int, of: int) -> None:
        now = shell.clock()
        if now - shown[0] > 0.2 or done == of:
            shown[0] = now
            rate = done / max(now - shell.started, 0.001)
            end = "\r\x1b[K" if done == of else ""
            shell.out.write(f"\r\x1b[K{size(done)} of {size(of)}, {size(int(rate))}/s{end}")
            shell.out.flush()

    return told


def _lines(done: Verified, seconds: float, dry_run: bool) -> Iterator[str]:
    from pipeline.digest import short
    from pipeline.reporters import lines

    for one in done.damage:
        yield f"{one.kind} {short(one.name)} {one.fact}{_for(one)}"
    if any(one.kind == "database" for one in done.damage) and not (dry_run or done.kept):
        yield "the damaged database is kept in damaged/ of the store, with the history of runs, until the next verify"
    for text in done.kept:
        yield f"not removed: {text}"
    if done.aside:
        number, size = lines.number(len(done.aside), "file"), lines.size(sum(size for _, size in done.aside))
        yield f"{number}, {size}, set aside as damaged by earlier runs{'' if dry_run else ': removed'}"
    rate = f", {lines.size(int(done.size / seconds))}/s" if done.size else ""
    read = f"{lines.number(done.blobs, 'blob')}, {lines.size(done.size)} in {lines.seconds(seconds)}{rate}"
    others = (
        f"; {lines.number(done.others, 'listing and unpacked layer', 'listings, unpacked layers and packed packages')}"
    )
    if not done.damage:
        yield f"{read}{others}: all whole"
        return
    rest = "nothing was removed" if dry_run else "removed what is damaged: the next run makes it anew"
    yield f"{read}{others}: {len(done.damage)} damaged or missing; {rest}"


def _for(one: Damage) -> str:
    if not one.needed_by:
        return ""
    more = f" and {len(one.needed_by) - 3} more" if len(one.needed_by) > 3 else ""
    return f" (of {', '.join(one.needed_by[:3])}{more})"


def _json(done: Verified, seconds: float, dry_run: bool) -> dict[str, Any]:
    return {
        "whole": not done.damage,
        "dry_run": dry_run,
        "blobs": done.blobs,
        "size": done.size,
        "seconds": round(seconds, 3),
        "others": done.others,
        "damage": [
            {"kind": one.kind, "name": one.name, "fact": one.fact, "needed_by": list(one.needed_by)}
            for one in done.damage
        ],
        "kept": list(done.kept),
        "aside": [{"path": str(path), "size": size} for path, size in done.aside],
    }
