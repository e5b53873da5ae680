"""Where a service runs and with what, as deploymentconfig.json has it: on this machine, on ACI or on AKS.

Keys are those that `az ml model deploy --dc` read (azureml-core, `_model_management._util.deploy_config_dict_to_obj`);
attributes those of the SDK's `deploy_configuration(...)`. Unset is None: the target's own default holds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pipeline.azureml.deployment_rules import flaws_of_aci, flaws_of_aks, flaws_of_local
from pipeline.azureml.document import Document, load
from pipeline.azureml.elements import TYPES, checked, mapping, unknown
from pipeline.azureml.exceptions import UserErrorException, WebserviceException
from pipeline.azureml.secret_text import as_secret, reference
from pipeline.errors import Diagnostic
from pipeline.manifest.model import Path_
from pipeline.manifest.words import suggestion
from pipeline.noun import noun

KIND = "computeType"


@noun
class Setting:
    """A setting: its attribute, its path in the file, and its type (a name of `elements.TYPES`)."""

    attribute: str
    key: str
    type: str = "text"

    @property
    def path(self) -> Path_:
        return tuple(self.key.split("."))


_CPU = Setting("cpu_cores", "containerResourceRequirements.cpu", "number")
_MEMORY = Setting("memory_gb", "containerResourceRequirements.memoryInGB", "number")
_AUTH = Setting("auth_enabled", "authEnabled", "flag")
_INSIGHTS = Setting("enable_app_insights", "appInsightsEnabled", "flag")
_KEYS = (Setting("primary_key", "keys.primaryKey"), Setting("secondary_key", "keys.secondaryKey"))
SECRETS = {"primary_key": "PRIMARY_KEY", "secondary_key": "SECONDARY_KEY"}
"""Attributes that are secret, and the environment variable that stands for each in a file."""


class DeploymentConfig:
    """A deployment configuration; the attributes are those of SETTINGS. UserErrorException or WebserviceException for
    what cannot be, naming attributes here, and keys where it was read from a file.
    """

    COMPUTE_TYPE: ClassVar[str] = ""
    SETTINGS: ClassVar[tuple[Setting, ...]] = ()
    NAMES: ClassVar[tuple[str, ...]] = ("description", "tags", "properties", "location", *SECRETS)
    """Attributes that every one has, as in the SDK."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...

    def __init__(self, **settings: Any) -> None:
        known = dict.fromkeys((*(each.attribute for each in self.SETTINGS), *self.NAMES))
        for name in settings:
            if name not in known:
                hint = suggestion(name, known, label="there are")
                raise TypeError(f"{type(self).__name__} has no setting {name}: {hint}")
        for name in known:
            value = settings.get(name)
            setattr(self, name, as_secret(value) if name in SECRETS and value else value)
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """WebserviceException with all that is wrong."""
        wrong = [text for _, text, _ in self._flaws({each.attribute: each.attribute for each in self.SETTINGS})]
        if wrong:
            raise WebserviceException("\n".join(wrong))

    def _flaws(self, names: dict[str, str]) -> list[tuple[str, str, str]]:
        """(attribute, what is wrong, what would be right); settings are called as `names` has them."""
        found = []
        for each in self.SETTINGS:
            value = getattr(self, each.attribute)
            if value is not None and not TYPES[each.type][0](value):
                found.append((each.attribute, f"{names[each.attribute]} is not {TYPES[each.type][1]}", ""))
        return found or self._rules(names)

    def _rules(self, names: dict[str, str]) -> list[tuple[str, str, str]]:
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """What is set, as deploymentconfig.json has it; of a secret the reference to its variable."""
        found: dict[str, Any] = {KIND: self.COMPUTE_TYPE}
        for each in self.SETTINGS:
            value = getattr(self, each.attribute)
            if value is None:
                continue
            if each.attribute in SECRETS:
                value = reference(value, SECRETS[each.attribute])
            *above, last = each.path
            part = found
            for key in above:
                part = part.setdefault(str(key), {})
            part[str(last)] = value
        return found

    def to_file(self, path: str | Path) -> None:
        """Writes deploymentconfig.json."""
        Path(path).write_text(json.dumps(self.to_json(), indent=4) + "\n", encoding="utf-8")

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if type(other) is type(self) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_json()!r})"


class LocalWebserviceDeploymentConfiguration(DeploymentConfig):
    """On this machine, at a port; without one, any that is free."""

    COMPUTE_TYPE = "local"
    SETTINGS = (Setting("port", "port", "count"),)

    def __init__(self, port: int | None = None, **settings: Any) -> None:
        super().__init__(port=port, **settings)

    def _rules(self, names: dict[str, str]) -> list[tuple[str, str, str]]:
        return list(flaws_of_local(vars(self), names))


class AciServiceDeploymentConfiguration(DeploymentConfig):
    """On Azure Container Instances."""

    COMPUTE_TYPE = "aci"
    SETTINGS = (
        _CPU,
        _MEMORY,
        Setting("location", "location"),
        _AUTH,
        Setting("ssl_enabled", "sslEnabled", "flag"),
        _INSIGHTS,
        Setting("ssl_cert_pem_file", "sslCertificate"),
        Setting("ssl_key_pem_file", "sslKey"),
        Setting("ssl_cname", "cname"),
        Setting("dns_name_label", "dnsNameLabel"),
        Setting("cmk_vault_base_url", "vaultBaseUrl"),
        Setting("cmk_key_name", "keyName"),
        Setting("cmk_key_version", "keyVersion"),
        Setting("vnet_name", "vnetName"),
        Setting("subnet_name", "subnetName"),
        *_KEYS,
    )
    NAMES = (*DeploymentConfig.NAMES, "collect_model_data")

    def _rules(self, names: dict[str, str]) -> list[tuple[str, str, str]]:
        return list(flaws_of_aci(vars(self), names, lambda path: Path(path).exists()))


class AksServiceDeploymentConfiguration(DeploymentConfig):
    """On Azure Kubernetes Service."""

    COMPUTE_TYPE = "aks"
    SETTINGS = (
        Setting("autoscale_enabled", "autoScaler.autoscaleEnabled", "flag"),
        Setting("autoscale_min_replicas", "autoScaler.minReplicas", "count"),
        Setting("autoscale_max_replicas", "autoScaler.maxReplicas", "count"),
        Setting("autoscale_refresh_seconds", "autoScaler.refreshPeriodInSeconds", "count"),
        Setting("autoscale_target_utilization", "autoScaler.targetUtilization", "count"),
        Setting("collect_model_data", "dataCollection.storageEnabled", "flag"),
        _AUTH,
        _CPU,
        _MEMORY,
        Setting("cpu_cores_limit", "containerResourceRequirements.cpuLimit", "number"),
        Setting("memory_gb_limit", "containerResourceRequirements.memoryInGBLimit", "number"),
        _INSIGHTS,
        Setting("scoring_timeout_ms", "scoringTimeoutMs", "count"),
        Setting("replica_max_concurrent_requests", "maxConcurrentRequestsPerContainer", "count"),
        Setting("max_request_wait_time", "maxQueueWaitMs", "count"),
        Setting("num_replicas", "numReplicas", "count"),
        *_KEYS,
        Setting("gpu_cores", "gpuCores", "count"),
        Setting("period_seconds", "livenessProbeRequirements.periodSeconds", "count"),
        Setting("initial_delay_seconds", "livenessProbeRequirements.initialDelaySeconds", "count"),
        Setting("timeout_seconds", "livenessProbeRequirements.timeoutSeconds", "count"),
        Setting("success_threshold", "livenessProbeRequirements.successThreshold", "count"),
        Setting("failure_threshold", "livenessProbeRequirements.failureThreshold", "count"),
        Setting("namespace", "namespace"),
        Setting("token_auth_enabled", "tokenAuthEnabled", "flag"),
        Setting("compute_target_name", "computeTargetName"),
    )
    NAMES = (*DeploymentConfig.NAMES, "blobfuse_enabled")

    def _rules(self, names: dict[str, str]) -> list[tuple[str, str, str]]:
        return list(flaws_of_aks(vars(self), names))


CLASSES: dict[str, type[DeploymentConfig]] = {
    each.COMPUTE_TYPE: each
    for each in (
        LocalWebserviceDeploymentConfiguration,
        AciServiceDeploymentConfiguration,
        AksServiceDeploymentConfiguration,
    )
}


def read_deployment(path: str | Path) -> DeploymentConfig:
    """The configuration in a file, JSON or YAML. UserErrorException with the place and key of all that is wrong."""
    return from_document(load(Path(path)))


def from_document(document: Document) -> DeploymentConfig:
    """As `read_deployment`, of data."""
    value = mapping(document.value, document, ())
    kind = _kind(value, document)
    by_path = {each.path: each for each in kind.SETTINGS}
    made = kind()
    for key, part in value.items():
        if key != KIND:
            _set(made, part, document, (key,), by_path)
    names = {each.attribute: each.key for each in kind.SETTINGS}
    found = made._flaws(names)
    if len(found) == 1:
        attribute, text, remedy = found[0]
        raise document.wrong(_path(kind, attribute), text, remedy)
    if found:
        told = [str(Diagnostic(document.where(_path(kind, name)), text, remedy)) for name, text, remedy in found]
        raise UserErrorException("\n".join(told))
    return made


def _kind(value: dict[str, Any], document: Document) -> type[DeploymentConfig]:
    if KIND not in value:
        raise document.wrong((), f"{KIND} is missing", f"one of {', '.join(CLASSES)}")
    name = checked("text", value[KIND], document, (KIND,)).lower()
    if name not in CLASSES:
        known = suggestion(name, CLASSES, label="there are")
        raise document.wrong((KIND,), f"unknown {KIND} '{value[KIND]}'", known)
    return CLASSES[name]


def _set(made: DeploymentConfig, value: Any, document: Document, path: Path_, by_path: dict[Path_, Setting]) -> None:
    if value is None:
        return
    if each := by_path.get(path):
        value = checked(each.type, value, document, path)
        setattr(made, each.attribute, as_secret(value) if each.attribute in SECRETS else value)
        return
    inside = tuple(str(known[len(path)]) for known in by_path if known[: len(path)] == path)
    if not inside:
        around = tuple(
            dict.fromkeys(str(known[len(path) - 1]) for known in by_path if known[: len(path) - 1] == path[:-1])
        )
        raise unknown(str(path[-1]), around, document, path[:-1])
    for key, part in mapping(value, document, path).items():
        _set(made, part, document, (*path, key), by_path)


def _path(kind: type[DeploymentConfig], attribute: str) -> Path_:
    return next((each.path for each in kind.SETTINGS if each.attribute == attribute), ())


__all__ = [
    "AciServiceDeploymentConfiguration",
    "AksServiceDeploymentConfiguration",
    "DeploymentConfig",
    "LocalWebserviceDeploymentConfiguration",
    "read_deployment",
]
