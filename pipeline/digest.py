"""Digests and cache keys: the hash of what came out, and the hash of what went in."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NewType

Digest = NewType("Digest", str)
"""`sha256:` and 64 hexadecimal digits, as in the OCI image specification (descriptor.md, "Digests")."""

CacheKey = NewType("CacheKey", str)
"""64 hexadecimal digits over everything that determines a step's result."""


def canonical(value: Any) -> bytes:
    """`value` (JSON types only) as bytes that are equal exactly when the values are equal."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parsed(data: bytes | str) -> Any:
    """The value of JSON that comes from elsewhere. ValueError for what is none, and for what nests too deep to read."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deep") from None


def digest_of(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def cache_key(value: Any) -> CacheKey:
    return CacheKey(hashlib.sha256(canonical(value)).hexdigest())


def short(digest: str, length: int = 12) -> str:
    """The first digits of a digest or a key, for people."""
    return digest.removeprefix("sha256:")[:length]
