"""A message as JSON for a program, signed as GitHub signs its webhooks."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pipeline.manifest.model import Secret
from pipeline.serve.messages.model import Message, moment
from pipeline.serve.messages.posting import Post


class Webhook:
    """POSTs version 1 of our own form (docs/serve.md, "Messages"). With a secret, `X-Hub-Signature-256` has HMAC-SHA256
    of the body in hexadecimal digits after `sha256=`. `X-Pipeline-Delivery` is the same when it is tried again.
    """

    folds = False

    def __init__(self, post: Post, secret: Secret | None = None) -> None:
        self._post, self._secret = post, secret

    def send(self, message: Message, delivery: str) -> None:
        def headers(body: bytes) -> Mapping[str, str]:
            named = {"X-Pipeline-Event": message.event, "X-Pipeline-Delivery": delivery}
            if self._secret is None:
                return named
            made = hmac.new(self._secret.reveal().encode(), body, hashlib.sha256).hexdigest()
            return {**named, "X-Hub-Signature-256": f"sha256={made}"}

        self._post({"version": 1, **message.data, "at": moment(message.at)}, headers)


__all__ = ["Webhook"]
