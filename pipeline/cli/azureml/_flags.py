"""Flags of `az ml model deploy` (azure-cli-ml 1.x) that stand for settings of deploymentconfig.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.errors import UsageError
from pipeline.noun import noun

if TYPE_CHECKING:
    from pipeline.azureml.deployment import DeploymentConfig

F = TypeVar("F", bound=Callable[..., Any])


@noun
class Flag:
    """A flag, its short form, the setting's attribute, the value's type, and what it says."""

    long: str
    short: str
    attribute: str
    type: Any
    help: str


FLAGS = (
    Flag("port", "po", "port", int, "Where clients call a service on this machine."),
    Flag("cpu-cores", "cc", "cpu_cores", float, "Processors, as in 0.5."),
    Flag("cpu-cores-limit", "ccl", "cpu_cores_limit", float, "The most processors."),
    Flag("memory-gb", "gb", "memory_gb", float, "Memory in GB."),
    Flag("memory-gb-limit", "gbl", "memory_gb_limit", float, "The most memory in GB."),
    Flag("gpu-cores", "gc", "gpu_cores", int, "GPUs."),
    Flag("auth-enabled", "ae", "auth_enabled", bool, "Whether callers need a key."),
    Flag("token-auth-enabled", "", "token_auth_enabled", bool, "Whether callers need a token."),
    Flag("enable-app-insights", "ai", "enable_app_insights", bool, "Whether Application Insights gets its log."),
    Flag("collect-model-data", "md", "collect_model_data", bool, "Whether its data are kept."),
    Flag("autoscale-enabled", "as", "autoscale_enabled", bool, "Whether replicas follow the load."),
    Flag("autoscale-min-replicas", "ma", "autoscale_min_replicas", int, "The fewest replicas."),
    Flag("autoscale-max-replicas", "mr", "autoscale_max_replicas", int, "The most replicas."),
    Flag("autoscale-refresh-seconds", "ar", "autoscale_refresh_seconds", int, "How often the load is looked at."),
    Flag("autoscale-target-utilization", "at", "autoscale_target_utilization", int, "The load wanted, in percent."),
    Flag("num-replicas", "nr", "num_replicas", int, "So many replicas, without scaling."),
    Flag("scoring-timeout-ms", "tm", "scoring_timeout_ms", int, "How long a request may take."),
    Flag("replica-max-concurrent-requests", "rm", "replica_max_concurrent_requests", int, "Requests at once, each."),
    Flag("max-request-wait-time", "mq", "max_request_wait_time", int, "Milliseconds that a request may wait."),
    Flag("period-seconds", "ps", "period_seconds", int, "How often it is asked whether it lives."),
    Flag("initial-delay-seconds", "ids", "initial_delay_seconds", int, "When that begins."),
    Flag("timeout-seconds", "ts", "timeout_seconds", int, "How long the answer may take."),
    Flag("success-threshold", "st", "success_threshold", int, "So many good answers in a row are well."),
    Flag("failure-threshold", "ft", "failure_threshold", int, "So many bad answers in a row are not."),
    Flag("namespace", "", "namespace", str, "The cluster's namespace."),
    Flag("location", "lo", "location", str, "The Azure region."),
    Flag("dns-name-label", "dn", "dns_name_label", str, "The first part of its host name."),
    Flag("ssl-enabled", "se", "ssl_enabled", bool, "Whether it speaks TLS."),
    Flag("ssl-cname", "sc", "ssl_cname", str, "The host name of its certificate."),
    Flag("ssl-cert-pem-file", "sp", "ssl_cert_pem_file", str, "Its certificate."),
    Flag("ssl-key-pem-file", "sk", "ssl_key_pem_file", str, "The certificate's key."),
    Flag("vnet-name", "", "vnet_name", str, "The virtual network that it joins."),
    Flag("subnet-name", "", "subnet_name", str, "The network's subnet."),
    Flag("vault-base-url", "vb", "cmk_vault_base_url", str, "The vault of the key that encrypts it."),
    Flag("key-name", "kn", "cmk_key_name", str, "That key's name."),
    Flag("key-version", "kv", "cmk_key_version", str, "That key's version."),
    Flag("primary-key", "kp", "primary_key", str, "A key for callers: ${env:NAME}."),
    Flag("secondary-key", "ks", "secondary_key", str, "A second one."),
)
_SECRETS = ("primary_key", "secondary_key")


def deployment_flags(function: F) -> F:
    """Adds them all; hidden, for deploymentconfig.json says the same: the command's help would have sixty options."""
    for flag in reversed(FLAGS):
        names = [f"--{flag.long}", *([f"--{flag.short}"] if flag.short else []), flag.attribute]
        function = click.option(*names, type=flag.type, hidden=flag.attribute != "port", help=flag.help)(function)
    return function


def apply(made: DeploymentConfig, given: Mapping[str, Any]) -> DeploymentConfig:
    """The configuration with the flags' values over its own. UsageError for one that this kind of service has not."""
    known = {each.attribute for each in made.SETTINGS}
    for flag in FLAGS:
        value = given.get(flag.attribute)
        if value is None:
            continue
        if flag.attribute not in known:
            raise UsageError(f"--{flag.long} is nothing for a service of kind {made.COMPUTE_TYPE}")
        setattr(made, flag.attribute, _secret(flag, value) if flag.attribute in _SECRETS else value)
    made.validate_configuration()
    return made


def _secret(flag: Flag, value: str) -> str:
    """Command lines are seen by every user of a machine."""
    from pipeline.azureml.secret_text import is_reference

    if not is_reference(value):
        variable = flag.long.replace("-", "_").upper()
        remedy = f"put it in a variable: --{flag.long} '${{env:{variable}}}'"
        raise UsageError(f"--{flag.long} has the key itself, which everybody on this machine can see", remedy=remedy)
    return value
