"""What both sides are given: a model, entry scripts, pinned packages, and one base image in a registry."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.dpkg import ArchiveSettings
from pipeline.indexes.debian_apt import AptSettings
from pipeline.indexes.debian_mirrors import mirrors
from pipeline.indexes.pypi_settings import pip_settings

PROJECT = Path(__file__).resolve().parent.parent.parent
SUITE = "bookworm"
MODEL_BYTES = 5_000_000
SERVICES = 50
MORE = (
    "humanize==4.12.0",
    "tabulate==0.9.0",
    "toolz==1.0.0",
    "cachetools==5.5.0",
    "colorama==0.4.6",
    "xmltodict==0.13.0",
)
"""Packages to add, one in each run: pure Python, without dependencies, and pinned, so that both sides get the same."""

BASE = """\
version: 1
name: base
registries: {here: {address: "ADDRESS"}}
bases:
  system: {debian: {suite: SUITE, packages: [ca-certificatesMORE], essential: true}}
layers:
  release: {files: [{from: release, to: /etc/}]}
images:
  base: {base: system, layers: [release], command: [/bin/sh], push: {to: here, repository: base, tags: [v1]}}
"""
MANIFEST = """\
version: 1
name: peers
registries: {here: {address: "ADDRESS", compression: zstd}}
bases:
  system: {image: {reference: "base:v1", registry: here}}
layers:
  python: {debs: {suite: SUITE, packages: [python3, libstdc++6]}}
  science: {pip: {requirements: requirements.in}}
  weights: {model: {name: diabetes, version: 1, path: model.bin}}
"""
IMAGE = """\
  NAME:
    base: system
    layers: [python, science, weights, CODE]
    command: [azmlinfsrv, --entry_script, score.py, --port, "5001"]
    env: {PATH: "/usr/local/bin:/usr/bin:/bin", AML_APP_ROOT: /var/azureml-app}
    workdir: /var/azureml-app
    user: 1000
    push: {to: here, repository: REPOSITORY, tags: [v1]}
"""

# The packages that pip needs for a virtual environment are Debian's python3-venv.
APT_AND_PIP = """\
ARG BASE=debian
FROM ${BASE}
RUN --mount=type=bind,from=machine,target=/machine \\
    export APT_CONFIG=/machine/apt.conf \\
    && apt-get -qq update \\
    && apt-get -qq install -y --no-install-recommends python3 python3-venv libstdc++6 \\
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
COPY requirements.txt /opt/requirements.txt
RUN --mount=type=bind,from=machine,target=/machine \\
    export PIP_CONFIG_FILE=/machine/pip.conf \\
    && python3 -m venv /opt/venv \\
    && /opt/venv/bin/pip install -q --no-cache-dir --no-deps -r /opt/requirements.txt
COPY --link model.bin /var/azureml-app/azureml-models/diabetes/1/model.bin
ARG CODE=app
COPY --link ${CODE}/ /var/azureml-app/
"""
# uv's cache and the environment are on two file systems, so that nothing can be linked. Archives that apt fetched stay
# in its cache mount: no docker-clean in this base.
MOUNTS_AND_UV = """\
ARG BASE=debian
FROM ${BASE}
RUN --mount=type=bind,from=machine,target=/machine \\
    --mount=type=cache,target=/var/cache/apt,sharing=locked --mount=type=cache,target=/var/lib/apt,sharing=locked \\
    export APT_CONFIG=/machine/apt.conf \\
    && apt-get -qq update \\
    && apt-get -qq install -y --no-install-recommends python3 libstdc++6
RUN --mount=type=bind,from=machine,target=/machine \\
    --mount=type=bind,from=uv,source=uv,target=/usr/local/bin/uv \\
    --mount=type=bind,source=requirements.txt,target=/requirements.txt \\
    --mount=type=cache,target=/root/.cache/uv \\
    export UV_CONFIG_FILE=/machine/uv.toml SSL_CERT_FILE=/machine/ca.crt UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never \\
    && uv venv -q /opt/venv \\
    && uv pip install -q COMPILE --python /opt/venv --no-deps -r /requirements.txt
COPY --link model.bin /var/azureml-app/azureml-models/diabetes/1/model.bin
ARG CODE=app
COPY --link ${CODE}/ /var/azureml-app/
"""
SERVING = """\
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin AML_APP_ROOT=/var/azureml-app \\
    AZUREML_MODEL_DIR=/var/azureml-app/azureml-models/diabetes/1 AZUREML_ENTRY_SCRIPT=score.py
WORKDIR /var/azureml-app
USER 1000
EXPOSE 5001
CMD ["azmlinfsrv", "--entry_script", "score.py", "--port", "5001"]
"""


@dataclass(frozen=True)
class Inputs:
    """A folder with the project of one side, and where its base is and its images go."""

    folder: Path
    address: str
    services: int = 1

    @property
    def manifest(self) -> Path:
        return self.folder / "peers.yaml"

    def codes(self) -> list[str]:
        """The folder of each service's entry script."""
        return ["app"] if self.services == 1 else [f"app-{number:02}" for number in range(self.services)]

    def make(self) -> None:
        """Writes all but the lock and what is made from it."""
        (self.folder / ".git").mkdir(parents=True)
        wanted = (PROJECT / "models/diabetes/requirements.txt").read_text()
        (self.folder / "requirements.in").write_text(wanted + "azureml-inference-server-http~=1.5\n")
        (self.folder / "model.bin").write_bytes(random.Random(1).randbytes(MODEL_BYTES))
        for code in self.codes():
            shutil.copytree(PROJECT / "manifests/quickstart", self.folder / code)
            script = self.folder / code / "score.py"
            script.write_text(script.read_text() + f"# {code}\n")

    def aim(self, repository: str) -> None:
        """Says where the images are pushed to."""
        text = MANIFEST.replace("ADDRESS", self.address).replace("SUITE", SUITE)
        names = ["code"] if self.services == 1 else self.codes()
        text += "".join(
            f"  {name}: {{files: [{{from: {code}/, to: /var/azureml-app/}}]}}\n"
            for name, code in zip(names, self.codes(), strict=True)
        )
        text += "images:\n" + "".join(
            IMAGE.replace("NAME", image).replace("CODE", name).replace("REPOSITORY", f"{repository}/{image}")
            for name, image in zip(names, self.images(), strict=True)
        )
        self.manifest.write_text(text)

    def images(self) -> list[str]:
        return ["scoring"] if self.services == 1 else [code.replace("app", "scoring") for code in self.codes()]

    def pin(self, exported: str) -> None:
        """The requirement file of the peers: what the lock says, without hashes, as people write it."""
        pins = re.findall(r"^[\w.-]+==[^\s\\;]+", exported, re.MULTILINE)
        (self.folder / "requirements.txt").write_text("\n".join(pins) + "\n")

    def copy(self, folder: Path) -> Inputs:
        """The same for another side, in a folder of its own."""
        shutil.copytree(self.folder, folder)
        return Inputs(folder, self.address, self.services)

    def edit(self) -> None:
        """One more line in the entry script."""
        script = self.folder / self.codes()[0] / "score.py"
        script.write_text(script.read_text() + f"# {os.urandom(8).hex()}\n")

    def more(self, number: int) -> None:
        """One more package, the same for both sides."""
        for name in ("requirements.in", "requirements.txt"):
            file = self.folder / name
            file.write_text(file.read_text() + MORE[number % len(MORE)] + "\n")


def bake_file(inputs: Inputs, repository: str, dockerfile: Path, output: str, proxies: Mapping[str, str]) -> None:
    """`docker-bake.json` and its Dockerfile beside the inputs (buildx documentation, "Bake file reference")."""
    targets = {}
    for code, image in zip(inputs.codes(), inputs.images(), strict=True):
        targets[image] = {
            "context": ".",
            "dockerfile": dockerfile.name,
            "contexts": {"machine": "machine", "uv": "tools"},
            "args": {"BASE": f"{inputs.address}/base:v1", "CODE": code, **proxies},
            "tags": [f"{inputs.address}/{repository}/{image}:v1"],
            "network": "host",
            "output": [output],
            "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
        }
    document = {"group": {"default": {"targets": list(targets)}}, "target": targets}
    (inputs.folder / "docker-bake.json").write_text(json.dumps(document, indent=1))


def certificates(environ: Mapping[str, str]) -> Path:
    """The bundle of certificates that this machine trusts."""
    return Path(environ.get("SSL_CERT_FILE") or "/etc/ssl/certs/ca-certificates.crt")


def machine(folder: Path, environ: Mapping[str, str], bundle: Path, etc: Path = Path("/etc")) -> None:
    """What the peers need of this machine: mirrors, index, proxies, certificates. None of it stays in images."""
    folder.mkdir()
    apt = AptSettings.read(etc, environ)
    settings = ArchiveSettings("debian", SUITE)
    uris = mirrors(settings, "amd64", apt)
    options = "[check-valid-until=no]" if any(not source.check_date for source in apt.sources) else ""
    lines = [f"deb {options} {uris['main']} {suite} main" for suite in (SUITE, f"{SUITE}-updates")]
    lines.append(f"deb {options} {uris['security']} {SUITE}-security main")
    (folder / "sources.list").write_text("\n".join(lines) + "\n")
    conf = ['Dir::Etc::sourcelist "/machine/sources.list";', 'Acquire::https::CaInfo "/machine/ca.crt";']
    conf += [f'{name} "{value}";' for name, value in apt.options.items() if name.endswith("::proxy")]
    # As Debian's own images have it; files of a build are root's.
    conf += ['Acquire::Languages "none";', 'APT::Sandbox::User "root";']
    (folder / "apt.conf").write_text("\n".join(conf) + "\n")
    shutil.copyfile(bundle, folder / "ca.crt")
    index = pip_settings(environ, etc, Path("/nonexistent")).get("index-url", "")
    pip = ["[global]", "cert = /machine/ca.crt", "disable-pip-version-check = true"]
    (folder / "pip.conf").write_text("\n".join(pip + ([f"index-url = {index}"] if index else [])) + "\n")
    (folder / "uv.toml").write_text(f"index-url = {json.dumps(index)}\n" if index else "")
