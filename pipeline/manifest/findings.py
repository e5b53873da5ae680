"""What a check of the manifest's data found, before its place is looked up in the text."""

from __future__ import annotations

from pipeline.manifest.model import Path_
from pipeline.noun import noun


@noun
class Finding:
    """What is wrong at a place; `at_key` when the key, and not its value, is to be pointed at."""

    path: Path_
    message: str
    remedy: str = ""
    at_key: bool = False
