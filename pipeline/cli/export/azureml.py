"""`pipeline export azureml`: Azure ML's files for a manifest's image and target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli._app import command as command_
from pipeline.cli._files import write_files
from pipeline.cli._options import MANIFEST_HELP, manifest_argument, output_option, set_option
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, opened
from pipeline.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from pipeline.azureml.exporting import Exported, Subject
    from pipeline.stages.bench import Bench

EXAMPLES = """
pipeline export azureml manifests/prod.yaml --v2          environment.yml, endpoint.yml and deployment.yml
pipeline export azureml manifests/prod.yaml --v1          inferenceconfig.json and deploymentconfig.json
pipeline export azureml manifests/prod.yaml --v2 --parts  the base and a conda file, for Azure ML to build
"""


@command_(arguments=MANIFEST_HELP, examples=EXAMPLES)
@manifest_argument
@click.option("--v1", "first", is_flag=True, help="For the first SDK and CLI.")
@click.option("--v2", "current", is_flag=True, help="For the current API (azure-ai-ml, az ml).")
@click.option("--image", metavar="NAME", default="", help="This image.")
@click.option("--target", metavar="NAME", default="", help="The image of this target, and where it runs.")
@click.option(
    "--parts/--whole", "parts", default=None, help="Parts that Azure ML builds, or the image as it was built."
)
@click.option("-o", "folder", metavar="FOLDER", default="azureml", show_default=True, help="Where the files go.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@set_option
@output_option
@click.pass_obj
def command(
    shell: Shell,
    manifest: Path,
    first: bool,
    current: bool,
    image: str,
    target: str,
    parts: bool | None,
    folder: str,
    force: bool,
    sets: Mapping[str, str],
) -> None:
    """Write an image and its target as Azure ML's files.

    The environment names the image that 'pipeline run' pushed, by its digest; with --v1 it is of the image's base and
    conda packages where Azure ML can build that. Passwords are left out.
    """
    from pipeline.azureml.exporting import chosen

    if first == current:
        remedy = "give --v1, for the first SDK and CLI, or --v2, for the current one"
        raise UsageError("for which API? it is one at a time" if first else "for which API?", remedy=remedy)
    bench = opened(shell, Wanted(manifest, sets))
    found, entry = chosen(bench.manifest, image, target)
    subject = _subject(bench, found.name, entry.name if entry else "")
    _write(shell, _made(shell, bench, subject, 1 if first else 2, parts, Path(folder)), Path(folder), force=force)


def _made(shell: Shell, bench: Bench, subject: Subject, version: int, parts: bool | None, folder: Path) -> Exported:
    if version == 1:
        from pipeline.azureml.exporting_v1 import exported_v1

        return exported_v1(subject, bench.files.text, shell.cwd.absolute(), whole=None if parts is None else not parts)
    from pipeline.azureml.exporting_v2 import exported_v2

    return exported_v2(subject, bench.files.text, folder.absolute(), whole=not parts)


def _subject(bench: Bench, image: str, target: str) -> Subject:
    """With the image's reference: by digest where the last run pushed it, else by its tag."""
    from pipeline.azureml.exporting import Subject

    entry = bench.manifest.targets.get(target)
    return Subject(bench.manifest, bench.manifest.images[image], _reference(bench, image), entry)


def _reference(bench: Bench, image: str) -> str:
    from pipeline.reference import below
    from pipeline.run import prepare

    wanted = bench.manifest.images[image]
    if wanted.push is None:
        return f"{image}:{wanted.tags[0]}"
    where = below(bench.manifest.registries[wanted.push.to].address, wanted.push.repository)
    try:
        plan = prepare(bench, frozen=True, only=[image], write=False, kinds=())
    except PipelineError:
        # It was never built: its tag will name it.
        return str(where.at(tag=wanted.push.tags[0]))
    push = next((step for step in plan.steps if step.kind == "push" and step.name == image), None)
    record = bench.store.database.record(push.key) if push else None
    return str(record["reference"]) if record else str(where.at(tag=wanted.push.tags[0]))


def _write(shell: Shell, made: Exported, folder: Path, *, force: bool) -> None:
    files = {folder / name: text for name, text in made.files.items()}
    write_files(shell, files, made.notes, force=force, remedy="give another folder with -o")
