"""Reads the server's config file: from its text to checked, frozen settings, or to all that is wrong with it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import Diagnostic, Location, ManifestError
from pipeline.manifest import interpolate, reader, source, validate
from pipeline.manifest.findings import Finding
from pipeline.manifest.model import Path_, Secret
from pipeline.manifest.nodes import Document
from pipeline.manifest.secrets import mask, names_a_secret, out_of_place, reveal
from pipeline.manifest.shapes import Schema
from pipeline.manifest.walk import fitting, transform, types_of
from pipeline.serve import addresses
from pipeline.serve.building import build
from pipeline.serve.flaws import access_findings, flaws
from pipeline.serve.schema import settings as schema_of_settings
from pipeline.serve.settings import Settings

NAME = "serve.yaml"
"""What the file is called where none is named."""


def read(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in a file, with the values of `environ` put in. Raises ManifestError with every error at once."""
    text = reader.read_text(path)
    document = source.parse_value(text, str(path))
    if not isinstance(document.root.value, dict):
        place, remedy = document.where(()), "start with 'version: 1' and 'repositories:'"
        raise ManifestError([document.diagnose(place, "the server's settings are a mapping", remedy)])
    reading = _Reading(document, Path(os.path.realpath(path.parent)), environ)
    reading.check()
    reading.stop_if_wrong()
    settings = build(path.absolute(), reading.data, environ, tuple(reading.secrets))
    reading.add(access_findings(settings))
    reading.stop_if_wrong()
    return settings


class _Reading:
    """One file on its way from text to settings; what is wrong gathers in `problems` and `findings`."""

    def __init__(self, document: Document, folder: Path, environ: Mapping[str, str]) -> None:
        self._document, self._folder, self._environ = document, folder, environ
        self._resolved = interpolate.resolve(document, interpolate.Sources(environ, {}, folder, folder))
        self._problems = [*document.problems, *self._resolved.problems]
        self._findings: list[Finding] = []
        self._described: dict[Path_, Sequence[Mapping[str, Any]]] = {}
        self.secrets: list[Secret] = list(self._resolved.secrets)
        self.data: Any = self._resolved.data

    def check(self) -> None:
        schema: Schema = schema_of_settings()
        self.data = transform(self.data, schema, self._visit)
        self._find_misplaced(self.data, ())
        self._findings += validate.check(self.data, schema, self._text_of)
        broken = {finding.path for finding in self._findings}
        found = flaws(self.data, self._folder, self._environ)
        self._findings += itertools.islice((one for one in found if one.path not in broken), validate.MOST)

    def _visit(self, value: Any, path: Path_, flat: Sequence[Mapping[str, Any]]) -> Any:
        """Text from outside gets the type that the schema wants, and what is secret is marked."""
        if path in self._resolved.loose and isinstance(value, str):
            types = {name for schema in flat for name in types_of(schema)}
            value = value if "string" in types or not types else _scalar(value)
        if not isinstance(value, str):
            return value
        if path[2:] == ("url",) and path not in self._resolved.loose and addresses.has_password(value):
            # It is refused, and the line that is shown for it must not tell it to a log.
            self._document.hide(path)
        fits = fitting(flat, value)
        hidden = any(schema.get("writeOnly") for schema in fits) or _is_secret_variable(path)
        if hidden and not isinstance(value, Secret):
            value = Secret(value)
            self.secrets.append(value)
            if path not in self._resolved.loose:
                self._document.hide(path)
        if isinstance(value, Secret):
            self._described[path] = fits
        return value

    def _find_misplaced(self, value: Any, path: Path_) -> None:
        if isinstance(value, dict | list):
            for key, item in value.items() if isinstance(value, dict) else enumerate(value):
                self._find_misplaced(item, (*path, key))
        elif found := out_of_place(path, value, self._described.get(path, ())):
            self._findings.append(found)

    def _text_of(self, path: Path_) -> str | None:
        node, found = self._document.node(path)
        return node.text if found == path else None

    def add(self, findings: Iterable[Finding]) -> None:
        self._findings += findings

    def stop_if_wrong(self) -> None:
        """Raises all that was found, in the order of the lines."""
        failed = self._resolved.failed
        found = [one for one in self._findings if not any(one.path[: len(path)] == path for path in failed)]
        every = {*self._problems, *map(self._diagnostic, found)}
        if every:
            ordered = sorted(every, key=lambda one: (one.location.line, one.location.column, one.message))
            raise ManifestError([_masked(one, self.secrets) for one in ordered[: source.MOST]])

    def _diagnostic(self, finding: Finding) -> Diagnostic:
        where = self._document.where_key if finding.at_key else self._document.where
        location: Location = where(finding.path)
        return self._document.diagnose(location, finding.message, finding.remedy)


def _is_secret_variable(path: Path_) -> bool:
    """Whether a value of a repository's `environment` is called as secrets are."""
    return path[2:3] == ("environment",) and isinstance(path[-1], str) and len(path) == 4 and names_a_secret(path[-1])


def _scalar(text: str) -> Any:
    """Text from outside as YAML reads it."""
    try:
        value = source.parse_value(reveal(text), "").root.value
    except ManifestError:
        return text
    return text if isinstance(value, dict | list) else value


def _masked(one: Diagnostic, secrets: Iterable[Secret]) -> Diagnostic:
    texts = [reveal(secret) for secret in secrets]
    message, remedy, line = (mask(text, texts) for text in (one.message, one.remedy, one.source_line))
    return Diagnostic(one.location, message, remedy, line)


__all__ = ["NAME", "read"]
