"""The optional extra: how its absence is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UsageError

INSTALL = "pip install 'pipeline-images[azure]'"


@contextmanager
def extra(what: str) -> Iterator[None]:
    """Around imports of Azure's libraries: UsageError where they are not installed; `what` needs them."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("azure", "msal")):
            raise
        raise UsageError(f"{what} needs Azure's libraries, and {error.name} is not installed", remedy=INSTALL) from None
