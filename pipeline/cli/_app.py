"""The top of the command line; a subcommand's module is imported when it is called."""

from __future__ import annotations

import importlib
import keyword
from collections.abc import Callable
from typing import Any

import click

from pipeline import __version__
from pipeline.cli._options import home_option

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command whose help describes its arguments and ends with examples."""

    def __init__(self, *args: Any, arguments: str = "", examples: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.arguments = arguments
        self.examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.arguments:
            rows = [line.strip().partition(": ") for line in self.arguments.strip().splitlines()]
            with formatter.section("Arguments"):
                formatter.write_dl([(name, text) for name, _, text in rows])
        super().format_options(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        write_examples(self.examples, formatter)


class Commands(click.Group):
    """A group of commands, each in a module of its own name in `package`, in the order of `names`."""

    def __init__(self, *args: Any, package: str, names: tuple[str, ...], examples: str = "", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._package = package
        self._names = names
        self.examples = examples

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._names)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._names:
            return None
        # A command whose name is a word of Python's, or has a dash: import, acr-task.
        name = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        found: click.Command = importlib.import_module(f"{self._package}.{name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._names and not name.startswith("-"):
            from pipeline.manifest.words import suggestion

            hint = suggestion(name, self._names, label="there are")
            raise click.UsageError(f"'{name}' is no command of {ctx.command_path}: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        write_examples(self.examples, formatter)


def write_examples(examples: str, formatter: click.HelpFormatter) -> None:
    if not examples:
        return
    with formatter.section("Examples"):
        for line in examples.strip().splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line.strip()}\n" if line.strip() else "\n")


NAMES = (
    "run",
    "build",
    "plan",
    "why",
    "graph",
    "runs",
    "lock",
    "validate",
    "export",
    "schema",
    "bases",
    "import",
    "azureml",
    "image",
    "push",
    "pull",
    "copy",
    "tag",
    "login",
    "status",
    "logs",
    "score",
    "stop",
    "rollback",
    "render",
    "serve",
    "sync",
    "store",
    "gc",
    "doctor",
    "version",
)

_EXAMPLES = """
pipeline run manifests/prod.yaml           build, check and deploy all that changed
pipeline plan manifests/prod.yaml          what that would do, and why
pipeline why scoring manifests/prod.yaml   why an image was made, or would be
pipeline validate manifests/*.yaml         find every mistake first
pipeline logs manifests/prod.yaml here -f  follow a service's output
pipeline image ls                          the images in the store
"""


@click.group(cls=Commands, package="pipeline.cli", names=NAMES, examples=_EXAMPLES, context_settings=_SETTINGS)
@click.version_option(message="%(prog)s %(version)s", version=__version__)
@home_option
def app() -> None:
    """Builds, checks and deploys the images that serve machine-learning models, from one YAML manifest."""


def command(**settings: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with `arguments` and `examples` for the help, and `--home`, which every command has."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        made: click.Command = click.command(cls=Command, context_settings=_SETTINGS, **settings)(home_option(function))
        return made

    return decorate
