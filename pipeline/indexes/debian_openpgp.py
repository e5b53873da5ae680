"""Checks the signatures of package archives; the only `import pysequoia`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import ResolveError

if TYPE_CHECKING:
    from pysequoia import Cert, Sig


class BadSignature(ResolveError):
    """No key of the keyring vouches for the text."""


def certificates(keyrings: Sequence[Path | bytes]) -> list[Cert]:
    """The certificates of keyrings, by path or as text (armored or binary). ResolveError for one that is no keyring."""
    from pysequoia import Cert

    found: list[Cert] = []
    for keyring in keyrings:
        try:
            data = keyring if isinstance(keyring, bytes) else keyring.read_bytes()
        except OSError as error:
            raise ResolveError(
                f"cannot read the keyring {keyring!s}: {error.strerror}", remedy="check `keyring`"
            ) from None
        try:
            found += Cert.split_bytes(data)
        except Exception:
            name = "in Signed-By" if isinstance(keyring, bytes) else str(keyring)
            raise ResolveError(
                f"the keyring {name} does not hold OpenPGP certificates", remedy="give it as gpg --export writes it"
            ) from None
    return found


def verified(signed: bytes, certs: Sequence[Cert], signature: bytes | None = None) -> bytes:
    """The text that a cleartext signature (or the detached `signature`) covers, once a certificate vouches for it.

    RFC 9580, section 7. Raises BadSignature. The library's own messages are left out: they hold stack traces.
    """
    import pysequoia

    def store(_: list[str]) -> list[Cert]:
        return list(certs)

    reason = "it holds no signature"
    try:
        if signature is None:
            return bytes(pysequoia.verify(signed, store=store).bytes or b"")
        signatures = _signatures(signature)
    except Exception as error:
        raise BadSignature(_first_line(error)) from None
    for each in signatures:
        try:
            pysequoia.verify(signed, store=store, signature=each)
            return signed
        except Exception as error:
            reason = _first_line(error)
    raise BadSignature(reason)


def _first_line(error: Exception) -> str:
    first = str(error).partition("\n")[0].rstrip(".")
    return "no key of the keyring has signed it" if "no valid signatures" in first else f"not validly signed: {first}"


def _signatures(data: bytes) -> list[Sig]:
    """Each signature of a detached one: several keys may have signed, and any that is known will do."""
    from pysequoia import Sig
    from pysequoia.packet import PacketPile

    # A packet is put back together with a new-format header and a five-octet length (RFC 9580, section 4.2.1).
    bodies = [packet.body for packet in PacketPile.from_bytes(data)]
    return [Sig.from_bytes(b"\xc2\xff" + len(body).to_bytes(4, "big") + bytes(body)) for body in bodies]
