"""Who one is to Azure: tokens of Microsoft Entra, by azure-identity."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.azure.cloud import Cloud, cloud_of
from pipeline.azure.extra import extra
from pipeline.errors import OutOfReach, UsageError
from pipeline.http.tls import CERTIFICATES
from pipeline.manifest.model import Azure, Secret
from pipeline.manifest.secrets import mask

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_BUSY = re.compile(
    r"\bHTTP Error: (408|429|5\d\d)\b|\bJSON is invalid\b|\bExpecting value\b|AADSTS(90024|90033|90055)\b"
)
"""What azure-identity calls a failed authentication: a service, or a proxy in between, that cannot answer now
(learn.microsoft.com, "Microsoft Entra authentication and authorization error codes").
"""
MOST_WORDS = 300
"""Characters of the service's own words that are shown."""


class Identity:
    """An identity of Entra; threads share it. Tokens are kept, and renewed when they run out, by azure-identity.

    `make` stands in for azure-identity.
    """

    def __init__(
        self,
        azure: Azure,
        cloud: Cloud,
        environ: Mapping[str, str],
        make: Callable[[], TokenCredential] | None = None,
    ) -> None:
        self.cloud = cloud
        self._azure = azure
        self._environ = environ
        self._make = make or self._made
        self._credential: TokenCredential | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        azure = self._azure
        if azure.client_secret is not None:
            return f"the service principal {azure.client_id}"
        if azure.login == "managed":
            return f"the managed identity {azure.client_id}".rstrip()
        return "who is logged in with 'az login'" if azure.login == "cli" else "whoever azure-identity finds"

    @property
    def tenant(self) -> str:
        return self._azure.tenant

    @property
    def credential(self) -> TokenCredential:
        """For Azure's libraries. UsageError where they are not installed, or what was given is none."""
        with self._lock:
            if self._credential is None:
                self._credential = self._make()
            return self._credential

    def token(self, scope: str = "") -> Secret:
        """An access token; for registries when no scope is named. OutOfReach with the service's words."""
        credential = self.credential
        with self.spoken():
            return Secret(credential.get_token(scope or self.cloud.audience).token)

    @contextmanager
    def spoken(self) -> Iterator[None]:
        """Around what signs in: a refusal becomes OutOfReach, with the service's words and without the secret."""
        with extra("signing in to Azure"):
            from azure.core.exceptions import AzureError, ClientAuthenticationError
            from azure.identity import CredentialUnavailableError
        try:
            yield
        except CredentialUnavailableError as error:
            remedy = "log in with 'az login', or name a service principal under `azure`"
            raise OutOfReach(f"nobody is signed in to Azure: {self._words(error)}", remedy=remedy) from None
        except ClientAuthenticationError as error:
            if tried := _tried(str(error.message)):
                words = mask(f"tried: {', '.join(tried)}", self._hidden())
                remedy = "log in with 'az login', or name a service principal under `azure`"
                raise OutOfReach(f"nobody is signed in to Azure ({words})", remedy=remedy) from None
            if _BUSY.search(str(error.message)):
                raise OutOfReach(f"Azure does not answer: {self._words(error)}", transient=True) from None
            if error.response is not None and error.response.status_code not in (400, 401):
                raise
            remedy = "check `tenant`, `client_id` and `client_secret`, or log in again"
            raise OutOfReach(f"Azure refuses {self}: {self._words(error)}", remedy=remedy) from None
        except AzureError as error:
            if getattr(error, "response", None) is not None:
                raise
            raise OutOfReach(f"Azure does not answer: {self._words(error)}", transient=True) from None

    def _words(self, error: Exception) -> str:
        """What the service says, on one line; the trace that follows names no fault of the user's."""
        text = str(getattr(error, "message", "") or error)
        text = " ".join(text.split()).partition(" Trace ID:")[0].removesuffix(" To mitigate this issue,")
        return mask(text, self._hidden())[:MOST_WORDS]

    def _hidden(self) -> list[Secret]:
        return [self._azure.client_secret] if self._azure.client_secret else []

    def _made(self) -> TokenCredential:
        azure, options = self._azure, self._options()
        with extra("signing in to Azure"):
            import azure.identity as identity
        # What they log as a warning is told as an error, once.
        for name in ("azure", "msal"):
            logging.getLogger(name).addHandler(logging.NullHandler())
        try:
            if azure.client_secret is not None:
                secret = azure.client_secret.reveal()
                return identity.ClientSecretCredential(azure.tenant, azure.client_id, secret, **options)
            if azure.login == "managed":
                return identity.ManagedIdentityCredential(client_id=azure.client_id or None)
            if azure.login == "cli":
                return identity.AzureCliCredential(tenant_id=azure.tenant)
            return identity.DefaultAzureCredential(**options, **self._named())
        except ValueError as error:
            raise UsageError(f"`azure`: {self._words(error)}", remedy="correct tenant, client_id and secret") from None

    def _named(self) -> dict[str, Any]:
        azure = self._azure
        found: dict[str, Any] = {"managed_identity_client_id": azure.client_id} if azure.client_id else {}
        if azure.tenant:
            found |= dict.fromkeys(
                ("workload_identity_tenant_id", "interactive_browser_tenant_id", "shared_cache_tenant_id"), azure.tenant
            )
        return found

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"authority": self.cloud.authority, **verification(self._environ)}
        # Else the libraries ask the public cloud whether this authority is one, which it does not know.
        return options if self.cloud.known else {**options, "disable_instance_discovery": True}


def _tried(text: str) -> list[str]:
    """What azure-identity tried, one after the other; and why, of what was refused, or of `az` where nothing was."""
    lines = [" ".join(line.split()) for line in text.partition("Attempted credentials:")[2].splitlines()]
    found = [line for line in lines if re.match(r"\w+Credential: ", line)]
    if refused := [line for line in found if "AADSTS" in line]:
        return [line.partition(" Trace ID:")[0].partition(". ")[0][:MOST_WORDS] for line in refused]
    return [line if line.startswith("AzureCli") else line.partition("Credential: ")[0] for line in found]


def identity_of(azure: Azure, host: str, environ: Mapping[str, str]) -> Identity:
    """Who signs in to a registry's host as these settings say."""
    return Identity(azure, cloud_of(environ, host), environ)


def verification(environ: Mapping[str, str]) -> dict[str, Any]:
    """Whom Azure's libraries are to trust; by themselves they look at REQUESTS_CA_BUNDLE alone."""
    named = (environ.get(name, "") for name in CERTIFICATES)
    bundle = next((name for name in named if name), "")
    return {"connection_verify": bundle} if bundle else {}
