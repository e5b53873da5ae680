"""Images from elsewhere, resolved: their layers, what they hand down, and what layers on top may rely on.

Layers are fetched only when they must be read, and then kept; what the lock answers later moves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.digest import Digest, cache_key
from pipeline.errors import ResolveError
from pipeline.facts import Facts, Platform
from pipeline.manifest.doubts import of_image
from pipeline.manifest.words import suggestion
from pipeline.oci import foreign
from pipeline.oci.descriptor import Descriptor, Layer
from pipeline.oci.image_facts import TOGETHER, image_facts, to_json
from pipeline.recipe import Json
from pipeline.reference import Reference, below, parse
from pipeline.stages.borrow import describe, from_the_top
from pipeline.store.image_files import ImageFiles

if TYPE_CHECKING:
    from pipeline.registry.repository import Repository
    from pipeline.stages.bench import Bench

RULES = "1"
"""Enters what is remembered of an image: raised whenever more, or something else, is told of its files."""


class ForeignImages:
    """The images of registries, layouts and archives, for the base kinds of these names."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def registry(self, name: str, registry: str, platform: Platform) -> Json:
        """The image `name`, its tag resolved to a digest now; below a manifest's `registry` if one is given.

        ResolveError for an image, a tag or a platform that is not there; OutOfReach.
        """
        from pipeline.registry.documents import check_platform

        for text in of_image({"reference": name, "registry": registry}):
            self._bench.warn_once(text)
        where = reference_of(self._bench, name, registry)
        repository = self._bench.registries.repository(where)
        found = self._found(repository, where, platform)
        data = self._config(repository, found.blobs[0])
        check_platform(data, platform, str(where))
        config = foreign.read_config(data, str(where))
        layers = foreign.layers(found.value, config, str(where))
        self._bench.origins.note_registry(layers, where)
        return self._locked(name, found.descriptor.digest, layers, config, platform)

    def layout(self, path: str, name: str, platform: Platform) -> Json:
        """An image of the OCI layout at `path`, a folder or a tar of the project. ResolveError, StoreError."""
        from pipeline.registry.documents import check_platform
        from pipeline.store.ingest import layout

        file = self._bench.files.path(path)
        with layout(file) as source:
            known = f"layout {RULES} {cache_key([str(file), str(platform), name, source.index().hex()])}"
            if memo := self._bench.store.database.memo(known):
                return memo
            entry, manifest, data = source.image(name, platform)
        check_platform(data, platform, path)
        config = foreign.read_config(data, path)
        layers = foreign.layers(manifest, config, path)
        self._bench.origins.note_layout(layers, file)
        locked = self._locked(f"{path}:{name}" if name else path, entry.digest, layers, config, platform)
        self._bench.store.database.remember(known, locked)
        return locked

    def archive(self, path: str, name: str, platform: Platform) -> Json:
        """An image of an archive of the project that `docker save` wrote. ResolveError, StoreError."""
        from pipeline.registry.documents import check_platform
        from pipeline.store.ingest import saved

        file, (digest, _) = self._bench.files.path(path), self._bench.files.digest(path)
        known = f"archive {RULES} {digest} {platform} {name}"
        if memo := self._bench.store.database.memo(known):
            return memo
        layers, config = saved(file, self._bench.store, name, self._bench.stop)
        data = json.dumps(config).encode()
        check_platform(data, platform, path)
        config = foreign.read_config(data, path)
        self._bench.origins.note_archive(layers, file)
        locked = self._locked(f"{path}:{name}" if name else path, Digest(digest), layers, config, platform)
        self._bench.store.database.remember(known, locked)
        return locked

    def _found(self, repository: Repository, where: Reference, platform: Platform) -> Any:
        from pipeline.registry.problems import NotFound

        try:
            return repository.manifest(where.wanted, platform)
        except NotFound as error:
            tags = [] if where.digest else repository.tags()
            remedy = suggestion(where.tag, tags, "its tags") or error.remedy
            raise ResolveError(f"there is no image {where}", remedy=remedy) from error

    def _config(self, repository: Repository, blob: Descriptor) -> bytes:
        from pipeline.registry.blobs import download

        if not self._bench.store.blobs.has(blob.digest, blob.size):
            download(repository, blob, self._bench.store.blobs)
        return self._bench.store.blobs.read(blob.digest)

    def _locked(
        self, name: str, digest: Digest, layers: Sequence[Layer], config: Mapping[str, Any], platform: Platform
    ) -> Json:
        down = foreign.handed_down(config)
        facts = self._facts(layers, down, platform)
        told = to_json(facts)
        packages = [{"name": name, "version": version} for name, version in told.pop("packages").items()]
        return {
            "reference": name,
            "digest": digest,
            "layers": [layer.to_json() for layer in layers],
            "config": down,
            "facts": told,
            "packages": packages,
        }

    def _facts(self, layers: Sequence[Layer], config: Mapping[str, Any], platform: Platform) -> Facts:
        """Told from the uppermost layers downwards, until what lies below cannot change it."""
        memo = f"facts {RULES} {cache_key([[layer.diff_id for layer in layers], dict(config), str(platform)])}"
        store = self._bench.store
        if known := store.database.memo(memo):
            from pipeline.oci.image_facts import from_json

            return from_json(known, platform)
        found = self._read(layers, config, platform)
        store.database.remember(memo, to_json(found))
        return found

    def _read(self, layers: Sequence[Layer], config: Mapping[str, Any], platform: Platform) -> Facts:
        found = Facts(platform)
        for upper in from_the_top(layers, self._bench):
            files = ImageFiles(self._bench.store, upper, TOGETHER)
            found = image_facts(files, config, platform)
            if foreign.certain(found, files, config):
                between = len(layers) - len(upper) > 1
                found = self._released(found, layers[0], config) if between and not found.distribution else found
                if found.distribution:
                    break
        return found

    def _released(self, found: Facts, lowest: Layer, config: Mapping[str, Any]) -> Facts:
        """`found` with the release that the lowest layer tells, while the package is the same that brought it."""
        describe(lowest, self._bench)
        below = image_facts(ImageFiles(self._bench.store, [lowest], TOGETHER), config, found.platform)
        if "base-files" in below.packages and below.packages["base-files"] == found.packages.get("base-files"):
            return replace(found, distribution=below.distribution, release=below.release)
        return found


def reference_of(bench: Bench, name: str, registry: str) -> Reference:
    """The image that a base names: in full, or below the address of a registry of the manifest."""
    if not registry:
        return parse(name)
    entry = bench.manifest.registries.get(registry)
    if entry is None:
        remedy = suggestion(registry, bench.manifest.registries, "there are") or "add it under 'registries'"
        raise ResolveError(f"unknown registry '{registry}'", remedy=remedy)
    # Its tag and digest are those of any reference; what stands before them is a path below the address.
    found = parse(f"registry.invalid/{name}")
    return below(entry.address, found.repository, entry.location).at(tag=found.tag, digest=found.digest)
