"""Options and arguments that several commands have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.cli._find import find_manifest
from pipeline.cli._shell import Shell

F = TypeVar("F", bound=Callable[..., Any])


def _home(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    shell = ctx.find_object(Shell)
    if value and shell:
        shell.environ = {**shell.environ, "PIPELINE_HOME": value}
        shell.home_option = value


def _output(ctx: click.Context, _parameter: click.Parameter, value: str) -> None:
    if shell := ctx.find_object(Shell):
        shell.json = value == "json"


def _verbose(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if shell := ctx.find_object(Shell):
        shell.verbose = value


def _sets(_ctx: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> Mapping[str, str]:
    sets: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"'{value[:60]}' is not name=value")
        sets[name.strip()] = text
    return sets


def _manifest(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Path:
    shell = ctx.find_object(Shell)
    return value or find_manifest(shell.cwd if shell else Path())


def _frozen(ctx: click.Context, _parameter: click.Parameter, value: bool | None) -> bool:
    """In CI nothing is to be built that no commit has seen."""
    shell = ctx.find_object(Shell)
    return value if value is not None else shell is not None and shell.in_ci


MANIFEST_HELP = "MANIFEST: the manifest; when left out, ./pipeline.yaml or the only file in ./manifests"

home_option = click.option(
    "--home",
    metavar="DIR",
    is_eager=True,
    expose_value=False,
    callback=_home,
    help="Keep images, caches and services in DIR (also: PIPELINE_HOME).",
)
output_option = click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    is_eager=True,
    expose_value=False,
    callback=_output,
    help="What to print: text for people, JSON for programs.",
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, expose_value=False, callback=_verbose, help="Show each step's own words."
)
set_option = click.option(
    "--set",
    "sets",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_sets,
    help="Give ${NAME} a value, or replace a value of the manifest (images.scoring.port=5002). Repeatable.",
)
image_option = click.option(
    "--image", "images", metavar="NAME", multiple=True, help="Only this image, and what it needs. Repeatable."
)
frozen_option = click.option(
    "--frozen/--no-frozen",
    default=None,
    callback=_frozen,
    help="Ask no index, and fail when the lock is out of date; default where CI is set.",
)
fail_fast_option = click.option(
    "--fail-fast", is_flag=True, help="After a failure begin no other step, not even one that does not need it."
)
manifest_argument = click.argument("manifest", required=False, type=click.Path(path_type=Path), callback=_manifest)
