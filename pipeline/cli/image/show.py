"""`pipeline image show`: how an image is configured and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.cli.image._common import IMAGE_HELP, machine, platform_option, size_text, store_of
from pipeline.facts import Platform

if TYPE_CHECKING:
    from pipeline.store.inspect import Shown

EXAMPLES = """
pipeline image show scoring
pipeline image show scoring:v1 --output json | jq .config.Env
"""


@command_(arguments=IMAGE_HELP, examples=EXAMPLES)
@click.argument("image")
@platform_option
@output_option
@click.pass_obj
def command(shell: Shell, image: str, platform: Platform | None) -> None:
    """Show an image's configuration and layers.

    Its command, environment, user, ports and labels, and its layers, lowest first.
    """
    from pipeline.store.inspect import show

    shown = show(store_of(shell), image, platform, machine())
    if shell.json:
        shell.value(shown.to_json())
        return
    for line in _lines(shown):
        shell.line(line)


def _lines(shown: Shown) -> Iterator[str]:
    from pipeline.digest import short
    from pipeline.reporters.lines import table

    facts = [
        ("image", shown.reference),
        ("digest", shown.digest),
        ("image ID", shown.image_id),
        ("platform", shown.platform + (f" (of {', '.join(shown.platforms)})" if len(shown.platforms) > 1 else "")),
        ("size", size_text(shown.size)),
        *_config(shown),
    ]
    yield from table(facts)
    yield ""
    rows = [
        [str(layer.number), short(layer.digest), size_text(layer.size), size_text(layer.unpacked), layer.created_by]
        for layer in shown.layers
    ]
    yield from table(rows, ["LAYER", "DIGEST", "SIZE", "UNPACKED", "MADE BY"], right={0, 2, 3})


def _config(shown: Shown) -> Iterator[tuple[str, str]]:
    """The parts of the config that are set, one line for each value."""
    import shlex

    config = shown.config
    if command := [*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())]:
        yield "command", shlex.join(command)
    for key, title in (("User", "user"), ("WorkingDir", "folder"), ("StopSignal", "stops by")):
        if config.get(key):
            yield title, str(config[key])
    if config.get("ExposedPorts"):
        yield "ports", ", ".join(config["ExposedPorts"])
    for pair in config.get("Env") or ():
        yield "env", pair
    for name, text in sorted((config.get("Labels") or {}).items()):
        yield "label", f"{name}={text}"
