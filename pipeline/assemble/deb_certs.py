"""The certificate bundle that update-ca-certificates would have made, and OpenSSL's links from names to certificates.

The hash is OpenSSL's X509_NAME_hash (crypto/x509/x509_cmp.c, x_name.c): SHA-1 over the canonical subject, of which the
first four bytes count, least significant first. DER: ITU-T X.690.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping

from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.entry import Entry

STORE = "usr/share/ca-certificates/"
LOCAL = "usr/local/share/ca-certificates/"
ETC = "etc/ssl/certs"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)-----END CERTIFICATE-----")
_SEQUENCE, _SET, _OID, _UTF8 = 0x30, 0x31, 0x06, 0x0C
_TEXT = {
    0x0C: "utf-8",
    0x13: "latin-1",
    0x14: "latin-1",
    0x16: "latin-1",
    0x1A: "latin-1",
    0x1E: "utf-16-be",
    0x1C: "utf-32-be",
}
"""Tags of the string types that are made canonical, and how they are encoded."""


def certificates(brought: Mapping[str, bytes], tree: Tree) -> Iterator[Entry]:
    """The bundle, a link for each certificate and its hash link; nothing when the packages bring no certificate.

    `brought` maps paths below STORE or LOCAL to PEM text; those in the layers below are added to them.
    """
    found = {path: text for path, text in brought.items() if path.endswith(".crt")}
    if not found:
        return
    below = {**tree.below.tree(STORE.rstrip("/")), **tree.below.tree(LOCAL.rstrip("/"))}
    found = {**{path: text for path, text in below.items() if path.endswith(".crt")}, **found}
    bundle = b""
    taken: dict[int, int] = {}
    links: dict[str, str] = {}
    for path in sorted(found):
        name = _pem_name(path)
        bundle += found[path].rstrip(b"\n") + b"\n"
        links[name] = f"/{path}"
        if der := _der(found[path]):
            digest = subject_hash(der)
            number = taken.get(digest, 0)
            taken[digest] = number + 1
            links[f"{digest:08x}.{number}"] = name
    names = [path.removeprefix(STORE) for path in sorted(found) if path.startswith(STORE)]
    config = "".join(f"{name}\n" for name in names).encode()
    yield from tree.place(Entry("etc/ca-certificates.conf", source=config, size=len(config)))
    yield from tree.place(Entry(f"{ETC}/ca-certificates.crt", source=bundle, size=len(bundle)))
    for name, link in sorted(links.items()):
        yield from tree.place(Entry(f"{ETC}/{name}", "symlink", 0o777, link=link))


def _pem_name(path: str) -> str:
    """As update-ca-certificates names it."""
    stem = path.rpartition("/")[2].removesuffix(".crt")
    return re.sub(r"[()]", "=", stem.replace(" ", "_")).replace(",", "_") + ".pem"


def _der(pem: bytes) -> bytes:
    match = _PEM.search(pem)
    try:
        return base64.b64decode(match[1]) if match else b""
    except ValueError:
        return b""


def subject_hash(der: bytes) -> int:
    """What `openssl x509 -subject_hash` prints, as a number. Zero for what is no certificate."""
    try:
        return int.from_bytes(hashlib.sha1(_canonical(_subject(der)), usedforsecurity=False).digest()[:4], "little")
    except (IndexError, UnicodeDecodeError, StopIteration):
        return 0


def _read(data: bytes, at: int) -> tuple[int, int, int]:
    """A DER value's tag, and where its content starts and ends."""
    tag, length, at = data[at], data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count], "big"), at + count
    if at + length > len(data):
        raise IndexError
    return tag, at, at + length


def _values(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Each value in a row: tag, content, and the whole of it."""
    at = 0
    while at < len(data):
        tag, start, end = _read(data, at)
        yield tag, data[start:end], data[at:end]
        at = end


def _subject(der: bytes) -> bytes:
    """The subject Name's content (RFC 5280, section 4.1): the fifth field of tbsCertificate after the version."""
    _, certificate, _ = next(_values(der))
    _, to_be_signed, _ = next(_values(certificate))
    fields = [content for tag, content, _ in _values(to_be_signed) if tag != 0xA0]
    return fields[4]


def _canonical(name: bytes) -> bytes:
    """The relative names one after the other, without the outer header; texts as UTF-8, lower case, single spaces."""
    out = b""
    for _, relative, _ in _values(name):
        pairs = [_pair(content) for _, content, _ in _values(relative)]
        # A SET in DER is sorted by its encoded members (X.690, 11.6).
        out += _encode(_SET, b"".join(sorted(pairs)))
    return out


def _pair(content: bytes) -> bytes:
    (_, _, oid), (tag, value, whole) = list(_values(content))[:2]
    if tag in _TEXT:
        text = value.decode(_TEXT[tag])
        text = re.sub(r"[ \t\n\v\f\r]+", " ", text.strip(" \t\n\v\f\r"))
        lowered = "".join(c.lower() if c.isascii() else c for c in text)
        whole = _encode(_UTF8, lowered.encode())
    return _encode(_SEQUENCE, oid + whole)


def _encode(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + content
