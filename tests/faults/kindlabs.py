"""Laboratories of the kinds that need more than a folder of files: Debian packages, registry images, commands."""

from __future__ import annotations

import hashlib
import lzma
import sys
from functools import cache
from pathlib import Path
from shutil import copyfile, rmtree
from tempfile import mkdtemp

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "integration")]

# ruff: noqa: E402
from debmaker import make_deb
from faultlab import Lab
from small_image import with_libraries
from test_apt_layers import archive

DEBS = """\
version: 1
name: shop
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  slim: {debian: {<<: &archive {suite: bookworm, mirror: "MIRROR", keyring: keyring.asc, updates: false,
    security: false}, packages: [tool]}}
layers:
  more: {debs: {<<: *archive, packages: [other]}}
images:
  job: {base: slim, layers: [more], command: [/usr/bin/tool], tags: [v1], push: {to: prod}}
"""
ON_AN_IMAGE = """\
version: 1
name: shop
build: {network: none, ca_bundle: none}
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  given: {image: "PARENT"}
layers:
  code: {files: [{from: src/, to: /srv/app/}]}
  made: {run: {commands: ["mkdir /opt/made", "echo made > /opt/made/file", "rm /opt/old"], cache: [/var/cache/x]}}
images:
  job: {base: given, layers: [LAYER], command: [/bin/sh], tags: [v1], push: {to: prod}}
"""
PARENT = """\
version: 1
name: parent
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  none: {snake: [{from: root/, to: /, mode: 0755}]}
images:
  parent: {base: none, command: [/bin/sh], tags: [v1], push: {to: prod}}
"""
APT = """\
version: 1
name: shop
build: {network: none, ca_bundle: none}
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  given: {image: "PARENT"}
layers:
  data: {apt: {packages: [vendor-data], sources: {vendor: {uris: ["VENDOR"], suites: [./], key: vendor.asc}}}}
images:
  job: {base: given, layers: [data], command: [/bin/sh], tags: [v1], push: {to: prod}}
"""
WITH_APT = """\
version: 1
name: parent
registries:
  prod: {address: "${env:REGISTRY}"}
bases:
  none: {debian: {suite: bookworm, essential: true, packages: []}}
images:
  parent: {base: none, command: [/bin/sh], tags: [v1], push: {to: prod}}
"""
PACKAGES = {"tool": "libtool1", "libtool1": "", "other": "tool"}


class DebLab(Lab):
    """A base of Debian packages, and more of them on top, from an archive in a folder."""

    def __init__(self, folder: Path, registry: str) -> None:
        archive = debian_archive()
        super().__init__(folder, registry, DEBS.replace("MIRROR", (archive / "mirror").as_uri()))
        (self.project / "keyring.asc").write_bytes((archive / "keyring.asc").read_bytes())


class ImageLab(Lab):
    """On top of an image of the registry: a layer of files, or one of commands, which need the engine at `docker`."""

    def __init__(self, folder: Path, registry: str, docker: str = "") -> None:
        manifest = ON_AN_IMAGE.replace("LAYER", "made" if docker else "code")
        super().__init__(folder, registry, manifest.replace("PARENT", parent_image(registry)))
        self.environ["DOCKER_HOST"] = docker


class AptLab(Lab):
    """A locked apt layer on a Debian with apt, executed in the engine at `docker`; the Debian needs the network."""

    def __init__(self, folder: Path, registry: str, docker: str) -> None:
        vendor = vendor_archive()
        manifest = APT.replace("PARENT", parent_image(registry, WITH_APT)).replace("VENDOR", vendor.as_uri())
        super().__init__(folder, registry, manifest)
        (self.project / "vendor.asc").write_bytes(vendor.with_name("vendor.asc").read_bytes())
        self.environ["DOCKER_HOST"] = docker


@cache
def vendor_archive() -> Path:
    folder = Path(mkdtemp(prefix="archive-")) / "vendor"
    archive(folder)
    return folder


@cache
def parent_image(registry: str, manifest: str = PARENT) -> str:
    """An image in the registry: by itself of this machine's shell and a few programs."""
    one = Lab(Path(mkdtemp(prefix="parent-")), registry, manifest)
    for program in with_libraries():
        path = one.project / "root" / program.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        copyfile(program, path)
    for name in ("opt/old", "tmp/.keep"):
        path = one.project / "root" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("old\n")
    ended = one.run()
    assert ended.code == 0, ended.said
    rmtree(one.folder)
    return f"{one.registry}/parent:v1"


@cache
def debian_archive() -> Path:
    """A folder with a signed archive of three small packages (`mirror`) and its key."""
    import pysequoia

    folder = Path(mkdtemp(prefix="archive-"))
    pool, stanzas = folder / "mirror/pool/main", []
    pool.mkdir(parents=True)
    for name, depends in PACKAGES.items():
        content = {"./usr/": None, "./usr/bin/": None, f"./usr/bin/{name}": f"#!/bin/sh\n# {name}\n"}
        data = make_deb(pool / f"{name}_1_amd64.deb", name, content, Depends=depends or "").read_bytes()
        stanzas.append(
            f"Package: {name}\nVersion: 1\nArchitecture: amd64\nDepends: {depends}\n"
            f"Filename: pool/main/{name}_1_amd64.deb\n"
            f"Size: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
    listing = lzma.compress("\n".join(stanzas).encode())
    suite, path = folder / "mirror/dists/bookworm", "main/binary-amd64/Packages.xz"
    (suite / path).parent.mkdir(parents=True)
    (suite / path).write_bytes(listing)
    release = "Origin: Test\nCodename: bookworm\nArchitectures: amd64\nComponents: main\n"
    release += f"SHA256:\n {hashlib.sha256(listing).hexdigest()} {len(listing)} {path}\n"
    key = pysequoia.Tsk.generate("Archive <archive@example.com>")
    signed = pysequoia.sign(key.signer(), release.encode(), mode=pysequoia.SignatureMode.CLEAR)
    (suite / "InRelease").write_bytes(signed)
    (folder / "keyring.asc").write_text(str(key.extract_certificate()))
    return folder
