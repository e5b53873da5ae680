"""The server's own certificate: whether it can be used, and the renewed one without a new start."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.serve.settings import Access


class _Encrypted(Exception):
    """The key wants a password."""


def check(access: Access) -> None:
    """Raises UsageError for a certificate and a key that nothing can be served with."""
    if access.certificate and access.key:
        _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), access.certificate, access.key)


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def ask() -> str:
        raise _Encrypted

    fact, remedy = f"access.tls: {certificate} and {key} cannot be used", "give it PEM files that belong together"
    try:
        context.load_cert_chain(certificate, key, ask)
    except _Encrypted:
        raise UsageError(f"{fact}: the key is encrypted", remedy="nobody is there to ask: store it plain") from None
    except ssl.SSLError as error:
        why = "they do not belong together" if error.reason == "KEY_VALUES_MISMATCH" else "one of them is no PEM"
        raise UsageError(f"{fact}: {why}", remedy=remedy) from None
    except OSError as error:
        raise UsageError(f"{fact}: {error.strerror}", remedy="the server's user has to be able to read them") from None


class Renewal:
    """Has a server use the files as they are now. `say` gets a line when they changed."""

    def __init__(self, context: ssl.SSLContext, access: Access, say: Callable[[str], None]) -> None:
        self._context, self._access, self._say = context, access, say
        self._seen = self._stamp()

    def look(self) -> None:
        """Reads them if they changed. Connections that are open keep what they have; files that cannot be used, for
        one of them may be written a moment after the other, are looked at again.
        """
        stamp, access = self._stamp(), self._access
        if stamp == self._seen or not access.certificate or not access.key:
            return
        self._seen = stamp
        try:
            check(access)
            _load(self._context, access.certificate, access.key)
        except UsageError as error:
            self._say(f"the certificate stays as it was: {error}")
        else:
            self._say("the certificate was renewed")

    def _stamp(self) -> tuple[object, ...]:
        found: list[object] = []
        for path in (self._access.certificate, self._access.key):
            try:
                state = path.stat() if path else None
            except OSError:
                state = None
            found.append((state.st_ino, state.st_mtime_ns, state.st_size) if state else None)
        return tuple(found)


__all__ = ["Renewal", "check"]
