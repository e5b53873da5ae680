"""What commands get from this machine for the step alone: proxies, certificates, and package archives for apt.

Nothing of it is left in the image, and none of it enters a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.dpkg import COMPONENTS, SUITES, ArchiveSettings, architecture
from pipeline.engine.changes import PRIVATE
from pipeline.errors import UsageError
from pipeline.facts import Facts
from pipeline.indexes.debian_apt import AptSettings
from pipeline.indexes.debian_mirrors import mirrors

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")
_NAMED_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM_BUNDLES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/cert.pem")
_BUNDLE = f"/{PRIVATE}/ca.crt"
_APT_CONFIG = f"/{PRIVATE}/apt.conf"
_APT_SOURCES = f"/{PRIVATE}/sources.list"
# OpenSSL; requests; curl; pip; Node.js; git; the AWS and Google Cloud tools.
_BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
)


def surroundings(
    environ: Mapping[str, str], ca_bundle: str, base: Path, facts: Facts, has_sources: bool, root: Path = Path("/")
) -> tuple[dict[str, str], dict[str, bytes]]:
    """Environment variables, and files by their path in the container.

    `ca_bundle` is the manifest's `build.ca_bundle`, relative to `base`; `has_sources` says whether the image has apt
    sources of its own; `root` is this machine's root folder. UsageError for a bundle that cannot be read.
    """
    env = proxies(environ)
    files: dict[str, bytes] = {}
    apt: list[str] = []
    settings = AptSettings.read(root / "etc", {})
    if trusted := bundle(environ, ca_bundle, base, root):
        files[_BUNDLE] = trusted
        env |= dict.fromkeys(_BUNDLE_VARIABLES, _BUNDLE)
        apt.append(f'Acquire::https::CAInfo "{_BUNDLE}";')
    apt += [
        f'{option} "{value}";'
        for option, value in settings.options.items()
        if option in ("acquire::http::proxy", "acquire::https::proxy")
    ]
    if not has_sources and (sources := _sources(settings, facts)):
        files[_APT_SOURCES] = "".join(f"{line}\n" for line in sources).encode()
        apt.append(f'Dir::Etc::SourceList "{_APT_SOURCES}";')
    if apt and facts.distribution in COMPONENTS:
        files[_APT_CONFIG] = "".join(f"{line}\n" for line in apt).encode()
        env["APT_CONFIG"] = _APT_CONFIG
    return env, files


def proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that name proxies, as the user has them."""
    return {name: value for name, value in environ.items() if name.lower() in _PROXIES and value}


def bundle(environ: Mapping[str, str], wanted: str, base: Path, root: Path = Path("/")) -> bytes:
    """The certificates to trust, as the manifest wants them; empty for none. UsageError."""
    if wanted == "none":
        return b""
    if wanted != "auto":
        try:
            return (base / wanted).read_bytes()
        except OSError as error:
            raise UsageError(
                f"the CA bundle {wanted} cannot be read: {error.strerror}", remedy="correct `build: {ca_bundle: …}`"
            ) from error
    named = [Path(environ[name]) for name in _NAMED_BUNDLES if environ.get(name)]
    for path in (*named, *(root / name for name in _SYSTEM_BUNDLES)):
        if path.is_file():
            return path.read_bytes()
    return b""


def _sources(settings: AptSettings, facts: Facts) -> Sequence[str]:
    """Lines of sources.list(5) for the image's own suite, from the mirrors that this machine uses for it."""
    known = [s for s in SUITES.values() if (s.distribution, s.release) == (facts.distribution, facts.release)]
    machine = architecture(facts.platform)
    if not known or machine is None or not facts.release:
        return ()
    suite, components = known[0].codename, COMPONENTS[facts.distribution]
    found = mirrors(ArchiveSettings(facts.distribution, suite, components), machine, settings)
    security = f"{suite}/updates" if suite == "buster" else f"{suite}-security"
    places = [(found["main"], suite), (found["main"], f"{suite}-updates"), (found["security"], security)]
    signed = "debian-archive-keyring" if facts.distribution == "debian" else "ubuntu-archive-keyring"
    keyring = f"[signed-by=/usr/share/keyrings/{signed}.gpg]"
    return [f"deb {keyring} {uri} {pocket} {' '.join(components)}" for uri, pocket in places]
