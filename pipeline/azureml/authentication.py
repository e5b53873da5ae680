"""Who signs in, under the names of the SDK: a local workspace asks nobody; tokens for Azure are azure-identity's."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipeline.azureml.exceptions import UserErrorException
from pipeline.manifest.model import Azure, Secret


class AbstractAuthentication:
    """Somebody who may sign in to Azure."""

    def __init__(self, azure: Azure) -> None:
        self._azure = azure

    def get_token(self, scope: str = "") -> str:
        """An access token of Entra for `scope`, by default the management of resources. OutOfReach with the service's
        words; UsageError where the extra `azure` is not installed.
        """
        from pipeline.azure.identity import identity_of

        identity = identity_of(self._azure, "", os.environ)
        return identity.token(scope or identity.cloud.scope).reveal()

    def get_authentication_header(self) -> dict[str, str]:
        """The header of requests to Azure's resource manager. As `get_token`."""
        return {"Authorization": f"Bearer {self.get_token()}"}


class InteractiveLoginAuthentication(AbstractAuthentication):
    """Whoever azure-identity finds: the environment's variables, `az login` and the other tools."""

    def __init__(self, force: bool = False, tenant_id: str | None = None, **_azure: object) -> None:  # noqa: ARG002
        super().__init__(Azure(tenant=tenant_id or ""))


class AzureCliAuthentication(AbstractAuthentication):
    """Who is logged in with `az login`."""

    def __init__(self, **_azure: object) -> None:
        super().__init__(Azure(login="cli"))


class MsiAuthentication(AbstractAuthentication):
    """The managed identity of this machine; `identity_config` may name one by its client_id."""

    def __init__(self, identity_config: Mapping[str, str] | None = None, **_azure: object) -> None:
        super().__init__(Azure(login="managed", client_id=(identity_config or {}).get("client_id", "")))


class ServicePrincipalAuthentication(AbstractAuthentication):
    """A service principal. Its password stays in memory. UserErrorException for what is missing."""

    def __init__(
        self, tenant_id: str, service_principal_id: str, service_principal_password: str, **_azure: object
    ) -> None:
        given = {
            "tenant_id": tenant_id,
            "service_principal_id": service_principal_id,
            "service_principal_password": service_principal_password,
        }
        if missing := [name for name, value in given.items() if not value]:
            raise UserErrorException(f"a service principal needs {' and '.join(missing)}")
        secret = Secret(service_principal_password)
        super().__init__(Azure(tenant=tenant_id, client_id=service_principal_id, client_secret=secret))


__all__ = [
    "AzureCliAuthentication",
    "InteractiveLoginAuthentication",
    "MsiAuthentication",
    "ServicePrincipalAuthentication",
]
