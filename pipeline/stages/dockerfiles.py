"""Builds Dockerfiles in the engine, and takes what comes out into the store; once for the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pipeline import limit
from pipeline.bases._dockerfile import pinned, read
from pipeline.bases.dockerfile import context_of, exact
from pipeline.digest import cache_key, short
from pipeline.engine.model import Dockerfile, NoEngine
from pipeline.errors import OutOfReach, PipelineError, ResolveError
from pipeline.facts import Platform
from pipeline.manifest.secrets import mask, reveal
from pipeline.oci.descriptor import Layer
from pipeline.oci.foreign import handed_down
from pipeline.recipe import Json
from pipeline.reference import parse

if TYPE_CHECKING:
    from pipeline.engine.model import Engine, Identity
    from pipeline.stages.bench import Bench

CA_BUNDLE = "ca_bundle"
"""The BuildKit secret that holds the certificates to trust, for a Dockerfile that mounts it."""

FROM = "pipeline.local/from"
"""Names for the engine's own images while a Dockerfile is built on them: BuildKit takes no image by its ID."""


class Dockerfiles:
    """The images of a project's Dockerfiles, kept under the hash of all that determines them."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def parent(self, name: str) -> Json:
        """What an image that a Dockerfile starts from is now: its digest in its registry, else its ID in the engine.

        The registry is asked first, for a tag may have moved there, but not for what was never in one as far as the
        engine knows. Raises ResolveError where neither has it.
        """
        where = parse(name)
        if where.digest:
            return exact(name, where.digest, False)
        known = self._in_engine(name)
        if known and not known.published:
            return exact(name, known.id, True)
        try:
            return exact(name, self._bench.registries.repository(where).resolve(where.tag).digest, False)
        except (ResolveError, OutOfReach) as error:
            if known is None:
                remedy = error.remedy or "check the name"
                raise ResolveError(f"the Dockerfile starts from {name}: {error.message}", remedy=remedy) from error
            self._bench.say("", f"{name}: no registry has it, so the engine's own is taken ({error.message})")
            return exact(name, known.id, True)

    def _in_engine(self, name: str) -> Identity | None:
        try:
            return self._bench.engine.identity(name)
        except (OutOfReach, NoEngine):
            # The lock can be made where nothing can be built.
            return None

    def built(self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform) -> str:  # noqa: ARG002
        """Empty: what this machine builds has no digest of its own in a registry."""
        return ""

    def image(
        self,
        spec: Mapping[str, Any],
        request: Json,
        parents: Sequence[Json],
        platform: Platform,
        built: str = "",  # noqa: ARG002
    ) -> Json:
        """{layers, config, facts}; built when neither the store nor the shared cache has it. CommandFailed when
        that fails; OutOfReach.
        """
        key = cache_key(["dockerfile", request, str(platform), parents])
        made = self._known(key) or self._made(key, spec, request, parents, platform)
        self._bench.cache.share("dockerfile", key, made)
        return made

    def _made(
        self, key: str, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform
    ) -> Json:
        store = self._bench.store
        with store.guard(key[:32]):
            if known := self._known(key):
                return known
            made = self._build(spec, request, parents, platform)
            store.database.keep(cast(Any, key), made, f"dockerfile {spec['path']} {platform}", {})
            return made

    def _known(self, key: str) -> Json | None:
        store, cache = self._bench.store, self._bench.cache
        record = store.database.record(key)
        layers = [Layer.from_json(layer) for layer in record["layers"]] if record else []
        if record and all(store.has_layer(layer) or cache.lends(layer.blob.digest) for layer in layers):
            return record
        if shared := cache.result("dockerfile", key):
            store.database.adopt(key, shared)
        return shared

    def _build(self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform) -> Json:
        from pipeline.oci.image_facts import TOGETHER, image_facts, to_json
        from pipeline.store.image_files import ImageFiles
        from pipeline.store.saved import take_saved

        bench = self._bench
        engine = bench.engine
        secrets = {name: reveal(text) for name, text in (spec.get("secrets") or {}).items()}
        logins = self._logins(parents)
        hidden = [*bench.manifest.secrets, *secrets.values()]
        bench.say("", f"building {spec['path']} with {engine.about()}")
        with self._named(engine, parents) as names:
            text = pinned(read(request["dockerfile"], request["args"], platform), names)
            wanted = self._wanted(spec, request, text, secrets, platform, logins)
            try:
                built = engine.build(
                    wanted, lambda line: bench.say("", mask(line, hidden)), limit.inherited(self._over)
                )
            except PipelineError:
                # That it was ended is no failure of the Dockerfile.
                bench.stop()
                raise
        bench.stop()
        layers, config = take_saved(engine.save(built), bench.store, bench.stop)
        # Its layers stay in the builder's cache; a name would say that it is somebody's own.
        if (there := engine.identity(built)) and not there.names:
            engine.forget(built)
        runtime = handed_down(config)
        facts = image_facts(ImageFiles(bench.store, layers, TOGETHER), runtime, platform)
        return {"layers": [layer.to_json() for layer in layers], "config": runtime, "facts": to_json(facts)}

    def _over(self) -> bool:
        return self._bench.halt.is_set() or limit.passed()

    @contextmanager
    def _named(self, engine: Engine, parents: Iterable[Json]) -> Iterator[dict[str, str]]:
        """How a Dockerfile is to write each of its parents, so that it means the very image in the lock."""
        names: dict[str, str] = {}
        own: dict[str, str] = {}
        for one in parents:
            if not one.get("engine"):
                names[one["name"]] = f"{parse(one['name']).name}@{one['version']}"
                continue
            if engine.identity(one["version"]) is None:
                raise ResolveError(
                    f"the engine has not the image {short(one['version'])}, which the lock names for {one['name']}",
                    remedy="load it, push it to a registry, or take what is there now: 'pipeline lock --upgrade'",
                )
            names[one["name"]] = own[one["version"]] = f"{FROM}:{short(one['version'], 32)}"
        for id_, name in own.items():
            engine.tag(id_, name)
        try:
            yield names
        finally:
            with limit.clearing_up():
                for id_, name in own.items():
                    # The last name holds the image there, and the lock names it.
                    if (there := engine.identity(id_)) and len(there.names) > 1:
                        engine.forget(name)

    def _logins(self, parents: Iterable[Json]) -> dict[str, tuple[str, str]]:
        """What the manifest says of the registries of the parents: the engine finds by itself what Docker keeps."""
        found = {}
        for one in parents:
            where = parse(one["name"])
            who = None if one.get("engine") else self._bench.registries.given_credential(where)
            if who and who.password.reveal():
                found[where.registry] = (who.username, who.password.reveal())
        return found

    def _wanted(
        self,
        spec: Mapping[str, Any],
        request: Json,
        text: str,
        secrets: Mapping[str, str],
        platform: Platform,
        logins: Mapping[str, tuple[str, str]],
    ) -> Dockerfile:
        from pipeline.stages.surroundings import bundle, proxies

        bench = self._bench
        base, build = bench.manifest.path.parent, bench.manifest.build
        trusted = bundle(bench.environ, build.ca_bundle, base)
        mounts_it = f"id={CA_BUNDLE}" in text
        return Dockerfile(
            path=bench.files.path(spec["path"]),
            context=bench.files.path(context_of(spec)),
            args={**proxies(bench.environ), **request["args"]},
            target=request["target"],
            secrets={**secrets, **({CA_BUNDLE: trusted.decode()} if trusted and mounts_it else {})},
            network=build.network,
            platform=str(platform),
            text=text,
            logins=logins,
        )
