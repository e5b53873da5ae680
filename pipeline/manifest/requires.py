"""The setting `requires` of bases and images: what must be in the image's files. Its schema, and the named profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

_CONSTRAINT = r"(>=|<=|==|!=|~=|=|>|<) *[0-9][A-Za-z0-9.+!:~_-]*"
_CONSTRAINTS = rf"{_CONSTRAINT}( *, *{_CONSTRAINT})*"

PROFILES: Mapping[str, Mapping[str, Any]] = {
    # Azure Machine Learning, "Train and deploy a model using a custom Docker image": what a custom base image must be.
    "azureml": {"os": ["ubuntu>=16.04"], "conda": ">=4.5", "python": ">=3.5"},
}


def schema() -> Schema:
    """One profile's name, or requirements by name."""
    versions = {"os": ">=16.04", "conda": ">=4.5", "python": ">=3.5", "git": ">=2", "cuda": ">=12", "cudnn": ">=9"}
    properties: Schema = {
        "profile": {"enum": sorted(PROFILES), "description": "A named list, to which the rest is added."},
        "os": _one_or_more(
            rf"^[a-z][a-z0-9._-]*( *{_CONSTRAINTS})?$",
            "The distribution by the ID of its os-release, or one of several.",
            "a distribution and its versions, as in ubuntu>=16.04",
            ["ubuntu>=16.04"],
        ),
        "conda": _version("conda itself.", versions["conda"]),
        "python": _version("Python, from wherever it is.", versions["python"]),
        "git": _version("git.", versions["git"]),
        "mpi": _mpi(),
        "cuda": _version("The CUDA runtime.", versions["cuda"]),
        "cudnn": _version("cuDNN.", versions["cudnn"]),
        "nccl": _version("NCCL.", ">=2.20"),
        "fuse": _version("FUSE, for data sets that are mounted.", ">=2.9"),
        "packages": _packages(),
    }
    several = {
        "type": "object",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": properties,
    }
    return {
        "description": "What must be in the image, checked from its files before it is used.",
        "oneOf": [{"enum": sorted(PROFILES), "type": "string"}, several],
        "examples": ["azureml", {"os": "ubuntu>=16.04", "cuda": ">=12"}],
    }


def _version(what: str, example: str) -> Schema:
    return {
        "type": ["string", "boolean"],
        "pattern": rf"^{_CONSTRAINTS}$",
        "x-hint": f"true, or versions as in '{example}'",
        "description": f"{what} true: any version; else versions as in {example}.",
        "examples": [example],
    }


def _mpi() -> Schema:
    return {
        "type": ["string", "boolean"],
        "pattern": rf"^(openmpi|intelmpi|mpich)( *{_CONSTRAINTS})?$",
        "x-hint": "true, or as in openmpi>=3.1.2 or intelmpi",
        "description": "An implementation of MPI. true: any; else openmpi, intelmpi or mpich, and versions.",
        "examples": ["openmpi>=3.1.2"],
    }


def _one_or_more(pattern: str, description: str, hint: str, examples: list[str]) -> Schema:
    item = {"type": "string", "pattern": pattern, "x-hint": hint}
    return {
        "oneOf": [item, {"type": "array", "items": item, "minItems": 1}],
        "description": description,
        "x-hint": hint,
        "examples": examples,
    }


def _packages() -> Schema:
    name = rf"^[A-Za-z0-9][A-Za-z0-9.+_-]*( *{_CONSTRAINTS})?$"
    item = {"type": "string", "pattern": name, "x-hint": "a package and its versions, as in azureml-defaults>=1.0.45"}
    kinds = {"apt": "Debian or Ubuntu packages.", "pip": "Python distributions.", "conda": "conda packages."}
    return {
        "type": "object",
        "description": "Packages by where they are from.",
        "additionalProperties": False,
        "properties": {
            kind: {"type": "array", "items": item, "minItems": 1, "description": text} for kind, text in kinds.items()
        },
    }


def normal(value: Any) -> Mapping[str, Any]:
    """Requirements by name, profiles written out: what a profile asks for stands unless the manifest says other."""
    if value is None:
        return {}
    given = {"profile": value} if isinstance(value, str) else dict(value)
    return {**PROFILES.get(given.pop("profile", ""), {}), **given}
