"""Rows of a store's database that nobody can use any more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from pipeline.digest import Digest
from pipeline.store import Store
from pipeline.store.needed import Needed

_BLOB = re.compile(r'"digest": ?"(sha256:[0-9a-f]{64})"')
"""A descriptor's digest in a record."""
_OF_BLOBS = re.compile(r"(?:origin|gzip|registry) .*?(sha256:[0-9a-f]{64})")
"""Memos about one blob: where it can be had, what it was packed to, which repositories have it."""


def clean(store: Store, wanted: Needed, before: float) -> int:
    """Removes results made `before` whose blobs are gone, memos of blobs that are gone, and what was known of project
    files that are gone; how many rows.
    """
    rows = [("keys", "key", key) for key in _keys(store, wanted, before)]
    rows += [("memos", "key", key) for key in _memos(store, wanted)]
    rows += [("files", "path", path) for path in _files(store)]
    with store.database.transaction():
        for table, column, value in rows:
            store.database.execute(f"DELETE FROM {table} WHERE {column} = ?", value)
    return len(rows)


def _keys(store: Store, wanted: Needed, before: float) -> Iterator[str]:
    for key, record, made in store.database.execute("SELECT key, record, made FROM keys"):
        if key not in wanted.keys and made < before:
            digests = _BLOB.findall(record)
            # What names no blob answers nobody once the manifest that asked is another.
            if not digests or not all(store.blobs.has(Digest(digest)) for digest in digests):
                yield key


def _memos(store: Store, wanted: Needed) -> Iterator[str]:
    for (key,) in store.database.execute("SELECT key FROM memos"):
        found = _OF_BLOBS.match(key)
        if found and found[1] not in wanted.digests and not store.blobs.has(Digest(found[1])):
            yield key


def _files(store: Store) -> Iterator[str]:
    for (path,) in store.database.execute("SELECT path FROM files"):
        if not os.path.lexists(path):
            yield path
