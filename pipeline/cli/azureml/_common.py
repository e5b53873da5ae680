"""What the commands of `pipeline azureml` share: the workspace, and how things are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.cli._options import output_option
from pipeline.cli._shell import Shell
from pipeline.errors import UsageError

if TYPE_CHECKING:
    from pipeline.azureml.workspace import Workspace

F = TypeVar("F", bound=Callable[..., Any])

_UNUSED: Mapping[str, Any] = {"hidden": True, "expose_value": False, "help": "Not used."}

DEFAULT = "default"
"""The workspace of a project that names none."""


def workspace_options(function: F) -> F:
    """-w and --path; and those that only Azure needed, so that old scripts go on to run."""
    options = (
        click.option("-w", "--workspace-name", "workspace", metavar="NAME", help="Default: the project's only one."),
        click.option(
            "--path",
            "folder",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="The project's folder; default: the current one.",
        ),
        click.option("-g", "--resource-group", metavar="NAME", **_UNUSED),
        click.option("--subscription-id", metavar="ID", **_UNUSED),
        output_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def workspace_of(shell: Shell, name: str | None, folder: Path | None, *, make: bool = False) -> Workspace:
    """The workspace that is meant: that of this name, or the only one of the project; made for what is to be kept.

    Raises UserErrorException where there is none, or several.
    """
    from pipeline.azureml import _folder
    from pipeline.azureml.exceptions import UserErrorException
    from pipeline.azureml.workspace import Workspace

    start = shell.cwd / (folder or "")
    if not start.is_dir():
        raise UsageError(f"--path {folder}: there is no such folder")
    named = _folder.find_named(start, name) if name else _folder.find(start)
    if named is None and make:
        named = _folder.Named(start.absolute(), name or DEFAULT)
    if named is None:
        what = f"no workspace {name}" if name else "no workspace"
        remedy = "'pipeline azureml model register' and 'deploy' make one"
        raise UserErrorException(f"there is {what} in {start.absolute()} or above", remedy=remedy)
    return Workspace.of(named, shell.environ)


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE, as often as given. UsageError for what is none."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text}: that is not KEY=VALUE", remedy=f"as in {option} area=diabetes")
        found[key] = value
    return found


def filters(texts: Sequence[str]) -> list[str | list[str]] | None:
    """KEY, or KEY=VALUE: what is to be looked for."""
    return [text.split("=", 1) if "=" in text else text for text in texts] or None


def show(shell: Shell, value: Mapping[str, Any]) -> None:
    """Facts: as JSON, or a line for each that there is."""
    if shell.json:
        shell.value(value)
        return
    width = max((len(name) for name in value), default=0)
    for name, fact in value.items():
        if fact not in (None, "", [], {}):
            shell.line(f"{name:<{width}}  {_text(fact)}")


def show_rows(shell: Shell, values: Sequence[Mapping[str, Any]], columns: Mapping[str, str], nothing: str) -> None:
    """A row for each; `columns` are heading → key, `nothing` is said where there is none."""
    if shell.json:
        shell.value(list(values))
        return
    if not values:
        shell.line(nothing)
        return
    from pipeline.reporters.lines import table

    for line in table([[_text(value.get(key)) for key in columns.values()] for value in values], list(columns)):
        shell.line(line)


def _text(fact: Any) -> str:
    if isinstance(fact, Mapping):
        return ", ".join(f"{key}={value}" for key, value in fact.items())
    if isinstance(fact, list):
        return ", ".join(_text(item) for item in fact)
    return "" if fact is None else str(fact)
