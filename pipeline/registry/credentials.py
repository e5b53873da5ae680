"""Who one is to a registry: credentials of the manifest, of Docker's config file, and of its credential helpers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Azure, Registry, Secret
from pipeline.noun import noun
from pipeline.reference import DOCKER_HUB, is_azure

TOKEN_USER = "<token>"
"""The user name by which a credential helper says that its secret is an identity token."""
ACR_USER = "00000000-0000-0000-0000-000000000000"
"""The user name by which Azure's registries take a refresh token as the password."""
_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_TIMEOUT = 60
_NONE = "credentials not found"


@noun
class Credential:
    """A user's name and password, or an identity token (OAuth2 refresh token), or what gives access tokens of Entra.

    `registry` is the host, and perhaps a path prefix, that it is for; `source` says where it came from. `entra` is
    asked whenever a token is needed, and may raise OutOfReach or UsageError; with `last_resort` only for what is not
    open to everybody.
    """

    registry: str
    source: str
    username: str = ""
    password: Secret = field(default=Secret(""), repr=False)
    identity_token: Secret = field(default=Secret(""), repr=False)
    entra: Callable[[], Secret] | None = field(default=None, repr=False)
    tenant: str = ""
    last_resort: bool = False

    @property
    def key(self) -> str:
        """Tells credentials apart; holds no secret."""
        return f"{self.registry} {self.username} {self.source}"

    def __str__(self) -> str:
        if self.entra is not None:
            return self.source
        who = f"user {self.username!r}" if self.username and self.username != TOKEN_USER else "the token"
        return f"{who} from {self.source}"


class Entra(Protocol):
    """An identity of Microsoft Entra; its text says whose."""

    @property
    def tenant(self) -> str: ...

    def token(self) -> Secret:
        """An access token for registries. OutOfReach with the service's words, UsageError."""
        ...


class Keychain:
    """Finds the credentials for a registry: those given by the caller, then the manifest's, then Docker's; at last, for
    a registry of Azure, the user's own identity. `entra` gives identities for settings and a host.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        registries: Iterable[Registry] = (),
        extra: Iterable[Credential] = (),
        entra: Callable[[Azure, str], Entra] | None = None,
    ) -> None:
        self._environ = environ
        self._entra = entra
        self._given = [*extra, *(found for entry in registries if (found := self._of_manifest(entry)))]
        self._found: dict[str, Credential | None] = {}

    def find(self, registry: str, path: str = "") -> Credential | None:
        """The credential with the longest matching address; None to go without. OutOfReach for a helper that fails."""
        if given := self.given(registry, path):
            return given
        if registry not in self._found:
            self._found[registry] = of_docker(registry, self._environ) or self._own(registry)
        return self._found[registry]

    def _of_manifest(self, entry: Registry) -> Credential | None:
        if entry.azure is None or self._entra is None:
            return _of_manifest(entry)
        address = _address(entry)
        who = self._entra(entry.azure, address.partition("/")[0])
        return _entra(address, who, f"{who}, as registries.{entry.name} of the manifest says")

    def _own(self, registry: str) -> Credential | None:
        if self._entra is None or not is_azure(registry):
            return None
        who = self._entra(Azure(), registry)
        return replace(_entra(registry, who, str(who)), last_resort=True)

    def given(self, registry: str, path: str = "") -> Credential | None:
        """The same of those that the caller and the manifest give alone."""
        name = f"{registry}/{path}".rstrip("/")
        matching = [c for c in self._given if name == c.registry or name.startswith(c.registry + "/")]
        return max(matching, key=lambda credential: len(credential.registry), default=None)


def _of_manifest(entry: Registry) -> Credential | None:
    if not entry.username and entry.password is None:
        return None
    source = f"registries.{entry.name} of the manifest"
    if not entry.username or entry.password is None or not entry.password.reveal():
        missing = "password" if entry.username else "username"
        raise UsageError(
            f"registries.{entry.name}: the {missing} is missing",
            remedy=f"give both username and password, or neither, for {_address(entry)}",
            place=entry.location if entry.location.file else None,
        )
    return Credential(_address(entry), source, entry.username, entry.password)


def _address(entry: Registry) -> str:
    return (entry.address.partition("://")[2] or entry.address).strip("/").lower()


def _entra(address: str, who: Entra, source: str) -> Credential:
    return Credential(address, source, ACR_USER, entra=who.token, tenant=who.tenant)


def config_file(environ: Mapping[str, str]) -> Path:
    """Docker's config file: in DOCKER_CONFIG, else in ~/.docker."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path(environ.get("HOME") or Path.home()) / ".docker") / "config.json"


def of_docker(registry: str, environ: Mapping[str, str]) -> Credential | None:
    """What `docker login` keeps for a registry: by a credential helper, else in the file itself."""
    file = config_file(environ)
    config = _read(file)
    helper = (config.get("credHelpers") or {}).get(registry) or config.get("credsStore")
    for key in _keys(registry):
        if helper and (found := _ask(helper, key, registry, environ)):
            return found
        entry = (config.get("auths") or {}).get(key)
        if entry and (found := _of_entry(entry, registry, file)):
            return found
    return None


def _keys(registry: str) -> list[str]:
    """The names under which Docker, Podman and older Dockers keep a registry."""
    if registry == DOCKER_HUB:
        return [_HUB_KEY, "index.docker.io", DOCKER_HUB, "registry-1.docker.io"]
    return [registry, f"https://{registry}", f"https://{registry}/v1/", f"https://{registry}/v2/", f"http://{registry}"]


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise UsageError(f"cannot read {file}: {reason}", remedy="mend it, or log in again") from None
    if not isinstance(value, dict):
        raise UsageError(f"cannot read {file}: it is no JSON object", remedy="mend it, or log in again")
    return value


def _of_entry(entry: Mapping[str, Any], registry: str, file: Path) -> Credential | None:
    import base64
    import binascii

    token = str(entry.get("identitytoken") or "")
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if auth := entry.get("auth"):
        try:
            username, _, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError, TypeError):
            raise UsageError(
                f"{file}: the entry for {registry} is not base64", remedy=f"log in again: pipeline login {registry}"
            ) from None
    if not token and not username:
        return None
    return Credential(registry, str(file), username, Secret(password.rstrip("\0")), Secret(token))


def _ask(helper: str, key: str, registry: str, environ: Mapping[str, str]) -> Credential | None:
    """`docker-credential-HELPER get` (github.com/docker/docker-credential-helpers): a server's name in, JSON out."""
    answer = _run(helper, "get", key, environ)
    if answer is None:
        return None
    try:
        value = json.loads(answer)
        username, secret = str(value["Username"]), Secret(value["Secret"])
    except (ValueError, TypeError, KeyError):
        raise OutOfReach(f"docker-credential-{helper} answers nonsense for {key}", remedy="check the helper") from None
    if not secret.reveal():
        return None
    source = f"docker-credential-{helper}"
    if username == TOKEN_USER:
        return Credential(registry, source, username, identity_token=secret)
    return Credential(registry, source, username, secret)


def _run(helper: str, action: str, data: str, environ: Mapping[str, str]) -> str | None:
    """What the helper prints; None where it has nothing."""
    import shutil
    import subprocess

    program = shutil.which(f"docker-credential-{helper}", path=environ.get("PATH", os.defpath))
    if program is None:
        raise OutOfReach(
            f"docker-credential-{helper}, which Docker's config names, is not installed",
            remedy="install it, or take credsStore and credHelpers out of the config",
            lasting=True,
        )
    try:
        done = subprocess.run(
            [program, action], input=data, capture_output=True, text=True, env=dict(environ), timeout=_HELPER_TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise OutOfReach(f"docker-credential-{helper} {action} failed: {type(error).__name__}") from None
    if done.returncode == 0:
        return done.stdout
    if action == "get" and _NONE in (done.stdout + done.stderr).lower():
        return None
    reason = (done.stdout.strip() or done.stderr.strip())[:200] if action == "get" else f"exit code {done.returncode}"
    raise OutOfReach(
        f"docker-credential-{helper} {action} failed: {reason}", remedy="check the helper, or log in again"
    )


def save(credential: Credential, environ: Mapping[str, str]) -> str:
    """Keeps a credential as `docker login` does; gives where: the helper's or the file's name."""
    import base64

    file = config_file(environ)
    config = _read(file)
    key = _keys(credential.registry)[0]
    token = credential.identity_token.reveal()
    helper = (config.get("credHelpers") or {}).get(credential.registry) or config.get("credsStore")
    if helper:
        username = TOKEN_USER if token else credential.username
        secret = token or credential.password.reveal()
        _run(helper, "store", json.dumps({"ServerURL": key, "Username": username, "Secret": secret}), environ)
        return f"docker-credential-{helper}"
    pair = f"{credential.username}:{'' if token else credential.password.reveal()}"
    entry = {"auth": base64.b64encode(pair.encode()).decode()} | ({"identitytoken": token} if token else {})
    config.setdefault("auths", {})[key] = entry
    _write(file, config)
    return str(file)


def _write(file: Path, config: Mapping[str, Any]) -> None:
    import tempfile

    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A link to a file kept elsewhere stays one.
        file = file.resolve()
        handle, name = tempfile.mkstemp(dir=file.parent)
        with os.fdopen(handle, "w") as out:
            json.dump(config, out, indent="\t")
        Path(name).replace(file)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}", remedy="check the folder's permissions") from None
