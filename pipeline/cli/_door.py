"""From arguments to an exit code: parses, runs the command, and turns whatever goes wrong into words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TextIO

import click

from pipeline.cli._app import app
from pipeline.cli._shell import OutputError, ReaderGone, Shell, error_json
from pipeline.errors import ManifestError, PipelineError, UsageError

BUG, INTERRUPTED, READER_GONE, TERMINATED = 70, 130, 141, 143
"""sysexits.h EX_SOFTWARE; 128 + SIGINT; 128 + SIGPIPE; 128 + SIGTERM, as a shell reports it."""


def run(args: Sequence[str], *, environ: Mapping[str, str], out: TextIO, err: TextIO, program: str = "pipeline") -> int:
    """Runs one command line; the exit code. Nothing is raised, whatever happens."""
    shell = Shell(environ, out, err, program=program)
    # Known before the parser has seen it, so that its own errors come as JSON too.
    shell.json = "--output=json" in args or any(pair == ("--output", "json") for pair in pairwise(args))
    return guarded(
        shell,
        lambda: app.main(list(args), prog_name="pipeline", standalone_mode=False, obj=shell, windows_expand_args=False),
    )


def guarded(shell: Shell, call: Callable[[], object]) -> int:
    """`call()`'s exit code; errors are told on standard error, and in JSON mode on standard output, too."""
    try:
        return _guarded(shell, call)
    except ReaderGone:
        _silence(shell.out)
        return READER_GONE
    except OutputError as error:
        _silence(shell.out)
        shell.error_line(f"error: standard output cannot be written: {error}")
        return PipelineError.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


def _guarded(shell: Shell, call: Callable[[], object]) -> int:
    try:
        result = call()
        return result if isinstance(result, int) else 0
    except PipelineError as error:
        return _told(shell, error)
    except click.ClickException as error:
        return _told(shell, _usage(error))
    except (click.Abort, KeyboardInterrupt):
        if not shell.told_interruption:
            shell.error_line("interrupted")
        return INTERRUPTED
    except SystemExit as leaving:
        if leaving.code == TERMINATED and not shell.told_interruption:
            shell.error_line("interrupted")
        return leaving.code if isinstance(leaving.code, int) else 1
    except Exception as error:
        return _bug(shell, error)


def _usage(error: click.ClickException) -> UsageError:
    """click's words for a wrong command line as an error of ours."""
    context = getattr(error, "ctx", None)
    remedy = f"see '{context.command_path} --help'" if context else ""
    message = error.format_message().strip().rstrip(".")
    return UsageError(message[:1].lower() + message[1:], remedy=remedy)


def _told(shell: Shell, error: PipelineError) -> int:
    if shell.json:
        shell.error_line(_block(error))
        shell.line(json.dumps(shell.masks.value(error_json(error)), ensure_ascii=shell.ascii_only))
    elif str(error) not in shell.shown:
        shell.error_line(_block(error))
    return error.exit_code


def _block(error: PipelineError) -> str:
    """An error for people: place, fact, remedy; all of a manifest's, and how many there are."""
    if not isinstance(error, ManifestError):
        text = f"error: {error.place}: {error.message}" if error.place else f"error: {error.message}"
        log = [f"    {line}" for line in error.log]
        return "\n".join([text, *([f"  {error.remedy}"] if error.remedy else []), *log])
    counts: dict[str, int] = {}
    for diagnostic in error.diagnostics:
        counts[diagnostic.location.file] = counts.get(diagnostic.location.file, 0) + 1
    total = [f"{count} error{'s' if count > 1 else ''} in {file}" for file, count in counts.items() if file]
    return "\n".join([*(f"error: {diagnostic}" for diagnostic in error.diagnostics), *total])


def _bug(shell: Shell, error: Exception) -> int:
    """Keeps the traceback in a file: it is for us, not for the user's screen."""
    import traceback

    text = shell.masks.text("".join(traceback.format_exception(error)))
    message = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        file = _keep(shell.home.state / "logs", text)
        shell.error_line(f"bug: {message}; please report; details are in {file}")
    except (OSError, PipelineError):
        shell.error_line(f"{text}bug: {message}; please report with the lines above")
    if shell.json:
        value = {"event": "error", "error": "bug", "message": message, "exit_code": BUG}
        shell.line(json.dumps(shell.masks.value(value), ensure_ascii=shell.ascii_only))
    return BUG


def _keep(folder: Path, text: str) -> Path:
    import os
    import time

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    file.write_text(text, encoding="utf-8", errors="backslashreplace")
    return file


def _silence(stream: TextIO) -> None:
    """Sends what is still in the stream's buffer nowhere, for Python flushes it once more at the end."""
    import os

    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
