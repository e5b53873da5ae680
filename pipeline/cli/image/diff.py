"""`pipeline image diff`: what tells two images apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, machine, platform_option, size_text, store_of
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.oci.image_diff import Change, FileChange, ImageDiff, LayerChange

EXAMPLES = """
pipeline image diff scoring:v1 scoring:v2
pipeline image diff scoring:v1 scoring --all
pipeline image diff 3f9c2a scoring --output json | jq '.packages'
"""
_MOST = 15
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


@command_(arguments=f"OLD, NEW: images\n{IMAGE_HELP}", examples=EXAMPLES)
@click.argument("old")
@click.argument("new")
@click.option("--all", "everything", is_flag=True, help="Every change, however many there are.")
@platform_option
@output_option
@click.pass_obj
def command(shell: Shell, old: str, new: str, everything: bool, platform: Platform | None) -> None:
    """Show what tells two images apart.

    Layers that only one has, packages (apt, pip, conda), settings, and files, the largest first.
    """
    from pipeline.store.compare import compare

    found = compare(store_of(shell), old, new, platform, machine())
    if shell.json:
        shell.value(found.to_json())
        return
    for line in _lines(found, None if everything else _MOST):
        shell.line(line)


def _lines(diff: ImageDiff, most: int | None) -> Iterator[str]:
    if diff.old_digest == diff.new_digest:
        yield f"{diff.old} and {diff.new} are the same image"
        return
    yield from _section("layers", list(map(_layer, diff.layers)), most, right={2, 3})
    yield from _section("packages", [[one.world, *_change(one)] for one in diff.packages], most)
    yield from _section("settings", list(map(_change, diff.settings)), most)
    largest = sorted(diff.files, key=lambda one: (-max(one.old_size, one.new_size), one.path))
    yield from _section("files", list(map(_file, largest)), most, right={1})
    yield _last(diff)


def _section(
    title: str, rows: Sequence[Sequence[str]], most: int | None, right: set[int] | None = None
) -> Iterator[str]:
    from pipeline.reporters.lines import table

    if not rows:
        return
    yield title
    for line in table(rows[:most], right=right or set()):
        yield f"  {line}"
    if most is not None and len(rows) > most:
        yield f"  and {len(rows) - most} more (--all)"


def _layer(layer: LayerChange) -> list[str]:
    counts = (("+", layer.files_added), ("-", layer.files_removed), ("~", layer.files_changed))
    files = " ".join(f"{sign}{count}" for sign, count in counts if count)
    sizes = [size_text(layer.old_size) if layer.old else "", size_text(layer.new_size) if layer.new else ""]
    name = layer.name if len(layer.name) <= 60 else f"{layer.name[:59]}…"
    return [_SIGNS[layer.how], name or "(no history)", *sizes, f"files {files}" if files else ""]


def _change(change: Change) -> list[str]:
    if change.how == "changed":
        return [change.name, f"{change.old} → {change.new}"]
    return [change.name, f"{change.how} {change.new or change.old}".rstrip()]


def _file(file: FileChange) -> list[str]:
    size = size_text(file.old_size if file.how == "removed" else file.new_size)
    only = [what for what in file.what if what != "content"]
    return [_SIGNS[file.how], size, f"/{file.path}", ", ".join(only)]


def _last(diff: ImageDiff) -> str:
    from pipeline.reporters.lines import number

    counts = {how: sum(one.how == how for one in diff.files) for how in ("added", "removed", "changed")}
    files = ", ".join(f"{count} {how}" for how, count in counts.items() if count) or "none differ"
    return (
        f"{number(len(diff.shared), 'layer')} shared ({size_text(diff.shared_size)}), "
        f"{size_text(diff.new_size)} new in {diff.new}; files: {files}"
    )
