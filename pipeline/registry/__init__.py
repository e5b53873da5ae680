"""OCI registries: the distribution client, its authentication, and transfers from and to the store.

`Registries` opens repositories; `transfers` pushes, pulls and copies images; `credentials` is for logging in.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pipeline import reference
from pipeline.http import Http, Transport
from pipeline.manifest.model import Azure, Registry, Retry, Timeouts
from pipeline.reference import Reference
from pipeline.registry.client import RegistryClient
from pipeline.registry.credentials import Keychain
from pipeline.registry.repository import Repository

if TYPE_CHECKING:
    from pipeline.registry.credentials import Credential, Entra

_CERTS_D = Path("/etc/docker/certs.d")


@dataclass
class Registries:
    """Every registry that a run talks to, one client for each; made for one run, shared by its threads.

    `given` are the manifest's registries; an address that begins with `http://` allows plain HTTP. `ca_files` maps
    hosts to certificate authorities (PEM), beside Docker's own /etc/docker/certs.d/HOST/ca.crt. `transport` stands in
    for the network. `waiting(text, seconds)` tells why a request waits before it is tried again. `entra` gives the
    identities that sign in to registries of Azure; without it nobody does.
    """

    environ: Mapping[str, str]
    given: Iterable[Registry] = ()
    extra: Iterable[Credential] = ()
    ca_files: Mapping[str, Path] = field(default_factory=dict)
    transport: Transport | None = None
    retry: Retry = field(default_factory=Retry)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    waiting: Callable[[str, float], None] = lambda _text, _seconds: None
    timeouts: Timeouts = field(default_factory=Timeouts)
    entra: Callable[[Azure, str], Entra] | None = None

    def __post_init__(self) -> None:
        self.given = tuple(self.given)
        self._keychain = Keychain(self.environ, self.given, self.extra, self.entra)
        self._clients: dict[str, RegistryClient] = {}
        self._https: list[Http] = []
        self._lock = threading.Lock()

    def repository(self, where: Reference | str) -> Repository:
        """A repository, by name or by an image in it; UsageError for a name that is none."""
        if isinstance(where, str):
            where = reference.repository(where.removeprefix("http://").removeprefix("https://"))
        return Repository(self.client(where.registry, where.repository), where.repository)

    def client(self, registry: str, path: str = "") -> RegistryClient:
        """The client of a registry, with the credentials for the repositories under `path`."""
        credential = self._keychain.find(registry, path)
        key = f"{registry} {credential.key if credential else ''}"
        with self._lock:
            if key not in self._clients:
                host = reference.api_host(registry)
                self._clients[key] = RegistryClient(
                    registry,
                    host,
                    self._transport(host),
                    credential,
                    scheme="http" if self._plain(registry) else "",
                    policy=self.retry,
                    sleep=self.sleep,
                    clock=self.clock,
                    waiting=self.waiting,
                )
            return self._clients[key]

    def given_credential(self, where: Reference) -> Credential | None:
        """What the manifest says for a repository, whatever Docker's config file does; for handing on."""
        found = self._keychain.given(where.registry, where.repository)
        if found is None or found.entra is None:
            return found
        token = self.client(where.registry, where.repository).identity_token()
        return replace(found, password=token, entra=None)

    def close(self) -> None:
        """Closes all connections."""
        for http in self._https:
            http.close()

    def _plain(self, registry: str) -> bool:
        addresses = (urlsplit(entry.address) for entry in self.given)
        return any(address.scheme == "http" and address.netloc.lower() == registry for address in addresses)

    def _transport(self, host: str) -> Transport:
        if self.transport is not None:
            return self.transport
        file = self.ca_files.get(host)
        if file is None and (known := _CERTS_D / host / "ca.crt").is_file():
            file = known
        self._https.append(Http(self.environ, file, self.timeouts.connect, self.timeouts.read))
        return self._https[-1]
