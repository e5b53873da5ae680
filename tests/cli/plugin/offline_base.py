"""A base kind from outside, for tests: the project's own files, no archive and no network."""

from pipeline.layers.files import LOCKED, SCHEMA, contents, facts, needs, recipes, request, resolve

__all__ = ["LOCKED", "SCHEMA", "contents", "facts", "needs", "recipes", "request", "resolve"]
