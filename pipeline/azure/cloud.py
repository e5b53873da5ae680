"""Which Azure is meant: the public one, a national one, or one whose addresses the environment names."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.noun import noun


@noun
class Cloud:
    """Where one signs in (`authority`), where resources are managed (`manager`), and the domain of registries."""

    authority: str
    manager: str
    suffix: str
    known: bool = True

    @property
    def audience(self) -> str:
        """The scope of tokens for registries; in national clouds these take the ones for managing resources."""
        return "https://containerregistry.azure.net/.default" if self.suffix == "azurecr.io" else self.scope

    @property
    def scope(self) -> str:
        """The scope of tokens for managing resources."""
        return f"{self.manager}/.default"


PUBLIC = Cloud("https://login.microsoftonline.com", "https://management.azure.com", "azurecr.io")
CLOUDS = (
    PUBLIC,
    Cloud("https://login.microsoftonline.us", "https://management.usgovcloudapi.net", "azurecr.us"),
    Cloud("https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn", "azurecr.cn"),
)


def cloud_of(environ: Mapping[str, str], registry: str = "") -> Cloud:
    """The cloud of a registry's host; AZURE_AUTHORITY_HOST and AZURE_RESOURCE_MANAGER_ENDPOINT come first."""
    authority = _url(environ.get("AZURE_AUTHORITY_HOST", ""))
    manager = _url(environ.get("AZURE_RESOURCE_MANAGER_ENDPOINT", ""))
    by_authority = (cloud for cloud in CLOUDS if cloud.authority == authority)
    by_host = (cloud for cloud in CLOUDS if registry.endswith(f".{cloud.suffix}"))
    found = next(by_host, None) or next(by_authority, PUBLIC)
    known = not authority or any(cloud.authority == authority for cloud in CLOUDS)
    return Cloud(authority or found.authority, manager or found.manager, found.suffix, known)


def _url(text: str) -> str:
    text = text.strip().rstrip("/")
    return text if not text or "://" in text else f"https://{text}"
