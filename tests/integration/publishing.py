"""A project of small images, offline, that are pushed to a real registry; and the command line to do it with."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.cli._door import run
from pipeline.facts import Platform
from pipeline.manifest.model import Registry, Secret
from pipeline.registry import Registries
from pipeline.registry.problems import NotFound

USER, PASSWORD = "bob", "s3cret-of-bob"
PLUGIN = Path(__file__).parents[1] / "cli" / "plugin"
HEAD = """\
version: 1
name: shop
registries:
  prod: {{address: "{address}/ml", username: bob, password: "${{env:BOB_PASSWORD}}"{more}}}
bases:
  slim: {{plain: [{{from: base/, to: /usr/share/shop/}}]}}
layers:
  code: {{files: [{{from: src/, to: /srv/app/}}]}}
retry: {{attempts: 2, wait: 10ms}}
images:
"""


class Project:
    """A project folder and its registry."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.environ = {**os.environ, "PIPELINE_HOME": str(folder / "home"), "BOB_PASSWORD": PASSWORD}
        self.write("project/.git/HEAD", "")
        self.write("project/base/data.txt", "base\n" * 100)
        self.write("project/src/start", "#!/bin/sh\n")

    @property
    def manifest(self) -> Path:
        return self.folder / "project" / "pipeline.yaml"

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def images(self, text: str, more: str = "") -> None:
        """Writes the manifest with these images, a line of YAML each."""
        lines = "".join(f"  {line}\n" for line in text.strip().splitlines())
        self.write("project/pipeline.yaml", HEAD.format(address=self.address, more=more) + lines)

    def __call__(self, *args: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code = run(args, environ={**self.environ, **(environ or {})}, out=out, err=err)
        return code, out.getvalue(), err.getvalue()

    def run(self, *args: str) -> tuple[int, str]:
        """`pipeline run`: the exit code, and all that it said."""
        code, out, err = self("run", str(self.manifest), *args)
        return code, out + err

    def report(self) -> dict[str, Any]:
        """The report of another run."""
        code, out, err = self("run", str(self.manifest), "--output", "json")
        assert code == 0, err
        report: dict[str, Any] = json.loads(out.splitlines()[-1])["report"]
        return report

    def tagged(self) -> dict[str, str]:
        """The digests of the store's images that have a tag, by their names."""
        _, listed, _ = self("image", "ls", "--output", "json")
        return {image["name"]: image["digest"] for image in json.loads(listed) if image["tags"]}

    def registries(self) -> Registries:
        return Registries({"PATH": ""}, [Registry("prod", self.address, USER, Secret(PASSWORD))])

    def remote(self, name: str, wanted: str) -> str:
        """The digest of what a repository below `ml` has under a tag or digest; empty for nothing."""
        try:
            return self.registries().repository(f"{self.address}/ml/{name}").resolve(wanted).digest
        except NotFound:
            return ""

    def document(self, name: str, wanted: str, platform: Platform | None = None) -> Mapping[str, Any]:
        """An image manifest of a repository below `ml`."""
        return self.registries().repository(f"{self.address}/ml/{name}").manifest(wanted, platform).value
