"""The rules of the house that no other tool checks: who imports which library, and how large a module may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))

LIBRARIES: dict[str, tuple[str, ...]] = {
    "azure": ("azure/",),
    "rattler": ("indexes/conda_worker.py",),
    "yaml": ("manifest/source.py",),
    "jsonschema": ("manifest/validate.py",),
    "networkx": ("plan/graph.py",),
    "docker": ("engine/sdk.py",),
    "requests": ("engine/sdk.py",),
    "urllib3": ("engine/sdk.py", "kubernetes/client.py"),
    "kubernetes": ("kubernetes/client.py", "kubernetes/login.py"),
    "tenacity": ("retry.py",),
    "click": ("cli/",),
    "rich": ("reporters/live.py",),
    "httpx": ("indexes/debian_http.py",),
    "pysequoia": ("indexes/debian_openpgp.py",),
    "debian": ("indexes/debian_version.py",),
    "zstandard": ("compression.py",),
    "isal": ("compression.py",),
    "uv": ("indexes/pypi_settings.py",),
    "cronsim": ("serve/cron.py",),
    "fastapi": ("serve/web/",),
    "starlette": ("serve/web/",),
    "pydantic": ("serve/web/",),
    "uvicorn": ("serve/web/listen.py",),
    "authlib": ("serve/web/oidc.py",),
    "jinja2": ("serve/web/",),
    "prometheus_client": ("serve/metrics.py",),
    "opentelemetry": ("serve/traces.py",),
    "packaging": ("layers/_requirements.py", "indexes/pypi.py", "indexes/pypi_wheels.py", "oci/requires_versions.py"),
}
"""Library → the one file (or folder) that imports it: what it takes to replace the library."""

SLOW = set(LIBRARIES) - {"yaml", "click"}
"""Imported inside functions only: a run that has nothing to do must not pay for them."""

OF_THE_WEB = ("serve/web/", {"fastapi", "starlette", "pydantic", "uvicorn", "jinja2"})
"""Modules that only a server imports, which needs these libraries at once."""

SLOW_TO_START = {*SLOW, "asyncio", "email", "http", "importlib.metadata", "multiprocessing", "ssl", "urllib.request"}

TOUCHES_THE_WORLD = {"socket", "sqlite3", "subprocess", "urllib.request", "http.client", "shutil", "tempfile"}
PURE = ("errors.py", "digest.py", "facts.py", "recipe.py", "events.py", "bases/", "layers/", "oci/", "lock/", "plan/")

LINES = 300


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"), module)


def imports(node: ast.AST, *, nested: bool) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each absolute import; with `nested`, those inside functions as well."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((child.lineno, alias.name) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module and not child.level:
            yield child.lineno, child.module
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            if nested:
                yield from imports(child, nested=nested)
        elif nested or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(child, nested=nested)


def allowed(module: str, places: tuple[str, ...]) -> bool:
    return any(module == place or (place.endswith("/") and module.startswith(place)) for place in places)


def test_one_file_imports_each_outside_library() -> None:
    inside = {*sys.stdlib_module_names, "pipeline"}
    found = [
        f"pipeline/{module}:{line} imports {name}: that is for {' and '.join(LIBRARIES.get(top, ('no file yet',)))}"
        for module in MODULES
        for line, name in imports(tree(module), nested=True)
        if (top := name.partition(".")[0]) not in inside and not allowed(module, LIBRARIES.get(top, ()))
    ]
    assert not found, "\n".join(found)


def test_slow_libraries_are_imported_late() -> None:
    found = [
        f"pipeline/{module}:{line} imports {name} at its top"
        for module in MODULES
        for line, name in imports(tree(module), nested=False)
        if (top := name.partition(".")[0]) in SLOW and not (module.startswith(OF_THE_WEB[0]) and top in OF_THE_WEB[1])
    ]
    assert not found, "\n".join(found)


def test_what_every_run_imports_is_quick_to_import() -> None:
    every_run = "pipeline.cli, pipeline.run, pipeline.store, pipeline.layers.pip, pipeline.layers.model"
    program = f"import sys, {every_run}; print(*sys.modules, sep='\\n')"
    command = [sys.executable, "-c", program]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    # What the interpreter had loaded before (for editable installs) is not ours.
    before = set(
        subprocess.run(
            [*command[:2], "import sys; print(*sys.modules, sep='\\n')"], check=True, capture_output=True, text=True
        ).stdout.split()
    )
    assert not (loaded - before) & SLOW_TO_START


def test_what_is_pure_does_not_touch_the_world() -> None:
    found = [
        f"pipeline/{module}:{line} imports {name}"
        for module in MODULES
        if allowed(module, PURE)
        for line, name in imports(tree(module), nested=True)
        if name in TOUCHES_THE_WORLD
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is_for_and_stays_small(module: str) -> None:
    text = (PACKAGE / module).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES, f"pipeline/{module} is long: divide it by what it is for"
    if text.strip():
        assert ast.get_docstring(tree(module)), f"pipeline/{module} does not say in its first line what it is for"
