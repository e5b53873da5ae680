"""`pipeline lock --export`: to the terminal, into a file, or several into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.cli._files import write_text
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, known, opened
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.stages.exports import Form


def export(shell: Shell, wanted: Wanted, form: str, layers: Sequence[str], platform: str, target: str | None) -> int:
    """Prints or writes what the lock has. The exit code."""
    from pipeline.stages.exports import exports
    from pipeline.stages.locks import read_lock

    bench = opened(shell, wanted)
    for name in layers:
        known(name, bench.manifest.layers, "layer", wanted.manifest.name)
    place = Path(target) if target else shell.cwd
    is_folder = target is not None and (target.endswith("/") or place.is_dir())
    folder = place if is_folder or target is None else place.parent
    found = exports(bench, read_lock(bench), cast("Form", form), layers, platform, folder)
    if len(found) > 1 and not is_folder:
        names = ", ".join(one.name for one in found)
        raise UsageError(
            f"there are {len(found)} to export: {names}", remedy="choose by --layer and --platform, or give -o FOLDER/"
        )
    if is_folder:
        place.mkdir(parents=True, exist_ok=True)
        for one in found:
            write_text(shell, one.text, place / one.name)
    elif shell.json and target is None:
        shell.value({"format": form, "name": found[0].name, "text": found[0].text})
    else:
        write_text(shell, found[0].text, place if target else None)
    return 0
