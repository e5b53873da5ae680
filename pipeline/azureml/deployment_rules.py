"""What a deployment configuration may not say, by the SDK's rules (azureml-core 1.61, `validate_configuration`).

Each flaw is (attribute, what is wrong, what would be right); settings are called as `names` has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Flaw = tuple[str, str, str]
Values = Mapping[str, Any]
Names = Mapping[str, str]

NAMESPACE = r"[a-z0-9]([a-z0-9-]{,61}[a-z0-9])?"
_AUTOSCALE = (
    "autoscale_min_replicas",
    "autoscale_max_replicas",
    "autoscale_refresh_seconds",
    "autoscale_target_utilization",
)
_POSITIVE = (
    *("cpu_cores", "memory_gb", "period_seconds", "initial_delay_seconds", "timeout_seconds", "success_threshold"),
    *("failure_threshold", "scoring_timeout_ms", "replica_max_concurrent_requests", "max_request_wait_time"),
    *("num_replicas", *_AUTOSCALE),
)


def flaws_of_local(values: Values, names: Names) -> Iterator[Flaw]:
    port = values["port"]
    if port is not None and not 1 <= port <= 65535:
        yield "port", f"{names['port']} is {port}", "a whole number from 1 to 65535"


def flaws_of_aci(values: Values, names: Names, exists: Callable[[str], bool]) -> Iterator[Flaw]:
    yield from _positive(values, names)
    ssl = ("ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname")
    if values["ssl_enabled"]:
        for name in ssl:
            if not values[name]:
                yield (
                    "ssl_enabled",
                    f"{names['ssl_enabled']} is on, and {names[name]} is missing",
                    f"give {names[name]}",
                )
            elif name != "ssl_cname" and not exists(values[name]):
                yield (
                    name,
                    f"{names[name]}: there is no file {values[name]}",
                    "paths are relative to the current folder",
                )
    yield from _all_or_none(values, names, ("cmk_vault_base_url", "cmk_key_name", "cmk_key_version"))
    yield from _all_or_none(values, names, ("vnet_name", "subnet_name"))


def flaws_of_aks(values: Values, names: Names) -> Iterator[Flaw]:
    yield from _positive(values, names)
    for low, high in (("cpu_cores", "cpu_cores_limit"), ("memory_gb", "memory_gb_limit")):
        if values[low] is not None and values[high] is not None and values[high] < values[low]:
            text = f"{names[high]} is {values[high]}, less than {names[low]}: {values[low]}"
            yield high, text, f"at least {values[low]}"
    if values["gpu_cores"] is not None and values["gpu_cores"] < 0:
        yield "gpu_cores", f"{names['gpu_cores']} is negative", "0 or more"
    if values["namespace"] and not re.fullmatch(NAMESPACE, values["namespace"]):
        remedy = "at most 63 lower-case letters, digits and '-', which does not begin or end it"
        yield "namespace", f"'{values['namespace']}' is no namespace of Kubernetes", remedy
    yield from _scaling(values, names)
    if values["token_auth_enabled"] and values["auth_enabled"]:
        text = f"{names['auth_enabled']} and {names['token_auth_enabled']} are both on"
        yield "token_auth_enabled", text, "keep one: keys, or tokens"


def _scaling(values: Values, names: Names) -> Iterator[Flaw]:
    enabled, replicas = values["autoscale_enabled"], values["num_replicas"]
    if enabled:
        if replicas:
            yield "num_replicas", f"{names['num_replicas']} is given, and autoscaling is on", "keep one of the two"
        low, high = values["autoscale_min_replicas"], values["autoscale_max_replicas"]
        if low and high and low > high:
            text = f"{names['autoscale_min_replicas']} is {low}, more than {names['autoscale_max_replicas']}: {high}"
            yield "autoscale_min_replicas", text, f"at most {high}"
        return
    if enabled is False and not replicas:
        text = f"autoscaling is off, and {names['num_replicas']} is missing"
        yield "autoscale_enabled", text, f"give {names['num_replicas']}"
    for name in _AUTOSCALE:
        if values[name]:
            text = f"{names[name]} is given, and autoscaling is not on"
            yield name, text, f"set {names['autoscale_enabled']} to true"


def _positive(values: Values, names: Names) -> Iterator[Flaw]:
    for name in _POSITIVE:
        # What only autoscaling reads is said to be out of place without it.
        if name in _AUTOSCALE and not values.get("autoscale_enabled"):
            continue
        value = values.get(name)
        if value is not None and value <= 0:
            yield name, f"{names[name]} is {value}", "more than 0"


def _all_or_none(values: Values, names: Names, group: tuple[str, ...]) -> Iterator[Flaw]:
    given = [name for name in group if values[name]]
    missing = [name for name in group if not values[name]]
    if given and missing:
        have, want = (", ".join(names[name] for name in some) for some in (given, missing))
        yield given[0], f"{have} without {want}", f"give all of {', '.join(names[name] for name in group)}, or none"
