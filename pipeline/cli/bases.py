"""`pipeline bases`: the base images that are known by name, and what an image really holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._registry import registries, registry_options
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import machine, platform_option, store_of
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.bases._catalogue import Known
    from pipeline.stages.holds import Held

_WHERE = "mcr.microsoft.com/azureml/"
EXAMPLES = """
pipeline bases                                   every image of the catalogue
pipeline bases --accelerator cuda
pipeline bases --inspect mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:latest
"""


@command_(examples=EXAMPLES)
@click.option("--accelerator", metavar="NAME", help="Those that need this one: none, cuda, vadm or myriad.")
@click.option("--inspect", "reference", metavar="REF", help="Read what an image of a registry, or of the store, holds.")
@platform_option
@registry_options
@output_option
@click.pass_obj
def command(
    shell: Shell,
    accelerator: str | None,
    reference: str | None,
    platform: Platform | None,
    ca: Path | None,
    insecure: bool,
) -> None:
    """List Azure ML's base images, or say what an image holds.

    The list says what each image is said to hold, the accelerator that it needs, and which of them Azure ML takes when
    none is named. --inspect reads the image's files, runs nothing, and says where the list is wrong.
    """
    if reference is not None:
        _inspect(shell, reference, platform, ca, insecure)
        return
    from pipeline.bases._catalogue import every
    from pipeline.errors import UsageError

    known = [one for one in every() if accelerator in (None, one.accelerator)]
    if not known:
        names = sorted({one.accelerator for one in every()})
        raise UsageError(f"no image needs {accelerator!r}", remedy=f"the accelerators are {', '.join(names)}")
    if shell.json:
        shell.value([one.to_json() for one in known])
        return
    from pipeline.reporters.lines import table

    for line in table(map(_row, known), [f"IMAGE, BELOW {_WHERE}", "NEEDS", "IS SAID TO HOLD"]):
        shell.line(line)


def _row(known: Known) -> list[str]:
    notes = [f"the default of {', '.join(known.default_of)}"] if known.default_of else []
    notes += [known.note] if known.note else []
    said = ", ".join(name if text is True else f"{name} {text}" for name, text in known.holds.items() if name != "os")
    system = str(known.holds.get("os", ""))
    return [known.reference.removeprefix(_WHERE), known.accelerator, "; ".join(filter(None, (system, said, *notes)))]


def _inspect(shell: Shell, reference: str, platform: Platform | None, ca: Path | None, insecure: bool) -> None:
    from pipeline.bases._catalogue import find
    from pipeline.reference import names_host
    from pipeline.stages.holds import differences, held
    from pipeline.store.lookup import Found, choose
    from pipeline.store.lookup import find as find_image

    store = store_of(shell)
    if names_host(reference):
        from pipeline.reference import parse
        from pipeline.registry import transfers

        where = parse(reference)
        repository = registries(shell, [where.registry], ca, insecure).repository(where)
        done = transfers.pull(store, repository, where.wanted, platform=platform or machine())
        image = Found(str(where), "", done.image)
    else:
        image = find_image(store, reference)
    seen = held(store, choose(store, image, platform, machine()))
    known = find(reference) if names_host(reference) else None
    wrong = differences(known.holds, seen) if known else []
    if shell.json:
        shell.value(
            {"image": reference, **seen.to_json(), "catalogue": known and known.to_json(), "differences": wrong}
        )
        return
    from pipeline.reporters.lines import table

    for line in table([*_lines(seen)]):
        shell.line(line)
    for line in wrong:
        shell.line(f"not as in the catalogue: {line}")
    if known and not wrong:
        shell.line("all that the catalogue says of it is so")


def _lines(seen: Held) -> Iterator[tuple[str, str]]:
    for name, found in seen.found.items():
        yield name, ", ".join(map(str, found)) or "none"
    yield "ports", ", ".join(seen.ports) or "none"
    yield "user", seen.user or "root"
