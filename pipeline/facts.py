"""What is known of an image's file system before anything runs: its platform, libc, Python and packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from pipeline.noun import noun


@noun
class Platform:
    """An OCI platform, such as linux/amd64 or linux/arm/v7 (image-spec, image-index.md)."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    @staticmethod
    def parse(text: str) -> Platform:
        os_, _, rest = text.partition("/")
        architecture, _, variant = rest.partition("/")
        return Platform(os_, architecture, variant)


@noun
class Python:
    """The interpreter an image holds: its full version, its absolute path, and where it looks for added packages."""

    version: str
    executable: str = "/usr/bin/python3"
    prefix: str = "/usr/local"
    site: str = "/usr/local/lib/python3/dist-packages"

    @property
    def minor(self) -> str:
        """`3.11` of `3.11.2`."""
        return ".".join(self.version.split(".")[:2])


@noun
class Facts:
    """What a layer may rely on in the layers below it.

    `packages` maps dpkg package names to versions. `path` is what the image's PATH starts with, `env` what
    its programs expect in their environment.
    """

    platform: Platform = field(default_factory=Platform)
    distribution: str = ""
    release: str = ""
    libc: str = ""
    python: Python | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
