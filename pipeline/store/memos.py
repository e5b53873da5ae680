"""What was found out once and is remembered: by this store alone, or with other machines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.digest import Digest
from pipeline.oci.descriptor import Layer
from pipeline.store.database import Database


class Memos:
    """Memories of this machine. A name must say all that the value depends on; losing one changes no result."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, name: str) -> Any:
        """A remembered value, or None."""
        return self._database.memo(name)

    def tell(self, name: str, value: Any, _layers: Sequence[Layer] = ()) -> None:
        """Remembers a value, and the layers of the store that it speaks of."""
        self._database.remember(name, value)

    def offer(self, name: str, value: Any, layers: Sequence[Layer] = ()) -> None:
        """As `tell`, for what is remembered here already: others may not know it."""

    def lends(self, _digest: Digest) -> bool:
        """Whether a blob that the store lacks is certainly to be had where memories are shared."""
        return False
