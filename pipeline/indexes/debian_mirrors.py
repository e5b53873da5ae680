"""Decides which mirrors and keyrings to read a suite with: the manifest's, apt's, else the public ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.dpkg import COMPONENTS, ArchiveSettings, ExtraArchive
from pipeline.errors import ResolveError
from pipeline.indexes.debian_apt import AptSettings, Source
from pipeline.indexes.debian_release import Archive

PUBLIC: Mapping[tuple[str, bool], str] = {
    ("debian", False): "http://ftp.debian.org/debian",
    ("debian", True): "http://security.debian.org/debian-security",
    ("ubuntu", False): "http://archive.ubuntu.com/ubuntu",
    ("ubuntu", True): "http://archive.ubuntu.com/ubuntu",
}
PUBLIC_PORTS = "http://ports.ubuntu.com/ubuntu-ports"
_SUFFIXES = (".gpg", ".pgp", ".asc")


def archives(settings: ArchiveSettings, architecture: str, apt: AptSettings, folders: KeyFolders) -> list[Archive]:
    """The suite's archives: release, updates, security fixes. Of equal versions the first one's is taken."""
    suite = settings.suite
    found = [_archive(settings, architecture, apt, folders, suite, security=False)]
    if settings.updates and suite != "sid":
        found.append(_archive(settings, architecture, apt, folders, f"{suite}-updates", security=False))
    if settings.security and suite != "sid":
        name = f"{suite}/updates" if suite == "buster" else f"{suite}-security"
        found.append(_archive(settings, architecture, apt, folders, name, security=True))
    for extra in settings.extra:
        found += _extra(settings, extra, architecture, folders)
    return found


def mirrors(settings: ArchiveSettings, architecture: str, apt: AptSettings) -> dict[str, str]:
    """Addresses of the distribution's own archives by name (`main`, `security`), as locked packages name them."""
    return {
        "main": _mirror(settings, architecture, apt, security=False)[0],
        "security": _mirror(settings, architecture, apt, security=True)[0],
    }


def addresses(settings: ArchiveSettings, architecture: str, apt: AptSettings) -> dict[str, tuple[str, ...]]:
    """The addresses to try for each archive that locked packages may name."""
    own = {name: (uri,) for name, uri in mirrors(settings, architecture, apt).items()}
    return {**own, **{extra.label: tuple(uri.rstrip("/") for uri in extra.uris) for extra in settings.extra}}


def _extra(settings: ArchiveSettings, extra: ExtraArchive, architecture: str, folders: KeyFolders) -> list[Archive]:
    """Each suite at each address; without a key of its own it must be signed as the distribution's are."""
    if extra.architectures and architecture not in extra.architectures:
        return []
    keyrings = (Path(extra.keyring),) if extra.keyring else folders.keyrings(settings, None)
    return [
        Archive(extra.label, uri.rstrip("/"), suite, keyrings, settings.check_valid_until, extra.components)
        for uri in extra.uris
        for suite in extra.suites
    ]


def _archive(
    settings: ArchiveSettings, architecture: str, apt: AptSettings, folders: KeyFolders, suite: str, *, security: bool
) -> Archive:
    uri, source = _mirror(settings, architecture, apt, security=security)
    check = settings.check_valid_until and (source.check_date if source else True)
    components = settings.components or COMPONENTS[settings.distribution]
    name = "security" if security else "main"
    return Archive(name, uri, suite, folders.keyrings(settings, source), check, tuple(components))


def _mirror(
    settings: ArchiveSettings, architecture: str, apt: AptSettings, *, security: bool
) -> tuple[str, Source | None]:
    """A mirror's address, and apt's source when it is from there."""
    ubuntu = settings.distribution == "ubuntu"
    given = settings.security_mirror if security else settings.mirror
    if security and not given and ubuntu:
        # Ubuntu's mirrors carry the security suite beside the others.
        given = settings.mirror
    if given:
        return given.rstrip("/"), None
    source = apt.source(settings.distribution, architecture, security=security)
    if source is None and security and ubuntu:
        source = apt.source(settings.distribution, architecture, security=False)
    if source:
        return source.uri, source
    return public_mirror(settings.distribution, architecture, security=security), None


def public_mirror(distribution: str, architecture: str, *, security: bool) -> str:
    """The distribution's own mirror for an architecture."""
    if distribution == "ubuntu" and architecture not in ("amd64", "i386"):
        return PUBLIC_PORTS
    return PUBLIC[distribution, security]


class KeyFolders:
    """Where keyrings are when the manifest names none: the system's folder, and apt's below `etc`."""

    def __init__(self, system: Path, etc: Path) -> None:
        self._system = system
        self._etc = etc

    def keyrings(self, settings: ArchiveSettings, source: Source | None) -> tuple[Path | bytes, ...]:
        """The keyrings to verify with: the manifest's, else Signed-By, else the distribution's own, else apt's."""
        if settings.keyring:
            return (Path(settings.keyring),)
        if source and source.signed_by:
            if "BEGIN PGP" in source.signed_by:
                # deb822 writes an empty line of the key as a single dot.
                return ("\n".join("" if ln.strip() == "." else ln for ln in source.signed_by.splitlines()).encode(),)
            paths = [Path(word) for word in source.signed_by.replace(",", " ").split() if word.startswith("/")]
            if paths:
                return tuple(paths)
        return self._default(settings.distribution)

    def _default(self, distribution: str) -> tuple[Path | bytes, ...]:
        for suffix in _SUFFIXES:
            path = self._system / f"{distribution}-archive-keyring{suffix}"
            if path.is_file():
                return (path,)
        trusted = self._etc / "apt" / "trusted.gpg.d"
        found = (
            sorted(p for p in trusted.glob(f"{distribution}-*") if p.suffix in _SUFFIXES) if trusted.is_dir() else []
        )
        if not found:
            package = f"{distribution}-archive-keyring" if distribution == "debian" else "ubuntu-keyring"
            raise ResolveError(
                f"no keyring to verify {distribution} packages with: neither "
                f"{self._system}/{distribution}-archive-keyring.gpg nor one in {trusted}",
                remedy=f"install the package {package}, or copy its keyring to the project and name it `keyring`",
            )
        return tuple(found)
