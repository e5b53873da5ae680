"""Names of images in registries: `registry[:port]/repository[:tag][@digest]`, parsed and normalised as Docker does."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from pipeline.errors import Location, UsageError

DOCKER_HUB = "docker.io"
_HUB_ALIASES = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_HUB_API = "registry-1.docker.io"

# The grammar of github.com/distribution/reference (regexp.go); a repository's name has at most 255 characters.
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_AZURE = "azurecr.io"
_AZURES = (_AZURE, "azurecr.us", "azurecr.cn")
_LIKE = 0.84  # azurecr.us and azurecr.cn, which exist, are at 0.8
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry; without tag and digest, a repository."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """`registry/repository`, for messages."""
        return f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What identifies the image within its repository: its digest, else its tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def at(self, *, tag: str = "", digest: str = "") -> Reference:
        """Another image of the same repository; UsageError for a bad tag or digest."""
        return replace(self, tag=_tag(tag, str(self), None), digest=_digest(digest, str(self), None))


def parse(text: str, place: Location | None = None) -> Reference:
    """The image that `text` names; the tag `latest` where it names none. UsageError says what is wrong."""
    found = repository(_without_image(text), place)
    name, at, digest = text.strip().partition("@")
    tag = name[len(_without_image(text)) + 1 :] if len(name) > len(_without_image(text)) else ""
    if name.endswith(":"):
        raise _wrong(text, "its tag is empty", "name a tag after the colon, or leave the colon out", place)
    if at and not digest:
        raise _wrong(text, "its digest is empty", "write @sha256: and 64 hexadecimal digits", place)
    found = replace(found, tag=_tag(tag, text, place), digest=_digest(digest, text, place))
    return found if found.wanted else replace(found, tag="latest")


def repository(text: str, place: Location | None = None) -> Reference:
    """A repository without tag or digest, such as `registry.example.com/ml/scoring`; UsageError says what is wrong."""
    if not text:
        raise _wrong(text, "it names no repository", "write it as registry/repository:tag", place)
    if "://" in text:
        raise _wrong(text, "it begins with a scheme", f"write it as {text.partition('://')[2]!r}", place)
    first, slash, rest = text.partition("/")
    if not slash or not _is_host(first):
        first, rest = DOCKER_HUB, text
    if not _HOST.fullmatch(first):
        raise _wrong(text, f"{first!r} is no host name", "write it as host or host:port", place)
    first = first.lower()
    if first in _HUB_ALIASES:
        first = DOCKER_HUB
        rest = rest if "/" in rest else f"library/{rest}"
    _check_path(rest, text, place)
    return Reference(first, rest)


def below(address: str, path: str, place: Location | None = None) -> Reference:
    """The repository `path` of a registry's address, as a manifest has it: host[:port][/prefix]."""
    host, _, prefix = address.partition("://")[2 if "://" in address else 0].strip("/").lower().partition("/")
    text = f"{host}/{prefix}/{path}" if prefix else f"{host}/{path}"
    if not _HOST.fullmatch(host):
        raise _wrong(text, f"{host!r} is no host name", "write it as host or host:port", place)
    found = Reference(DOCKER_HUB if host in _HUB_ALIASES else host, text.partition("/")[2])
    _check_path(found.repository, text, place)
    return found


def names_host(text: str) -> bool:
    """Whether a name begins with a registry's host, and so means an image there and not one of the store."""
    first, slash, _ = text.partition("/")
    return bool(slash) and _is_host(first)


def hostless(text: str) -> str:
    """A reference without its registry: `ml/base:1` of `registry.example.com/ml/base:1`."""
    return text.partition("/")[2] if names_host(text) else text


def api_host(registry: str) -> str:
    """The host[:port] to call for a registry: Docker Hub's differs from its name."""
    return _HUB_API if registry == DOCKER_HUB else registry


def warnings(text: str) -> list[str]:
    """What is allowed in a reference and yet probably not meant; empty for nothing."""
    found = parse(text)
    says = []
    if host := likely_host(found.registry):
        says.append(f"{found.registry} looks mistyped: did you mean {host}?")
    if ":" not in text.rpartition("/")[2] and not found.digest:
        says.append(f"{text} has no tag: {found} is used, which moves")
    return says


def is_azure(registry: str) -> bool:
    """Whether a host is one of Azure's registries, in the public cloud or a national one."""
    return registry.endswith(tuple(f".{domain}" for domain in _AZURES))


def likely_host(registry: str) -> str:
    """The Azure registry's host that was probably meant; empty when nothing looks mistyped."""
    name, dot, last = registry.rpartition(".")
    name, _, domain = name.rpartition(".")
    found = domain + dot + last
    if not name or found == _AZURE or "azu" not in found:
        return ""
    from difflib import SequenceMatcher

    return f"{name}.{_AZURE}" if SequenceMatcher(None, found, _AZURE).ratio() >= _LIKE else ""


def _is_host(first: str) -> bool:
    """Docker's rule: a first part with a dot, a port or capitals is a host, and so is localhost."""
    return first == "localhost" or first.startswith("[") or any(c in first for c in ".:") or first != first.lower()


def _without_image(text: str) -> str:
    """`text` without tag and digest; a colon before the last slash belongs to a port."""
    name = text.strip().partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def _check_path(path: str, text: str, place: Location | None) -> None:
    if not path:
        raise _wrong(text, "it names no repository", "write it as registry/repository:tag", place)
    if len(path) > _LONGEST_NAME:
        raise _wrong(text, f"the repository has {len(path)} characters", f"at most {_LONGEST_NAME} are allowed", place)
    if path != path.lower():
        raise _wrong(text, f"the repository {path!r} has capitals", f"write it as {path.lower()!r}", place)
    for part in path.split("/"):
        if not _COMPONENT.fullmatch(part):
            remedy = "lower-case letters and digits, joined by '.', '_', '__' or '-', with '/' between parts"
            raise _wrong(text, f"{part!r} cannot be part of a repository's name", remedy, place)


def _tag(tag: str, text: str, place: Location | None) -> str:
    if tag and not _TAG.fullmatch(tag):
        remedy = "letters, digits, '_', '.' and '-', at most 128, not beginning with '.' or '-'"
        raise _wrong(text, f"{tag!r} is no tag", remedy, place)
    return tag


def _digest(digest: str, text: str, place: Location | None) -> str:
    if digest and not _DIGEST.fullmatch(digest):
        raise _wrong(text, f"{digest!r} is no digest", "sha256: and 64 hexadecimal digits in lower case", place)
    return digest


def _wrong(text: str, fact: str, remedy: str, place: Location | None) -> UsageError:
    return UsageError(f"{text!r} is no image reference: {fact}", remedy=remedy, place=place)
