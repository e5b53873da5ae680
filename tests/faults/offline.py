"""Indexes that answer from memory whatever is asked: so that plans of fuzzed manifests need no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from pipeline.facts import Platform
from pipeline.indexes import Indexes
from pipeline.lock.model import Lock
from pipeline.plan import plan
from pipeline.plan.model import Plan
from pipeline.stages.bench import Bench
from pipeline.stages.resolve import Resolution, resolve

_VERSIONS = {"libc6": "2.36-9", "python3": "3.11.2-1", "python3.11": "3.11.2-6", "base-files": "12.4", "apt": "2.6.1"}
_CONFIG = {"Env": ["PATH=/usr/bin:/bin"], "User": "", "WorkingDir": ""}


class _Debian:
    def resolve(self, _settings: Any, architecture: str, names: Sequence[str], **_more: Any) -> list[dict[str, Any]]:
        every = sorted({*_VERSIONS, *(str(name).partition("=")[0] for name in names)})
        return [
            {
                "name": name,
                "version": _VERSIONS.get(name, "1.0-1"),
                "architecture": architecture,
                "file": f"pool/{name}.deb",
                "size": 1000,
                "sha256": "ab" * 32,
                "archive": "main",
            }
            for name in every
        ]


class _PyPI:
    def resolve(self, wanted: Any, **_more: Any) -> list[dict[str, Any]]:
        names = [f"package{number}" for number, _ in enumerate(wanted.requirements)]
        return [
            {"name": name, "version": "1", "file": f"{name}-1-py3-none-any.whl", "sha256": "cd" * 32, "size": 9}
            for name in names
        ]


class _Conda:
    def solve(self, asked: Any, *, subdir: str, **_more: Any) -> list[dict[str, Any]]:
        names = {"python": "3.11.4", **{f"tool{number}": "1" for number, _ in enumerate(asked.dependencies)}}
        return [
            {
                "name": name,
                "version": version,
                "build": "0",
                "build_number": 0,
                "subdir": subdir,
                "file": f"{name}-{version}-0.conda",
                "sha256": "ef" * 32,
                "md5": "",
                "size": 5,
                "channel": "conda-forge",
                "depends": [],
            }
            for name, version in names.items()
        ]

    def distributions(self, *_asked: Any) -> dict[str, str]:
        return {}


class _Images:
    """One image, wherever it is asked for; and what a Dockerfile gives."""

    def registry(self, name: str, _registry: str, platform: Platform) -> Mapping[str, Any]:
        return self._image(name, platform)

    def layout(self, path: str, _name: str, platform: Platform) -> Mapping[str, Any]:
        return self._image(path, platform)

    def archive(self, path: str, _name: str, platform: Platform) -> Mapping[str, Any]:
        return self._image(path, platform)

    def parent(self, name: str) -> Mapping[str, Any]:
        return {"name": name, "version": "sha256:" + "12" * 32}

    def built(self, *_asked: Any) -> str:
        return ""

    def image(self, _spec: Any, _request: Any, _parents: Any, platform: Platform, _built: str) -> Mapping[str, Any]:
        return self._image("built", platform)

    def _image(self, name: str, platform: Platform) -> Mapping[str, Any]:
        layer = {
            "blob": {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
                "digest": "sha256:" + "34" * 32,
                "size": 7,
            },
            "diff_id": "sha256:" + "56" * 32,
        }
        python = ["3.11.2", "/usr/bin/python3", "/usr/local", "/usr/local/lib/python3.11/dist-packages"]
        facts = {"distribution": "debian", "release": "12", "libc": "2.36", "python": python, "packages": _VERSIONS}
        return {
            "reference": name,
            "digest": "sha256:" + "78" * 32,
            "layers": [layer],
            "config": _CONFIG,
            "facts": facts,
            "packages": [{"name": name, "version": version} for name, version in _VERSIONS.items()],
            "platform": str(platform),
        }


class Offline(Bench):
    """A project opened for work that asks nobody."""

    @cached_property
    def indexes(self) -> Indexes:  # type: ignore[override]
        images = _Images()
        return SimpleNamespace(  # type: ignore[return-value]
            files=self.files,
            debian=_Debian(),
            pypi=_PyPI(),
            conda=_Conda(),
            images=images,
            dockerfiles=images,
            warn=self.warn,
        )


def planned(bench: Bench, lock: Lock, *, frozen: bool = False) -> tuple[Plan, Resolution]:
    found = resolve(bench, lock, frozen=frozen)
    return plan(bench.manifest, found.images, lambda _step: False, lambda _step: None), found
