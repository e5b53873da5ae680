"""`pipeline validate`: finds every mistake in manifests before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from pipeline.cli._app import command as command_
from pipeline.cli._find import find_manifest
from pipeline.cli._options import output_option, set_option
from pipeline.cli._shell import Shell, error_json
from pipeline.errors import ManifestError, PipelineError

EXAMPLES = """
pipeline validate manifests/prod.yaml
pipeline validate manifests/*.yaml --output json
"""


@command_(arguments="MANIFEST: the manifests; when left out, as for run", examples=EXAMPLES)
@click.argument("manifests", metavar="[MANIFEST]...", nargs=-1, type=click.Path(path_type=Path))
@set_option
@output_option
@click.pass_obj
def command(shell: Shell, manifests: tuple[Path, ...], sets: Mapping[str, str]) -> int:
    """Show all that is wrong in manifests.

    Each error comes with file, line and column; what is allowed and probably not meant, such as an
    image without a tag, is warned of. No index is asked and nothing is built.
    """
    return validate(shell, manifests or (find_manifest(shell.cwd),), sets)


def validate(shell: Shell, manifests: Sequence[Path], sets: Mapping[str, str]) -> int:
    """Checks each; the exit code: the first error's."""
    from pipeline.manifest.doubts import doubts
    from pipeline.manifest.load import load

    results, code = [], 0
    for path in manifests:
        try:
            manifest = load(path, environ=shell.environ, sets=sets)
        except PipelineError as error:
            code = code or error.exit_code
            results.append({"manifest": str(path), "ok": False, "error": error_json(error)})
            _tell(shell, path, error)
            continue
        shell.masks.add(manifest.secrets)
        sections = ("bases", "layers", "images", "targets")
        counts = {section: len(getattr(manifest, section)) for section in sections}
        warnings = [str(one) for one in doubts(manifest)]
        results.append({"manifest": str(path), "ok": True, **counts, **({"warnings": warnings} if warnings else {})})
        if not shell.json:
            for one in warnings:
                shell.error_line(f"warning: {one}")
            shell.line(f"{path}: ok, " + ", ".join(_count(n, name) for name, n in counts.items() if n))
    if shell.json:
        shell.value(results)
    return code


def _tell(shell: Shell, path: Path, error: PipelineError) -> None:
    if shell.json:
        return
    if not isinstance(error, ManifestError):
        shell.error_line(f"error: {error}")
        return
    for diagnostic in error.diagnostics:
        shell.error_line(f"error: {diagnostic}")
    number = len(error.diagnostics)
    shell.error_line(f"{number} error{'s' if number > 1 else ''} in {path}")


def _count(number: int, section: str) -> str:
    return f"{number} {section if number > 1 else section.removesuffix('s')}"
