"""Builds Dockerfiles in the engine, and takes what comes out into the store; once for the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from pipeline.bases.dockerfile import context_of
from pipeline.digest import cache_key
from pipeline.engine.ask import NoAnswer, ask, asks_plainly
from pipeline.engine.find import Choice, find
from pipeline.engine.model import Dockerfile
from pipeline.errors import PipelineError
from pipeline.facts import Platform
from pipeline.manifest.secrets import mask, reveal
from pipeline.oci.descriptor import Layer
from pipeline.oci.foreign import handed_down
from pipeline.recipe import Json

if TYPE_CHECKING:
    from pipeline.stages.bench import Bench

CA_BUNDLE = "ca_bundle"
"""The BuildKit secret that holds the certificates to trust, for a Dockerfile that mounts it."""


class Dockerfiles:
    """The images of a project's Dockerfiles, kept under the hash of all that determines them."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def image(self, spec: Mapping[str, Any], request: Json, platform: Platform) -> Json:
        """{layers, config, facts}; built when it is not in the store. EngineError when that fails; OutOfReach."""
        key = self._key(request, platform)
        if known := self._known(key):
            return known
        store = self._bench.store
        with store.guard(key[:32]):
            if known := self._known(key):
                return known
            made = self._build(spec, request, platform)
            # The build may have fetched its parents: from now on they are known.
            for each in {key, self._key(request, platform)}:
                store.database.keep(cast(Any, each), made, f"dockerfile {spec['path']} {platform}", {})
            return made

    def _known(self, key: str) -> Json | None:
        record = self._bench.store.database.record(cast(Any, key))
        whole = record and all(self._bench.store.has_layer(Layer.from_json(layer)) for layer in record["layers"])
        return record if whole else None

    def _key(self, request: Json, platform: Platform) -> str:
        return cache_key(["dockerfile", request, str(platform), self._ids(request["parents"])])

    def _ids(self, parents: Iterable[str]) -> dict[str, str]:
        """What the parents are now, as far as the engine has them: asked without the SDK, for every run asks."""
        bench, found = self._bench, dict.fromkeys(parents, "")
        try:
            engine = find(bench.environ, cast(Choice, bench.manifest.build.engine)) if found else None
        except PipelineError:
            engine = None
        if engine is None or not asks_plainly(engine.address):
            return found
        for name in found:
            try:
                status, value = ask(engine.address, f"/images/{quote(name, safe='')}/json")
            except NoAnswer:
                continue
            if status == 200:
                found[name] = value["Id"]
        return found

    def _build(self, spec: Mapping[str, Any], request: Json, platform: Platform) -> Json:
        from pipeline.oci.image_facts import TOGETHER, image_facts, to_json
        from pipeline.store.image_files import ImageFiles
        from pipeline.store.saved import take_saved

        bench = self._bench
        engine = bench.engine
        secrets = {name: reveal(text) for name, text in (spec.get("secrets") or {}).items()}
        hidden = [*bench.manifest.secrets, *secrets.values()]
        bench.say("", f"building {spec['path']} with {engine.about()}")
        wanted = self._wanted(spec, request, secrets, platform)
        built = engine.build(wanted, lambda line: bench.say("", mask(line, hidden)), bench.halt.is_set)
        bench.stop()
        layers, config = take_saved(engine.save(built), bench.store, bench.stop)
        runtime = handed_down(config)
        facts = image_facts(ImageFiles(bench.store, layers, TOGETHER), runtime, platform)
        return {"layers": [layer.to_json() for layer in layers], "config": runtime, "facts": to_json(facts)}

    def _wanted(
        self, spec: Mapping[str, Any], request: Json, secrets: Mapping[str, str], platform: Platform
    ) -> Dockerfile:
        from pipeline.stages.surroundings import bundle, proxies

        bench = self._bench
        base, build = bench.manifest.path.parent, bench.manifest.build
        trusted = bundle(bench.environ, build.ca_bundle, base)
        mounts_it = f"id={CA_BUNDLE}" in request["dockerfile"]
        return Dockerfile(
            path=bench.files.path(spec["path"]),
            context=bench.files.path(context_of(spec)),
            args={**proxies(bench.environ), **request["args"]},
            target=request["target"],
            secrets={**secrets, **({CA_BUNDLE: trusted.decode()} if trusted and mounts_it else {})},
            network=build.network,
            platform=str(platform),
        )
