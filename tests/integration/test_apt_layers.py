"""Locked apt layers in a real engine: an archive that only this machine reaches, an upgrade, and pip on top."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "assemble"))
sys.path.insert(0, str(Path(__file__).parent))

import docker_server
from debmaker import make_deb
from production import Project, events

from pipeline.facts import Platform
from pipeline.home import Home
from pipeline.store import Store
from pipeline.store.inspect import cat

pysequoia = pytest.importorskip("pysequoia")

MANIFEST = """\
version: 1
name: apts
build: {network: none, ca_bundle: none}
bases: {debian: {debian: {suite: bookworm, essential: true, packages: []}}}
layers:
  data:
    apt:
      packages: [vendor-data=1.*]
      sources: {vendor: &vendor {uris: ["%s"], suites: [./], key: vendor.asc}}
  tool: {apt: {packages: [vendor-tool], sources: {vendor: *vendor}}}
  six: {pip: {packages: [six]}}
images: {web: {base: debian, layers: [data, tool, six], checks: {imports: [six]}, command: [python3]}}
"""

pytestmark = [pytest.mark.network, pytest.mark.slow]


def archive(folder: Path) -> None:
    """A signed folder of two versions of one package, and of another that needs the newer one; its key beside it."""
    made = {
        "data1": {"name": "vendor-data", "Version": "1.0"},
        "data2": {"name": "vendor-data", "Version": "2.0"},
        "tool": {"name": "vendor-tool", "Version": "5", "Depends": "vendor-data (>= 2), python3"},
    }
    folder.mkdir()
    listing = ""
    for file, fields in made.items():
        content = {"./usr/": None, "./usr/share/": None, f"./usr/share/{fields['name']}": fields["Version"]}
        script = {"postinst": f"#!/bin/sh\nset -e\necho {fields['Version']} >> /var/lib/vendor\n"}
        path = make_deb(folder / f"{file}.deb", files=content, control=script, Architecture="all", **fields)
        stanza = {"Package": fields["name"], "Architecture": "all", **{k: v for k, v in fields.items() if k != "name"}}
        stanza |= {"Filename": f"./{path.name}", "Size": str(path.stat().st_size)}
        stanza["SHA256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        listing += "".join(f"{key}: {value}\n" for key, value in stanza.items()) + "\n"
    (folder / "Packages").write_text(listing)
    release = f"Origin: Vendor\nSHA256:\n {hashlib.sha256(listing.encode()).hexdigest()} {len(listing)} Packages\n"
    key = pysequoia.Tsk.generate("Vendor <vendor@example.com>")
    signed = pysequoia.sign(key.signer(), release.encode(), mode=pysequoia.SignatureMode.CLEAR)
    (folder / "InRelease").write_bytes(signed)
    (folder.parent / "vendor.asc").write_text(str(key.extract_certificate()))


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with docker_server.running() as docker:
        made = Project(tmp_path / "project")
        made.environ |= {"DOCKER_HOST": docker.address}
        archive(made.folder / "vendor")
        yield made


def read(project: Project, path: str) -> str:
    store = Store(Home.of(project.environ).store)
    return b"".join(cat(store, "web", path, platform=None, machine=Platform())).decode()


def test_exactly_what_is_locked_is_in_the_image_on_every_machine(project: Project) -> None:
    manifest = project.write("apts.yaml", MANIFEST % (project.folder / "vendor").as_uri())
    code, out, err = project("run", manifest, "--output", "json")
    assert code == 0, err + out
    assert read(project, "/usr/share/vendor-data").strip() == "2.0"
    assert read(project, "/var/lib/vendor").split() == ["1.0", "2.0", "5"]
    sources = read(project, "/etc/apt/sources.list.d/vendor.sources")
    assert "Signed-By: /etc/apt/keyrings/vendor.asc" in sources
    _, listed, _ = project("image", "files", "web")
    assert "/usr/lib/python3.11/os.py" in listed
    assert not [path for path in ("/run/pipeline", "pkgcache.bin", "/usr/sbin/policy-rc.d") if path in listed]
    marks = read(project, "/var/lib/apt/extended_states")
    assert "Package: python3\n" in marks and "vendor" not in marks

    project.environ["PIPELINE_HOME"] = str(project.folder.parent / "other")
    code, again, err = project("run", manifest, "--frozen", "--output", "json")
    assert code == 0, err + again
    assert events(again)[-1]["report"]["images"] == events(out)[-1]["report"]["images"]
    assert "file://" not in (project.folder / "apts.lock").read_text()
