"""Which host a repository's address belongs to: whose API it has, where that is, and the repository's name there."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from pipeline.serve.settings import HostKind

_SCP = re.compile(r"(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?!/{2})(?P<path>[^\s]+)")
"""`user@host:path`, as git-clone(1) has it ("GIT URLS")."""
_KNOWN: dict[str, HostKind] = {
    "github.com": "github",
    "ssh.github.com": "github",
    "gitlab.com": "gitlab",
    "altssh.gitlab.com": "gitlab",
    "gitea.com": "gitea",
    "codeberg.org": "gitea",
    "dev.azure.com": "azure-devops",
    "ssh.dev.azure.com": "azure-devops",
    "vs-ssh.visualstudio.com": "azure-devops",
}
_MEANT = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
"""Hosts that only speak SSH, by another port, for those whose firewalls let nothing else out."""
_ROOTS = {"gitlab": "/api/v4", "gitea": "/api/v1"}


def host_of(url: str, kind: HostKind = "") -> tuple[HostKind, str, str]:
    """Whose API the repository of this address has, the API's root, and the repository's name there.

    `kind` says it for hosts of one's own (GitHub Enterprise, GitLab, Gitea and Forgejo, Azure DevOps Server), whose
    names do not; their API is taken to be on the same host, by HTTPS. All three are empty for an address that nobody's
    API has: a path, plain Git over HTTP, an unknown host.
    """
    scheme, host, port, path = _parts(url)
    kind = kind or _known(host)
    if not kind or not host:
        return "", "", ""
    host = _MEANT.get(host, host)
    project = _azure(host, path) if kind == "azure-devops" else path
    if "/" not in project:
        return "", "", ""
    # The port of SSH is not that of the API.
    netloc = f"{host}:{port}" if port and scheme in ("http", "https") else host
    return kind, _root(kind, scheme, host, netloc, path), project


def _known(host: str) -> HostKind:
    if host.endswith(".visualstudio.com"):
        return "azure-devops"
    # GitHub Enterprise Cloud with data residency: SUBDOMAIN.ghe.com.
    return "github" if host.endswith(".ghe.com") else _KNOWN.get(host, "")


def _parts(url: str) -> tuple[str, str, int | None, str]:
    """Scheme, host (lower case), port and path (without slashes around it and `.git`); empty for a path of a disk."""
    if "://" not in url:
        found = _SCP.fullmatch(url)
        if not found:
            return "", "", None, ""
        return "ssh", found["host"].lower(), None, _named(unquote(found["path"]))
    try:
        parts = urlsplit(url)
        return parts.scheme, (parts.hostname or "").lower(), parts.port, _named(unquote(parts.path))
    except ValueError:
        return "", "", None, ""


def _named(path: str) -> str:
    return path.strip("/").removesuffix(".git")


def _root(kind: HostKind, scheme: str, host: str, netloc: str, path: str) -> str:
    scheme = "http" if scheme == "http" else "https"
    if kind == "github":
        if host == "github.com" or host.endswith(".ghe.com"):
            return f"https://api.{host}"
        return f"{scheme}://{netloc}/api/v3"
    if kind == "azure-devops":
        return _azure_root(scheme, host, netloc, path)
    return f"{scheme}://{netloc}{_ROOTS[kind]}"


def _azure(host: str, path: str) -> str:
    """`organization/project/repository`, of all that Azure DevOps calls it; where the project is left out it has the
    repository's name.
    """
    parts = path.split("/")
    if parts[:1] == ["v3"]:
        parts = parts[1:]
        return "/".join(parts) if len(parts) == 3 else ""
    if host.endswith(".visualstudio.com"):
        parts = [host.partition(".")[0], *(parts[1:] if parts[0].lower() == "defaultcollection" else parts)]
    if "_git" not in parts or parts.index("_git") + 1 >= len(parts):
        return ""
    at = parts.index("_git")
    before, name = parts[:at], parts[at + 1]
    if not before:
        return ""
    return "/".join([*before[-2:], name] if len(before) > 1 else [before[0], name, name])


def _azure_root(scheme: str, host: str, netloc: str, path: str) -> str:
    if host.endswith((".visualstudio.com", "dev.azure.com")):
        return "https://dev.azure.com"
    # Azure DevOps Server: what is before the collection belongs to its root (https://tfs.example.com/tfs).
    before = path.split("/_git/")[0].split("/")[:-2]
    return "/".join([f"{scheme}://{netloc}", *before])


__all__ = ["host_of"]
