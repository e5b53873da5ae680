"""Where names become hashes: package archives and indexes, and the project's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import ResolveError
from pipeline.facts import Platform
from pipeline.home import Home
from pipeline.kinds import Files
from pipeline.manifest.model import Timeouts
from pipeline.recipe import Json

if TYPE_CHECKING:
    from pipeline.indexes.conda import Conda
    from pipeline.indexes.debian import DebianArchives
    from pipeline.indexes.pypi import PyPI


class Dockerfiles(Protocol):
    """Images built from Dockerfiles."""

    def parent(self, name: str) -> Json:
        """What an image that a Dockerfile starts from is now: {name, version} with its digest (or ID) as version."""
        ...

    def built(self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform) -> str:
        """The image's digest where a registry builds it, for the lock; empty where this machine does."""
        ...

    def image(
        self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform, built: str = ""
    ) -> Json:
        """The image's layers, config and facts (JSON), from exactly these parents; built when the store has none. What
        a registry has `built` is of that digest, and stays in the `image` that is named.
        """
        ...


class Images(Protocol):
    """Images that exist already: their layers, config and facts (JSON)."""

    def registry(self, name: str, registry: str, platform: Platform) -> Json: ...
    def layout(self, path: str, name: str, platform: Platform) -> Json: ...
    def archive(self, path: str, name: str, platform: Platform) -> Json: ...


class Indexes:
    """Every index a kind may ask, made when first asked. `environ` is the user's environment (proxies, CA bundles).

    `say` shows progress, `warn` what the user should know.
    """

    def __init__(
        self,
        home: Home,
        environ: Mapping[str, str],
        files: Files,
        say: Callable[[str], None],
        dockerfiles: Callable[[], Dockerfiles] | None = None,
        images: Callable[[], Images] | None = None,
        warn: Callable[[str], None] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.files = files
        self._dockerfiles = dockerfiles
        self._images = images
        self._home = home
        self._environ = environ
        self._say = say
        self.warn = warn or say
        self._timeouts = timeouts or Timeouts()

    @property
    def dockerfiles(self) -> Dockerfiles:
        """Raises ResolveError where there is nothing to build with."""
        if self._dockerfiles is None:
            raise ResolveError("a Dockerfile cannot be built here", remedy="use another kind of base")
        return self._dockerfiles()

    @property
    def images(self) -> Images:
        """Raises ResolveError where there is no store to take them into."""
        if self._images is None:
            raise ResolveError("images from elsewhere cannot be had here", remedy="use another kind of base")
        return self._images()

    @cached_property
    def debian(self) -> DebianArchives:
        from pipeline.indexes.debian import DebianArchives

        return DebianArchives(
            self._home.cache / "debian", self._environ, self._say, warn=self.warn, timeouts=self._timeouts
        )

    @cached_property
    def pypi(self) -> PyPI:
        from pipeline.indexes.pypi import PyPI

        return PyPI(self._environ, self._say, warn=self.warn, timeouts=self._timeouts)

    @cached_property
    def conda(self) -> Conda:
        from pipeline.indexes.conda import Conda

        return Conda(self._home.cache / "conda", self._environ, self._say, warn=self.warn, timeouts=self._timeouts)
