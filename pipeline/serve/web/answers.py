"""The headers that each answer gets: what a browser may do with it, and who may keep it; and cookies as they come."""

from __future__ import annotations

from pipeline.serve.web.asgi import Message, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Told:
    """Sends an answer on, with the headers that each gets; `begun` once there is no other answer any more."""

    def __init__(self, send: Send, path: str, secure: bool) -> None:
        self._send, self._path, self._secure, self.begun = send, path, secure, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            has = {name.lower() for name, _ in message.get("headers", ())}
            more = [(name, value) for name, value in self._headers() if name not in has]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await self._send(message)

    def _headers(self) -> list[tuple[bytes, bytes]]:
        kept = b"public, max-age=3600" if self._path.startswith("/static/") else b"no-store"
        found = [
            (b"content-security-policy", POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"x-frame-options", b"DENY"),
            (b"cache-control", kept),
        ]
        return [*found, (b"strict-transport-security", b"max-age=31536000")] if self._secure else found


def cookie_name(secure: bool) -> str:
    """`__Host-` (RFC 6265bis, section 4.1.3.2) keeps other hosts of the domain from setting it; it needs TLS."""
    return "__Host-pipeline" if secure else "pipeline"


def cookies_of(header: str, name: str) -> list[str]:
    """The values of all cookies of a name, as browsers send them (RFC 6265, section 5.4). Others on the same host may
    hold what they like: the standard library reads nothing after one that is not to its taste.
    """
    pairs = (each.partition("=") for each in header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]


__all__ = ["POLICY", "Told", "cookie_name", "cookies_of"]
