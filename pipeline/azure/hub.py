"""An IoT hub: the twins of a device's modules and its deployment, over its REST API (2021-04-12).

Signed in by a shared access policy ("Control access to IoT Hub with shared access signatures"), or by Entra.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

from pipeline.azure.calls import Calls
from pipeline.azure.extra import extra
from pipeline.azure.identity import verification
from pipeline.errors import OutOfReach, UsageError
from pipeline.manifest.model import Secret
from pipeline.targets.remote import Surroundings

Json = dict[str, Any]
VERSION = "2021-04-12"
SCOPE = "https://iothubs.azure.net/.default"
_LIFE = 3600
"""Seconds that a signature holds."""


class Hub:
    """`host` is NAME.azure-devices.net; `policy` the connection string of one, None to sign in by Entra."""

    def __init__(
        self, calls: Calls, host: str, policy: Secret | None, surroundings: Surroundings, transport: Any = None
    ) -> None:
        self.host, self._policy, self._around = host, policy, surroundings
        self._calls, self._transport = calls, transport

    def twin(self, device: str, module: str, *, patient: bool = True) -> Json | None:
        path = f"/twins/{quote(device, safe='')}/modules/{quote(module, safe='')}"
        find = self._calls.find if patient else self._calls.look
        return find(f"the module {module} of the device {device}", lambda: self._asked("GET", path))

    def apply(self, device: str, manifest: Mapping[str, Any]) -> None:
        """Gives a device a deployment manifest. UsageError for a device that is not there."""
        path = f"/devices/{quote(device, safe='')}/applyConfigurationContent"
        self._calls.ask(f"the device {device}", lambda: self._asked("POST", path, manifest))

    def call(self, device: str, method: str, payload: Any) -> Any:
        """A direct method of the device's agent; what it answers. OutOfReach for a device that is not connected."""
        body = {"methodName": method, "payload": payload, "responseTimeoutInSeconds": 30}
        path = f"/twins/{quote(device, safe='')}/modules/{quote('$edgeAgent', safe='')}/methods"
        answer = self._calls.ask(f"{method} of the device {device}", lambda: self._asked("POST", path, body))
        return (answer or {}).get("payload")

    def _asked(self, method: str, path: str, body: Any = None) -> Json:
        from azure.core.rest import HttpRequest

        headers = {"Authorization": self._token()}
        url = f"https://{self.host}{path}?api-version={VERSION}"
        request = (
            HttpRequest(method, url, headers=headers, json=body) if body else HttpRequest(method, url, headers=headers)
        )
        response = self._client.send_request(request)
        if response.status_code == 401:
            who = "the policy of IOTHUB_CONNECTION_STRING" if self._policy else str(self._calls.arm.identity)
            raise UsageError(f"{self.host} refuses {who}", remedy="check it, and that it may write to the registry")
        response.raise_for_status()
        if response.status_code == 204 or not response.content:
            return {}
        value = response.json()
        if not isinstance(value, dict):
            raise OutOfReach(f"{self.host} answers nonsense", remedy="try again later", transient=True)
        return value

    @cached_property
    def _client(self) -> Any:
        with extra("deploying to IoT Edge"):
            from azure.core import PipelineClient
            from azure.core.pipeline import policies
        options: dict[str, Any] = verification(self._around.environ)
        if self._transport is not None:
            options["transport"] = self._transport
        own = [policies.UserAgentPolicy("pipeline"), policies.ProxyPolicy()]
        return PipelineClient(f"https://{self.host}", policies=own, **options)

    def _token(self) -> str:
        if self._policy is None:
            return f"Bearer {self._calls.arm.identity.token(SCOPE).reveal()}"
        parts = dict(part.partition("=")[::2] for part in self._policy.reveal().split(";"))
        try:
            key, name = base64.b64decode(parts["SharedAccessKey"], validate=True), parts["SharedAccessKeyName"]
        except (KeyError, ValueError):
            form = "HostName=…;SharedAccessKeyName=…;SharedAccessKey=…"
            raise UsageError("IOTHUB_CONNECTION_STRING is none of an IoT hub", remedy=f"it looks like {form}") from None
        if (of := parts.get("HostName", "")) and of.lower() != self.host.lower():
            fact = f"IOTHUB_CONNECTION_STRING is of {of}, and the target's hub is {self.host}"
            raise UsageError(fact, remedy="take that hub's own, or correct `hub`")
        return signature(self.host, name, key, int(self._around.clock()) + _LIFE)


def signature(host: str, policy: str, key: bytes, expiry: int) -> str:
    """A shared access signature for the whole hub; `expiry` is Unix time."""
    where = quote_plus(host)
    signed = base64.b64encode(hmac.new(key, f"{where}\n{expiry}".encode(), hashlib.sha256).digest())
    return f"SharedAccessSignature sr={where}&sig={quote_plus(signed)}&se={expiry}&skn={policy}"
