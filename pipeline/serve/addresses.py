"""Addresses of Git repositories: which protocol they mean, and whose host they name."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.serve.hosts import address
from pipeline.serve.settings import Host, HostKind

# gitrepository-layout's scp-like form (git-clone(1), GIT URLS): a host, a colon, a path; no slash before the colon.
_SCP = re.compile(r"(?:[^/@:\s]+@)?(\[[0-9A-Fa-f:]+\]|[^/@:\s]+):(?!//)(.+)")
_SCHEMES = {"https": "https", "http": "http", "ssh": "ssh", "git+ssh": "ssh", "ssh+git": "ssh", "file": "path"}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def scheme(url: str) -> str:
    """https, http, ssh or path; empty for any other."""
    if "://" in url:
        return _SCHEMES.get(url.partition("://")[0].lower(), "")
    return "ssh" if _SCP.fullmatch(url) else "path"


def is_path(url: str) -> bool:
    return scheme(url) == "path"


def host_and_path(url: str) -> tuple[str, str]:
    """("git.example.com:8443", "acme/models") of an address; ("", "") of a path."""
    if is_path(url):
        return "", ""
    if "://" in url:
        parts = urlsplit(url)
        host, path = parts.netloc.rpartition("@")[2], parts.path
    else:
        host, path = _SCP.fullmatch(url).groups()  # type: ignore[union-attr]
    return host.lower(), path.strip("/").removesuffix(".git")


def normal(url: str, folder: Path) -> str:
    """The address as it is asked for: a path as an absolute one, seen from the config file's folder."""
    if not is_path(url):
        return url
    return str((folder / Path(url.removeprefix("file://")).expanduser()).resolve())


def has_password(url: str) -> bool:
    """Whether an address holds a password, which everybody would see."""
    try:
        return "://" in url and urlsplit(url).password is not None
    except ValueError:
        return False


def absent(url: str, folder: Path) -> tuple[str, str] | None:
    """What there is to say of a path where no folder is: it may be one that is not mounted now."""
    if not is_path(url) or (place := Path(normal(url, folder))).is_dir():
        return None
    return f"there is no folder {place}", "a path is seen from this file's folder"


def flaw(url: str) -> tuple[str, str] | None:
    """What is wrong with an address, whether or not anything is there, and what would be right."""
    kind = scheme(url)
    if not kind:
        return f"'{url.partition('://')[0]}' is no protocol that is spoken here", "https://, ssh:// or a path"
    if url.startswith("-") or "\n" in url:
        return "this is no address of a repository", "https://, ssh:// or a path"
    if kind == "path":
        return None
    try:
        host, path = host_and_path(url)
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        host = path = name = ""
    if not host or not path:
        return "this address has no host or no path", "as in https://git.example.com/acme/models.git"
    if has_password(url):
        return "the address holds a password", "give it as token: ${env:NAME}, and the user as username"
    if kind == "http" and name not in _LOOPBACK:
        return "plain HTTP shows tokens and lets others change what is run", "use https://"
    return None


def host_of(url: str, kind: HostKind = "") -> Host:
    """Whose API an address has: its kind (known hosts need not be told it), the API's root and the project there."""
    found = address.host_of(url, kind)
    return Host(*found) if found[0] else Host(kind)


__all__ = ["absent", "flaw", "has_password", "host_and_path", "host_of", "is_path", "normal", "scheme"]
