"""Fetches and verifies an archive's `Release`: what the archive signed, and the hash of every index in it.

Format: Debian repository format, "Release" files (wiki.debian.org/DebianRepository/Format).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from pipeline.dpkg import stanza
from pipeline.errors import ResolveError
from pipeline.indexes.debian_http import Fetcher, NotThere, shown
from pipeline.indexes.debian_openpgp import BadSignature, certificates, verified
from pipeline.limit import inherited


@dataclass(frozen=True, slots=True)
class Archive:
    """A suite on a mirror: `name` says which of the distribution's mirrors (`main`, `security`) it is on, or whose.

    A suite that ends in / is a folder of the mirror, without components.
    """

    name: str
    uri: str
    suite: str
    keyrings: tuple[Path | bytes, ...]
    check_date: bool = True
    components: tuple[str, ...] = ()

    @property
    def is_flat(self) -> bool:
        return self.suite.endswith("/")

    @property
    def place(self) -> str:
        return f"{self.suite} on {shown(self.uri)}"

    def url(self, path: str) -> str:
        if self.is_flat:
            return "/".join(part for part in (self.uri, self.suite.strip("./"), path) if part)
        return f"{self.uri}/dists/{self.suite}/{path}"

    def keys(self) -> str:
        return ", ".join("the key in Signed-By" if isinstance(k, bytes) else str(k) for k in self.keyrings)


@dataclass(frozen=True)
class Release:
    """A verified Release: its fields, and path → (SHA-256, size in bytes) of each index."""

    archive: Archive
    fields: Mapping[str, str]
    hashes: Mapping[str, tuple[str, int]]

    @property
    def architectures(self) -> list[str]:
        return self.fields.get("Architectures", "").split()

    @property
    def components(self) -> list[str]:
        """The components; the security archive writes `updates/main` and means `main`."""
        return [name.removeprefix("updates/") for name in self.fields.get("Components", "").split()]

    @property
    def by_hash(self) -> bool:
        return self.fields.get("Acquire-By-Hash", "").lower() == "yes"

    @property
    def is_automatic(self) -> bool:
        """Whether its packages are taken without being asked for: apt_preferences(5), "NotAutomatic"."""
        return self.fields.get("NotAutomatic", "").lower() != "yes"

    def find(self, path: str, suffixes: Sequence[str] = (".xz", ".zst", ".gz", "")) -> str | None:
        """The best compressed form of an index that the archive offers; None when it has none."""
        return next((path + suffix for suffix in suffixes if path + suffix in self.hashes), None)


def fetch_release(archive: Archive, fetcher: Fetcher, now: float) -> Release:
    """The archive's Release, once its signature, its name and its dates hold. `now` in seconds since 1970.

    ResolveError otherwise, naming the suite, the mirror and the keyring; OutOfReach when the mirror does not answer.
    """
    certs = certificates(archive.keyrings)
    try:
        text = _verified_text(archive, fetcher, certs)
    except BadSignature as error:
        raise ResolveError(
            f"the index of {archive.place} is not to be trusted: {error.message} (keyring: {archive.keys()})",
            remedy="check the mirror; for an archive with its own key name its public key file as `keyring` (one of "
            "`sources`: as `key`), and for a newer release update the package with the distribution's keyring",
        ) from None
    release = parse_release(archive, text.decode("utf-8", "replace"))
    _check_name(release)
    if archive.check_date:
        _check_dates(release, now)
    return release


def _verified_text(archive: Archive, fetcher: Fetcher, certs: Sequence[Any]) -> bytes:
    try:
        return verified(fetcher.read(archive.url("InRelease")), certs)
    except NotThere as missing:
        with ThreadPoolExecutor(2) as pool:
            files = [pool.submit(inherited(fetcher.read), archive.url(name)) for name in ("Release", "Release.gpg")]
        try:
            text = files[0].result()
        except NotThere:
            raise ResolveError(
                f"there is no suite {archive.place}: {missing.message}",
                remedy="check `suite` and `mirror`; `updates: false` and `security: false` leave out what it lacks",
            ) from None
        try:
            signature = files[1].result()
        except NotThere:
            raise BadSignature("it is not signed") from None
        return verified(text, certs, signature)


def parse_release(archive: Archive, text: str) -> Release:
    """A Release's text as its fields and its SHA-256 list."""
    fields = stanza(text)
    hashes: dict[str, tuple[str, int]] = {}
    for line in fields.get("SHA256", "").splitlines():
        words = line.split()
        if len(words) == 3 and words[1].isdigit():
            hashes[words[2]] = (words[0].lower(), int(words[1]))
    return Release(archive, fields, hashes)


def _check_name(release: Release) -> None:
    """A rightly signed index of another suite must not pass for this one."""
    archive, names = release.archive, [release.fields.get(key, "") for key in ("Codename", "Suite")]
    if archive.is_flat:
        # It has no name: apt compares none either.
        return
    wanted = archive.suite.removesuffix("/updates")
    pockets = [f"{name}{archive.suite[len(wanted.partition('-')[0]) :]}" for name in names]
    if archive.suite not in [*names, *pockets] and wanted not in names:
        raise ResolveError(
            f"the index of {archive.place} is that of another suite, {names[0] or names[1] or 'without a name'}",
            remedy="check `mirror` and `suite`",
        )


def _check_dates(release: Release, now: float) -> None:
    until = release.fields.get("Valid-Until")
    if not until:
        return
    try:
        expires = parsedate_to_datetime(until.replace("UTC", "+0000")).timestamp()
    except ValueError:
        raise ResolveError(f"the index of {release.archive.place} has no readable Valid-Until: {until!r}") from None
    if expires < now:
        raise ResolveError(
            f"the index of {release.archive.place} expired on {until} (its signature, by a key of "
            f"{release.archive.keys()}, is valid)",
            remedy="the mirror is no longer updated: name another `mirror`, check this machine's clock, "
            "or say `check_valid_until: false` for a snapshot",
        )
