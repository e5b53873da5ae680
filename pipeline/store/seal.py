"""JSON in a database's row with its checksum: SQLite does not notice when a disk alters a text."""

from __future__ import annotations

import json
import zlib
from typing import Any

_LENGTH = 9


def sealed(key: str, value: Any) -> str:
    """The text of a row: JSON, a line's end, and the CRC-32 of the key and the JSON in eight hexadecimal digits."""
    text = json.dumps(value)
    return f"{text}\n{_sum(key, text)}"


def opened(key: str, text: str) -> Any:
    """The value of a row; None for one that was altered."""
    value, end = text[:-_LENGTH], text[-_LENGTH:]
    if end != f"\n{_sum(key, value)}":
        return None
    return json.loads(value)


def _sum(key: str, text: str) -> str:
    return f"{zlib.crc32(f'{key} {text}'.encode('utf-8', 'surrogatepass')):08x}"
