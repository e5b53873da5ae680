"""Where names become hashes: package archives and indexes, and the project's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.home import Home
from pipeline.kinds import Files

if TYPE_CHECKING:
    from pipeline.indexes.conda import Conda
    from pipeline.indexes.debian import DebianArchives
    from pipeline.indexes.pypi import PyPI


class Indexes:
    """Every index a kind may ask, made when first asked. `environ` is the user's environment (proxies, CA bundles)."""

    def __init__(self, home: Home, environ: Mapping[str, str], files: Files, say: Callable[[str], None]) -> None:
        self.files = files
        self._home = home
        self._environ = environ
        self._say = say

    @cached_property
    def debian(self) -> DebianArchives:
        from pipeline.indexes.debian import DebianArchives

        return DebianArchives(self._home.cache / "debian", self._environ, self._say)

    @cached_property
    def pypi(self) -> PyPI:
        from pipeline.indexes.pypi import PyPI

        return PyPI(self._environ, self._say)

    @cached_property
    def conda(self) -> Conda:
        from pipeline.indexes.conda import Conda

        return Conda(self._home.cache / "conda", self._environ, self._say)
