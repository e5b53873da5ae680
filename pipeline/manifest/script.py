"""Checks an entry script before anything is built: what azureml-inference-server-http would refuse at its start.

The rules are those of its `user_script.py` (1.5): init() and run() exist, init() is called without arguments, run()
with the request by name and, if it has a parameter `request_headers`, with the headers.
"""

from __future__ import annotations

import ast
import posixpath
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.manifest.paths import fixed_part, inside, is_glob
from pipeline.noun import noun

_Function = ast.FunctionDef | ast.AsyncFunctionDef
LARGEST = 1 << 20
APP_ROOT = "/var/azureml-app"


@noun
class Flaw:
    """What is wrong with a script, at a line and column that count from 1; 0 is the whole file."""

    line: int
    column: int
    message: str
    remedy: str = ""
    source: str = ""


def of_images(data: Mapping[str, Any], root: Path, folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Each image of a valid manifest whose entry script comes from the project: its name, the script's path as the
    manifest would write it, and its real path.
    """
    for name, image in data["images"].items():
        serve = image.get("serve")
        for layer in reversed(_layers(data, image)) if serve else ():
            items = data["layers"][layer].get("files", ())
            candidates = source_of(serve["entry_script"], serve.get("app_root", APP_ROOT), items)
            if found := next(_existing(candidates, root, folder), None):
                yield name, *found
                break


def _existing(candidates: Iterator[str], root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    for relative in candidates:
        try:
            path = inside(root, folder, relative)
        except PipelineError:
            continue
        if path.is_file():
            yield relative, path


def _layers(data: Mapping[str, Any], image: Mapping[str, Any]) -> list[str]:
    """An image's layers, those of the images that it builds on first."""
    found: list[str] = []
    below: Mapping[str, Any] | None = image
    while below is not None:
        found = [*below.get("layers", ()), *found]
        below = data["images"].get(below["base"])
    return found


def source_of(script: str, app_root: str, items: Sequence[Any]) -> Iterator[str]:
    """The project paths that a `files` layer's items may copy to `app_root`/`script`, the last item first."""
    wanted = posixpath.normpath(posixpath.join(app_root, script))
    for item in reversed(items):
        if not isinstance(item, Mapping):
            continue
        source, to = item.get("from"), item.get("to")
        if not isinstance(source, str) or not isinstance(to, str):
            continue
        folder = posixpath.normpath(to)
        if not is_glob(source):
            name = posixpath.basename(source) if to.endswith("/") else ""
            if posixpath.normpath(posixpath.join(folder, name)) == wanted:
                yield source
        if wanted.startswith(folder.rstrip("/") + "/"):
            yield posixpath.join(fixed_part(source), posixpath.relpath(wanted, folder))


def check(path: Path) -> list[Flaw]:
    """The flaws of a script, in the order of its lines. A file that is not a script of sane size is let through."""
    try:
        if path.stat().st_size > LARGEST:
            return []
        data = path.read_bytes()
    except OSError as error:
        return [Flaw(0, 0, f"cannot be read: {error.strerror}", "check its permissions")]
    lines = data.decode("utf-8", "replace").splitlines()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
    except SyntaxError as error:
        return [_flaw(lines, error.lineno or 0, error.offset or 1, f"syntax error: {error.msg}", "correct the script")]
    except (ValueError, RecursionError, MemoryError) as error:
        return [Flaw(0, 0, f"is not a Python script: {error}", "correct the script")]
    return [_flaw(lines, *found) for found in sorted(_flaws(tree))]


def _flaw(lines: Sequence[str], line: int, column: int, message: str, remedy: str) -> Flaw:
    source = lines[line - 1][:160] if 0 < line <= len(lines) else ""
    return Flaw(line, max(column, 1), message, remedy, "".join(c if c.isprintable() else " " for c in source))


_Found = tuple[int, int, str, str]


def _flaws(tree: ast.Module) -> Iterator[_Found]:
    names: dict[str, ast.stmt] = {}
    for statement in _top_level(tree.body):
        for name in _bound(statement):
            names[name] = statement
    unknown = "*" in names or "__getattr__" in names
    wanted = {"init": "def init(): ...", "run": "def run(data): ..."}
    for name, example in wanted.items():
        if name not in names and not unknown:
            remedy = f"the inference server calls it: add '{example}'"
            yield 1, 1, f"the entry script has no {name}()", remedy
    init, run = names.get("init"), names.get("run")
    if isinstance(init, _Function) and not init.decorator_list and _required(init.args):
        yield init.lineno, init.col_offset + 1, "init() is called without arguments", "give its parameters defaults"
    # A driver module's run() is not called (user_script.py, load_script); a decorator may change what is.
    if isinstance(run, _Function) and not run.decorator_list and "driver_module" not in names:
        yield from _run(run)


def _run(run: _Function) -> Iterator[_Found]:
    arguments, line, column = run.args, run.lineno, run.col_offset + 1
    if arguments.posonlyargs or arguments.vararg or arguments.kwarg:
        message = "run() cannot accept positional-only arguments, *args or **kwargs"
        yield line, column, message, "name its parameter, as in def run(data)"
        return
    names = [a.arg for a in [*arguments.args, *arguments.kwonlyargs] if a.arg != "request_headers"]
    if not names:
        yield line, column, "run() needs a parameter for the request", "as in def run(data)"
    more = [name for name in _required(arguments) if name not in (*names[:1], "request_headers")]
    if more:
        remedy = "take one parameter, give the others defaults, or use @input_schema"
        yield line, column, f"run() is called with the request only, and '{more[0]}' has no default", remedy


def _required(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    required = positional[: len(positional) - len(arguments.defaults)]
    keyword = [a for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None]
    return [argument.arg for argument in [*required, *keyword]]


def _top_level(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run in the module's own scope, those in if, try, with and loops too."""
    for statement in body:
        yield statement
        if isinstance(statement, _Function | ast.ClassDef):
            continue
        for field in ("body", "orelse", "finalbody"):
            yield from _top_level(getattr(statement, field, []))
        for handler in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _top_level(handler.body)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that one statement binds; `*` for a star import, which may bind any."""
    if isinstance(statement, _Function | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in statement.names)
    elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Expr | ast.For | ast.With):
        # An expression may bind a name by := or by a call such as globals().update(...).
        for node in ast.walk(statement) if not isinstance(statement, ast.For | ast.With) else _targets(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DYNAMIC:
                yield "*"


_DYNAMIC = ("globals", "exec", "setattr", "vars", "locals")


def _targets(statement: ast.For | ast.With) -> Iterator[ast.AST]:
    if isinstance(statement, ast.For):
        yield from ast.walk(statement.target)
    else:
        for item in statement.items:
            yield from ast.walk(item.optional_vars) if item.optional_vars else ()
