"""Loads a manifest: from a file's text to checked, frozen values, or to all that is wrong with it."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import __version__, kinds
from pipeline.digest import cache_key, canonical, digest_of
from pipeline.errors import Diagnostic, Location, ManifestError, PipelineError
from pipeline.kinds import Section
from pipeline.manifest import build, interpolate, paths, reader, schedule, script, source, stack
from pipeline.manifest import schema as schemas
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Manifest, Path_, Secret
from pipeline.manifest.nodes import Document, in_one_line
from pipeline.manifest.secrets import mask, out_of_place, reveal, without_secrets
from pipeline.manifest.shapes import Schema
from pipeline.manifest.source import MOST
from pipeline.manifest.walk import fitting, transform, types_of

_FEW = 20
RULES = "2"
"""Enters the key of a validated manifest: raised whenever the checks of this package find more or less."""


def load(
    path: Path,
    *,
    environ: Mapping[str, str],
    sets: Mapping[str, str] | None = None,
    schema_known: Callable[[str], bool] | None = None,
    remember: Callable[[str], None] | None = None,
) -> Manifest:
    """The manifest at `path`, with the values of `environ` and `sets` (name → value, of `--set`) put in.

    `schema_known(key)` may say that data with this key was found right before, and spare the slow checks;
    `remember(key)` is told when it was. What depends on files is checked each time. Raises ManifestError with every
    error.
    """
    text = reader.read_text(path)
    document = source.parse(text, str(path))
    folder = Path(os.path.realpath(path.parent))
    loading = _Loading(document, folder, paths.project_root(folder / path.name), environ, dict(sets or {}))
    loading.substitute(text)
    loading.apply_schema()
    key = cache_key([RULES, __version__, loading.schema, without_secrets(loading.data)])
    if loading.wrong() or not (schema_known and schema_known(key)):
        loading.validate()
        loading.stop_if_wrong()
        if remember:
            remember(key)
    loading.check_scripts()
    loading.stop_if_wrong()
    return loading.manifest(folder / path.name)


@dataclass(slots=True)
class _Mark:
    """A value that the schema says to look at: a path of the project."""

    path: Path_
    value: str
    must_exist: bool


class _Loading:
    """One manifest on its way from text to model; what is wrong gathers in `problems` and `findings`."""

    def __init__(
        self, document: Document, folder: Path, root: Path, environ: Mapping[str, str], sets: Mapping[str, str]
    ) -> None:
        self.document = document
        self.folder = folder
        self.root = root
        self.environ = environ
        self.sets = sets
        self.problems: list[Diagnostic] = list(document.problems)
        self.findings: list[Finding] = []
        self.secrets: list[Secret] = []
        self.schema: Schema = {}
        self.data: Any = {}
        self._resolved = interpolate.Resolved()
        self._paths: list[_Mark] = []
        self._described: dict[Path_, Sequence[Mapping[str, Any]]] = {}
        self._misplaced: dict[Path_, Finding] = {}

    def substitute(self, text: str) -> None:
        """Applies `--set`, then replaces every `${...}`."""
        if self.sets:
            from pipeline.manifest import overrides

            written = interpolate.variables(text)
            self.problems += overrides.unused(self.sets, written, self.document.root)
            self.problems += overrides.apply(self.document, self.sets, written)
        sources = interpolate.Sources(self.environ, self.sets, self.root, self.folder)
        self._resolved = interpolate.resolve(self.document, sources)
        self.data = self._resolved.data
        self.secrets += self._resolved.secrets
        self.problems += self._resolved.problems

    def apply_schema(self) -> None:
        """Gives loose text its type, marks secrets, and collects paths, as the schema of the kinds in use says."""
        self.schema = schemas.compose({section: self._used(section) for section in schemas.SECTIONS})
        self.data = transform(self.data, self.schema, self._visit)
        if self.secrets:
            self._find_misplaced(self.data, ())
        for mark in self._paths:
            if len(self.findings) > MOST:
                break
            try:
                paths.check(self.root, self.folder, mark.value, must_exist=mark.must_exist)
            except PipelineError as error:
                self.findings.append(Finding(mark.path, error.message, error.remedy))
            except OSError as error:
                self.findings.append(Finding(mark.path, f"this path cannot be read: {error.strerror}"))

    def _used(self, section: Section) -> dict[str, Schema]:
        values = self.data.get(section)
        entries = values.values() if isinstance(values, dict) else ()
        names = sorted({kind for entry in entries if isinstance(entry, dict) for kind in entry if kind != "requires"})
        if len(names) > _FEW:  # Looking for a kind that is not there is slow.
            names = sorted({*names} & {*kinds.names(section)})
        found = {name: schemas.of_kind(section, name) for name in names}
        return {name: settings for name, settings in found.items() if settings is not None}

    def _visit(self, value: Any, path: Path_, flat: Sequence[Mapping[str, Any]]) -> Any:
        if path in self._resolved.loose:
            value = self._typed(value, path, flat)
        if not isinstance(value, str):
            return value
        fits = fitting(flat, value)
        if any(schema.get("writeOnly") for schema in fits) and not isinstance(value, Secret):
            value = Secret(value)
            self.secrets.append(value)
            if path not in self._resolved.loose:
                self.document.hide(path)
        if isinstance(value, Secret):
            self._described[path] = fits
        elif path not in self._resolved.failed:
            marks = [schema for schema in fits if schema.get("format") == "project-path"]
            if marks:
                must_exist = not any(schema.get("x-may-be-missing") for schema in marks)
                self._paths.append(_Mark(path, value, must_exist))
        return value

    def _find_misplaced(self, value: Any, path: Path_) -> None:
        """Finds the secrets that may not stand where they do, also where the schema describes nothing."""
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                self._find_misplaced(item, (*path, key))
        elif misplaced := out_of_place(path, value, self._described.get(path, ())):
            self._misplaced[path] = misplaced

    def _typed(self, value: str, path: Path_, flat: Sequence[Mapping[str, Any]]) -> Any:
        """Text from outside as what the schema wants there; it stays text where text will do."""
        types = {name for schema in flat for name in types_of(schema)}
        from_option = bool(self.document.node(path)[0].origin)
        if "string" in types or not (types or from_option):
            return value
        try:
            parsed = source.parse_value(reveal(value), "").root
        except ManifestError:
            return value
        wanted = isinstance(parsed.value, dict | list)
        return (_plain(parsed) if from_option else value) if wanted else parsed.value

    def validate(self) -> None:
        """The checks that need the whole schema and slow libraries."""
        from pipeline.manifest import references, validate
        from pipeline.manifest.kind_flaws import accelerator_flaws, kind_flaws

        whole = schemas.compose({section: schemas.every(section) for section in schemas.SECTIONS})
        self.findings += validate.check(self.data, whole, self._text_of)
        self.findings += itertools.islice(references.check(self.data), validate.MOST)
        self.findings += itertools.islice(stack.flaws(self.data), validate.MOST)
        self.findings += schedule.flaws(self.data)
        broken = {finding.path[:length] for finding in self.findings for length in (2,)}
        self.findings += itertools.islice(kind_flaws(self.data, broken), validate.MOST)
        self.findings += itertools.islice(accelerator_flaws(self.data, broken), validate.MOST)
        images = self.data.get("images")
        for name, image in images.items() if isinstance(images, dict) else ():
            checks = image.get("checks") if isinstance(image, dict) else None
            score = checks.get("score") if isinstance(checks, dict) else None
            if isinstance(score, dict) and "expect" in score:
                path = ("images", name, "checks", "score", "expect")
                if wrong := validate.check_answer_schema(score["expect"]):
                    self.findings.append(Finding(path, f"'expect' {wrong}", "see json-schema.org"))

    def _text_of(self, path: Path_) -> str | None:
        node, found = self.document.node(path)
        return node.text if found == path else None

    def check_scripts(self) -> None:
        """Reads the entry scripts that come from the project."""
        for name, relative, path in script.of_images(self.data, self.root, self.folder):
            file = os.path.normpath(os.path.join(self.document.file, "..", relative))  # noqa: PTH118
            for flaw in script.check(path):
                if flaw.line:
                    place = Location(file, flaw.line, flaw.column)
                    self.problems.append(Diagnostic(place, flaw.message, flaw.remedy, flaw.source))
                else:
                    finding = Finding(("images", name, "serve", "entry_script"), f"{file} {flaw.message}", flaw.remedy)
                    self.findings.append(finding)

    def wrong(self) -> bool:
        """Whether anything was found so far."""
        return bool(self.findings or self.problems or self._misplaced)

    def stop_if_wrong(self) -> None:
        """Raises all that was found, in the order of the lines."""
        if not self.wrong():
            return
        failed = {*self._resolved.failed, *self._misplaced}
        found = [f for f in self.findings if not any(f.path[: len(path)] == path for path in failed)]
        found += self._misplaced.values()
        every = {*self.problems, *(self._diagnostic(finding) for finding in found)}
        file = self.document.file
        ordered = sorted(every, key=lambda d: (d.location.file != file, d.location.file, d.location.line,
                                               d.location.column, d.message))  # fmt: skip
        # As they are, and as a diagnostic writes what has line breaks.
        plain = [reveal(secret) for secret in self.secrets]
        secrets = [*plain, *map(in_one_line, plain)]
        masked = [_masked(d, secrets) for d in ordered[:MOST]]
        if len(ordered) > MOST:
            masked.append(Diagnostic(Location(file), f"{len(ordered) - MOST} more errors are not shown"))
        raise ManifestError(masked)

    def _diagnostic(self, finding: Finding) -> Diagnostic:
        where = self.document.where_key if finding.at_key else self.document.where
        return self.document.diagnose(where(finding.path), finding.message, finding.remedy)

    def manifest(self, path: Path) -> Manifest:
        """The frozen result."""
        data, where = self.data, self.document.where_key
        images, layers = stack.added(build.images(data, where), build.entries(data, "layers", where))
        return Manifest(
            path=path,
            root=self.root,
            name=data["name"],
            version=data["version"],
            registries=build.registries(data, where),
            bases=build.entries(data, "bases", where),
            layers=layers,
            images=images,
            targets=build.entries(data, "targets", where),
            retry=build.retry(data),
            timeouts=build.timeouts(data),
            build=build.build(data),
            cache=build.cache(data),
            schedule=schedule.schedule(data.get("schedule")),
            secrets=tuple({reveal(secret): secret for secret in self.secrets}.values()),
            digest=digest_of(canonical(without_secrets(data))),
            where=functools.partial(_where, self.document),
        )


def _where(document: Document, path: Path_) -> Location:
    return document.where(path)


def _plain(node: Any) -> Any:
    """The data of a tree that holds no references."""
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    return [_plain(child) for child in node.value] if isinstance(node.value, list) else node.value


def _masked(diagnostic: Diagnostic, secrets: Iterable[str]) -> Diagnostic:
    if not secrets:
        return diagnostic
    return Diagnostic(
        diagnostic.location,
        mask(diagnostic.message, secrets),
        mask(diagnostic.remedy, secrets),
        mask(diagnostic.source_line, secrets),
    )
