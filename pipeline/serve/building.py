"""Checked data of the server's config file as frozen settings, with defaults filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.manifest.build import seconds
from pipeline.manifest.model import Secret
from pipeline.manifest.secrets import names_a_secret, reveal, without_secrets
from pipeline.serve import addresses
from pipeline.serve.settings import (
    Access,
    Host,
    Messages,
    Oidc,
    Policies,
    Proxy,
    Repository,
    Settings,
    Signed,
    Token,
)

# Names that hosts take beside a token: GitHub's and GitLab's documentation, "HTTPS with a token".
_USERS = {"github": "x-access-token", "gitlab": "oauth2"}


def build(path: Path, data: Any, environ: Mapping[str, str], secrets: tuple[Secret, ...]) -> Settings:
    """The settings. `secrets` are those found so far; those of the environment are added."""
    folder = path.parent
    repositories = {name: _repository(name, one, folder, environ) for name, one in data.get("repositories", {}).items()}
    passed = [value for one in repositories.values() for value in one.environment.values()]
    every = {reveal(one): one for one in (*secrets, *(value for value in passed if isinstance(value, Secret)))}
    host, _, port = data.get("listen", "127.0.0.1:8800").rpartition(":")
    return Settings(
        path=path,
        repositories=repositories,
        host=host.strip("[]"),
        port=int(port),
        url=data.get("url", "").rstrip("/"),
        runs=data.get("runs", 2),
        keep=float(str(data.get("keep", "90d")).removesuffix("d")),
        access=_access(data.get("access", {}), folder),
        messages=tuple(_message(name, one) for name, one in data.get("messages", {}).items()),
        traces=data.get("traces", ""),
        secrets=tuple(every.values()),
        data=without_secrets(data),
    )


def _repository(name: str, one: Mapping[str, Any], folder: Path, environ: Mapping[str, str]) -> Repository:
    url = addresses.normal(reveal(one["url"]), folder)
    host = _host(url, one.get("host"))
    token = one.get("token")
    if token is None and addresses.scheme(url) == "https":
        token = host.token
    username = reveal(one.get("username", "")) or (_USERS.get(host.kind, "pipeline") if token else "")
    requests = one.get("pull_requests", {})
    return Repository(
        name=name,
        url=url,
        branch=one.get("branch", "main"),
        folders=tuple(_folder(each) for each in one.get("folders", ["manifests"])),
        poll=seconds(one.get("poll", 60)),
        username=username,
        token=token,
        ssh_key=_ended(one.get("ssh_key")),
        known_hosts=reveal(one.get("known_hosts", "")),
        host=host,
        signed=_signed(one["signed"], folder) if "signed" in one else None,
        policies=_policies(one),
        environment=_environment(one.get("environment", []), environ),
        requests=requests.get("plan", True),
        forks=requests.get("forks", False),
        submodules=one.get("submodules", True),
    )


def _folder(text: str) -> str:
    return "/".join(part for part in text.split("/") if part not in ("", ".")) or "."


def _host(url: str, given: Mapping[str, Any] | None) -> Host:
    """What is given of the API, and else what the address says. Nothing given: no token, and so no API."""
    if given is None:
        return replace(addresses.host_of(url), kind="")
    found = addresses.host_of(url, given.get("kind", ""))
    return Host(
        kind=given.get("kind", found.kind),
        api=given.get("api", found.api).rstrip("/"),
        project=given.get("project", found.project),
        token=given.get("token"),
        webhook_secret=given.get("webhook_secret"),
    )


def _ended(key: Secret | None) -> Secret | None:
    """A private key with the newline at its end that ${file:} takes away, and ssh cannot do without."""
    return Secret(key.reveal().rstrip("\n") + "\n") if key is not None else None


def _signed(one: Mapping[str, str], folder: Path) -> Signed:
    return Signed(**{kind: str(folder / file) for kind, file in one.items()})


def _policies(one: Mapping[str, Any]) -> Policies:
    drift = one.get("drift", {})
    return Policies(
        rebuild=one.get("rebuild", "propose"),
        bases=seconds(one.get("bases", 0)),
        drift=drift.get("do", "report"),
        look=seconds(drift.get("look", 600)),
        approve=one.get("approve", False),
        prune=one.get("prune", False),
    )


def _environment(given: Any, environ: Mapping[str, str]) -> Mapping[str, str]:
    """What is passed on; what is called as secrets are is one."""
    values = {name: environ[name] for name in given} if isinstance(given, list) else given
    return {name: _value(name, value) for name, value in values.items()}


def _value(name: str, value: Any) -> str:
    if isinstance(value, str):
        return Secret(value) if names_a_secret(name) and value and not isinstance(value, Secret) else value
    return str(value).lower() if isinstance(value, bool) else str(value)


def _access(one: Mapping[str, Any], folder: Path) -> Access:
    tls, oidc, proxy = one.get("tls"), one.get("oidc"), one.get("proxy")
    return Access(
        tokens=tuple(Token(name, each["role"], each["token"]) for name, each in one.get("tokens", {}).items()),
        oidc=_oidc(oidc) if oidc else None,
        certificate=folder / tls["certificate"] if tls else None,
        key=folder / tls["key"] if tls else None,
        proxy=Proxy(tuple(proxy["addresses"]), proxy.get("user", ""), proxy.get("role", "look")) if proxy else None,
        metrics=one.get("metrics", "look"),
    )


def _oidc(one: Mapping[str, Any]) -> Oidc:
    groups = {key: tuple(one.get(key, ())) for key in ("act", "look")}
    return Oidc(
        issuer=one["issuer"].rstrip("/"),
        client_id=one["client_id"],
        client_secret=one["client_secret"],
        claim=one.get("claim", "groups"),
        **groups,
    )


def _message(name: str, one: Mapping[str, Any]) -> Messages:
    more = {"on": tuple(one["on"])} if "on" in one else {}
    for kind in ("slack", "teams"):
        if kind in one:
            return Messages(name, kind, one[kind], **more)  # type: ignore[arg-type]
    return Messages(name, "webhook", one["webhook"], secret=one.get("secret"), **more)


__all__ = ["build"]
