"""Whom to trust, and what a connection that failed means to the user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import OutOfReach
from pipeline.http.model import NoTLS
from pipeline.http.wire import Malformed

if TYPE_CHECKING:
    import ssl

CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def failure(error: Exception, where: object) -> OutOfReach:
    """What a failed exchange with `where` means to the user."""
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason = reason.partition("CERTIFICATE_VERIFY_FAILED] ")[2].partition(" (_ssl")[0]
        remedy = "name the file of its certificate authority, or set SSL_CERT_FILE"
        return OutOfReach(f"{where} is not trusted: {reason}", remedy=remedy, lasting=True)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason:
        remedy = "write http:// before its address if that is meant"
        return NoTLS(f"{where} does not speak TLS", remedy=remedy, lasting=True)
    if isinstance(error, TimeoutError):
        reason = "no answer in time"
    remedy = "check the address, the network and the proxy settings"
    fact = f"{where}: {reason}" if isinstance(error, Malformed) else f"{where} does not answer: {reason}"
    found = OutOfReach(fact, remedy=remedy, transient=True)
    found.silent = isinstance(error, TimeoutError)
    return found


def certificates(environ: Mapping[str, str], ca_file: Path | None = None) -> ssl.SSLContext:
    """Whom to trust: the bundle that `environ` names, else the system's, and `ca_file`."""
    import ssl

    file = next((environ[name] for name in CERTIFICATES if environ.get(name)), None)
    wanted = str(ca_file or file or "the system's certificates")
    try:
        folder = file if file and Path(file).is_dir() else environ.get("SSL_CERT_DIR")
        context = ssl.create_default_context(cafile=None if file == folder else file, capath=folder)
        if ca_file:
            context.load_verify_locations(cafile=ca_file)
        context.set_alpn_protocols(["http/1.1"])
        return context
    except OSError as error:
        reason = error.strerror or "it holds no certificate in PEM form"
        remedy = "check the file of certificates"
        raise OutOfReach(f"cannot read {wanted}: {reason}", remedy=remedy, lasting=True) from None
