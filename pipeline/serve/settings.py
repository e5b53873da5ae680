"""The server's settings as frozen values: repositories, policies, access, and whom to tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

from pipeline.manifest.model import Secret
from pipeline.noun import noun

HostKind = Literal["", "github", "gitlab", "gitea", "azure-devops"]
Role = Literal["look", "act"]


@noun
class Host:
    """Whose API a repository has: `kind` is empty where nobody's (a path, plain Git over HTTP). `api` is the API's
    root, `project` the repository's name there ("acme/models"; for Azure DevOps "organization/project/repository").
    Webhooks are signed with `webhook_secret`.
    """

    kind: HostKind = ""
    api: str = ""
    project: str = ""
    token: Secret | None = None
    webhook_secret: Secret | None = None


@noun
class Signed:
    """Whose signatures count: a file of allowed signers (ssh-keygen(1), ALLOWED SIGNERS) or of OpenPGP certificates."""

    ssh: str = ""
    openpgp: str = ""


@noun
class Policies:
    """What is done by itself. `rebuild`: a lock that came out otherwise is proposed (a branch, a pull request) or
    applied (run, then committed to the branch). `bases`: seconds between looks at the digests behind base tags, 0 for
    never. `drift` is what to do about it, looked for each `look` seconds (0: never). With `approve` commits wait for
    somebody's word. With `prune` the services of a deleted manifest are stopped.
    """

    rebuild: Literal["propose", "apply"] = "propose"
    bases: float = 0.0
    drift: Literal["report", "mend"] = "report"
    look: float = 600.0
    approve: bool = False
    prune: bool = False


@noun
class Repository:
    """A watched repository. `url` is https://, ssh://, user@host:path, or a path; `folders` are where its manifests
    are, `poll` is in seconds. `username` and `token` are for Git over HTTPS, `ssh_key` (a private key's text) and
    `known_hosts` (lines) for SSH. `environment` is what its manifests may read, beside what every program needs.
    With `submodules` they are checked out, too. `requests` says whether pull requests get their plan, `forks` whether
    those from other repositories do.
    """

    name: str
    url: str
    branch: str = "main"
    folders: tuple[str, ...] = ("manifests",)
    poll: float = 60.0
    username: str = ""
    token: Secret | None = None
    ssh_key: Secret | None = None
    known_hosts: str = ""
    host: Host = field(default_factory=Host)
    signed: Signed | None = None
    policies: Policies = field(default_factory=Policies)
    environment: Mapping[str, str] = field(default_factory=dict)
    requests: bool = True
    forks: bool = False
    submodules: bool = True


@noun
class Token:
    """A bearer token for the API and for signing in."""

    name: str
    role: Role
    value: Secret


@noun
class Oidc:
    """Sign-in by OpenID Connect: `issuer` is a URL with a discovery document; who is in a group of `act` (claim
    `claim`) may act, who is in one of `look` may look ("*": everybody who can sign in).
    """

    issuer: str
    client_id: str
    client_secret: Secret
    claim: str = "groups"
    act: tuple[str, ...] = ()
    look: tuple[str, ...] = ()


@noun
class Proxy:
    """A reverse proxy before the server, at these addresses (CIDR): its X-Forwarded-* count, and TLS is its work. Where
    `user` names a header, it has signed the user in; `role` is what such a user may do.
    """

    addresses: tuple[str, ...]
    user: str = ""
    role: Role = "look"


@noun
class Access:
    """Who may come in. On loopback without any of these everybody may act. `metrics` says who may read /metrics: who
    may look, or, too, whatever asks from this machine.
    """

    tokens: tuple[Token, ...] = ()
    oidc: Oidc | None = None
    certificate: Path | None = None
    key: Path | None = None
    proxy: Proxy | None = None
    metrics: Literal["look", "loopback"] = "look"


@noun
class Messages:
    """Where messages go: a webhook's URL (a secret), whose shape it takes, and what is told."""

    name: str
    kind: Literal["webhook", "slack", "teams"]
    url: Secret
    on: tuple[str, ...] = ("failed", "recovered", "proposed", "approval", "drift", "repository")
    secret: Secret | None = None


@noun
class Settings:
    """All of the config file. `host` and `port` are where it listens, `url` how people reach it (links), `runs` how
    many jobs it does at a time, `keep` how many days ended jobs are kept. `traces` is an OTLP endpoint, or empty.
    """

    path: Path
    repositories: Mapping[str, Repository]
    host: str = "127.0.0.1"
    port: int = 8800
    url: str = ""
    runs: int = 2
    keep: float = 90.0
    access: Access = field(default_factory=Access)
    messages: tuple[Messages, ...] = ()
    traces: str = ""
    secrets: tuple[Secret, ...] = ()
    data: Any = None


def watched(settings: Settings) -> list[str]:
    """What a server with these settings watches: a line for each repository."""
    return [
        f"watches {one.name}: {one.url}, branch {one.branch}, {', '.join(one.folders)}, every {one.poll:g} s"
        + _hosted(one)
        for one in settings.repositories.values()
    ]


def _hosted(one: Repository) -> str:
    """What its host is asked for, and what it may say."""
    told = f"; statuses and comments to {one.host.kind} {one.host.project}" if one.host.kind and one.host.token else ""
    return told + (f"; webhooks at /hooks/{one.name}" if one.host.webhook_secret else "")


__all__ = [
    "Access",
    "Host",
    "HostKind",
    "Messages",
    "Oidc",
    "Policies",
    "Proxy",
    "Repository",
    "Role",
    "Settings",
    "Signed",
    "Token",
    "watched",
]
