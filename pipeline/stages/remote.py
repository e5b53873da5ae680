"""Has Dockerfiles built by a registry of Azure, for machines with no engine; their layers stay there until needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.azure import registries
from pipeline.azure.arm import Arm
from pipeline.azure.identity import identity_of
from pipeline.azure.resource import REGISTRY, ResourceId
from pipeline.azure.resource import parse as parse_id
from pipeline.bases._dockerfile import pinned, read, shown_in_history
from pipeline.bases.dockerfile import context_members, context_of
from pipeline.digest import cache_key, short
from pipeline.errors import ResolveError, UsageError
from pipeline.facts import Platform
from pipeline.manifest.model import Azure, Registry, Secret
from pipeline.manifest.secrets import mask, names_a_secret
from pipeline.noun import noun
from pipeline.oci.descriptor import Layer
from pipeline.recipe import Json
from pipeline.reference import Reference, below, is_azure, parse
from pipeline.stages.dockerfiles import Dockerfiles
from pipeline.stages.workspaces import known_as

if TYPE_CHECKING:
    from pipeline.azure.build import Builder
    from pipeline.azure.runs import Request
    from pipeline.stages.bench import Bench

_MOUNTED = "--mount=type=secret"


@noun
class _Wanted:
    """One image to build: its key, what was asked for, and what it starts from."""

    key: str
    spec: Mapping[str, Any]
    request: Json
    parents: Sequence[Json]
    platform: Platform


class RemoteDockerfiles(Dockerfiles):
    """The images of a project's Dockerfiles, each in the registry that built it under a tag that is its key: another
    machine, and a run after one that was killed, find it there.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._bench = bench

    def built(self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform) -> str:
        """The image's digest, for the lock; built when the registry has none. CommandFailed; OutOfReach."""
        from pipeline.registry.problems import NotFound

        key = cache_key(["dockerfile", request, str(platform), parents])
        repository = self._bench.registries.repository(self._where)
        try:
            return str(repository.resolve(_tag(key)).digest)
        except NotFound:
            pass
        with self._bench.store.guard(key[:32]):
            digest = self._by_registry(_Wanted(key, spec, request, parents, platform))
        return digest or str(repository.resolve(_tag(key)).digest)

    def image(
        self, spec: Mapping[str, Any], request: Json, parents: Sequence[Json], platform: Platform, built: str = ""
    ) -> Json:
        """{layers, config, facts, image}; of the digest that the lock has, while the registry has it."""
        key = f"acr {built or cache_key(['dockerfile', request, str(platform), parents])} {self._where.name}"
        database = self._bench.store.database
        if known := database.memo(key):
            layers = [Layer.from_json(layer) for layer in known["layers"]]
            self._bench.origins.note_registry(layers, self._where)
            return known
        try:
            made = self._taken(built or self.built(spec, request, parents, platform), platform)
        except ResolveError:
            if not built:
                raise
            self._bench.warn(f"{self._where.name}@{short(built)}, which the lock names, is gone: it is built again")
            made = self._taken(self.built(spec, request, parents, platform), platform)
        database.remember(key, made)
        return made

    def _taken(self, digest: str, platform: Platform) -> Json:
        image = str(self._where.at(digest=digest))
        found = self._bench.indexes.images.registry(image, "", platform)
        packages = {package["name"]: package["version"] for package in found["packages"]}
        facts = {**found["facts"], "packages": packages}
        return {"layers": found["layers"], "config": found["config"], "facts": facts, "image": image}

    # -- one build ----------------------------------------------------------------------------------------------

    def _by_registry(self, wanted: _Wanted) -> str:
        bench = self._bench
        request = self._request(wanted)
        hidden = [*bench.manifest.secrets, *(password for _, password in request.logins.values())]
        bench.follow(f"building {wanted.spec['path']} at {self._where.registry}")
        with bench.store.scratch() as scratch:
            pack = self._packing(wanted, request.dockerfile, scratch)
            return self._builder.build(wanted.key, request, pack, lambda line: bench.follow(mask(line, hidden)))

    def _packing(self, wanted: _Wanted, name: str, scratch: Path) -> Callable[[], Path]:
        from pipeline.azure.context import pack

        def packed() -> Path:
            files = self._bench.files
            members = context_members(wanted.spec, files) if wanted.request["context"] else []
            # Its rules have been followed.
            members = [member for member in members if member["path"] != ".dockerignore"]
            folder, out = files.path(context_of(wanted.spec)), scratch / "context.tar.gz"
            pack(members, folder, (name, self._text(wanted)), out, self._bench.stop)
            return out

        return packed

    def _text(self, wanted: _Wanted) -> str:
        if own := [one["name"] for one in wanted.parents if one.get("engine")]:
            fact = f"the Dockerfile starts from {own[0]}, which the lock knows from an engine alone"
            raise ResolveError(fact, remedy="push it to a registry, and run 'pipeline lock --upgrade'")
        names = {one["name"]: f"{parse(one['name']).name}@{one['version']}" for one in wanted.parents}
        return pinned(read(wanted.request["dockerfile"], wanted.request["args"], wanted.platform), names)

    def _request(self, wanted: _Wanted) -> Request:
        from uuid import UUID

        from pipeline.azure.runs import Request

        remote, args = self._bench.manifest.build.remote, wanted.request["args"]
        hidden = {name: Secret(value) for name, value in args.items() if names_a_secret(name)}
        return Request(
            image=f"{self._where.repository}:{_tag(wanted.key)}",
            dockerfile=f"{UUID(wanted.key[:32])}_Dockerfile",
            platform=wanted.platform,
            args={name: value for name, value in args.items() if name not in hidden},
            secrets={**hidden, **self._secrets(wanted)},
            logins=self._others(wanted.parents),
            target=wanted.request["target"],
            timeout=remote.timeout,
            pool=remote.pool,
        )

    def _secrets(self, wanted: _Wanted) -> dict[str, Secret]:
        """The secrets, as arguments: these builders know no other way. UsageError where an image would show them."""
        given = wanted.spec.get("secrets") or {}
        text = wanted.request["dockerfile"]
        if given and _MOUNTED in text:
            fact = f"{wanted.spec['path']} mounts secrets, which needs BuildKit, and Azure builds without it"
            raise UsageError(fact, remedy="take them as ARG in an earlier build stage, or build with Docker")
        dockerfile = read(text, wanted.request["args"], wanted.platform)
        if shown := sorted(shown_in_history(dockerfile, wanted.request["target"], given)):
            fact = f"the history of the image would show {', '.join(shown)}: its last build stage has it as ARG"
            raise UsageError(fact, remedy="use it in an earlier stage, and copy from there what it was needed for")
        return {name: value if isinstance(value, Secret) else Secret(value) for name, value in given.items()}

    def _others(self, parents: Sequence[Json]) -> dict[str, tuple[str, Secret]]:
        """Who signs in to the other registries that it starts from; the one that builds needs nobody."""
        found = self._logins(parents)
        return {host: (user, Secret(word)) for host, (user, word) in found.items() if host != self._where.registry}

    # -- the registry -------------------------------------------------------------------------------------------

    @property
    def _entry(self) -> Registry:
        return self._bench.manifest.registries[self._bench.manifest.build.registry]

    @cached_property
    def _where(self) -> Reference:
        """The repository of what is built. UsageError for a registry that cannot build."""
        entry, remote = self._entry, self._bench.manifest.build.remote
        found = below(entry.address, remote.repository or f"bases/{self._bench.manifest.name}", entry.location)
        if entry.azure is None and not is_azure(found.registry):
            fact = f"{found.registry} is no registry of Azure, and cannot build"
            raise UsageError(fact, remedy="name one that is, as NAME.azurecr.io", place=entry.location)
        return found

    @cached_property
    def _builder(self) -> Builder:
        from pipeline.azure.build import Builder
        from pipeline.azure.runs import Runs
        from pipeline.http import Http

        bench, azure = self._bench, self._entry.azure or Azure()
        arm = Arm(identity_of(azure, self._where.registry, bench.environ), bench.environ)
        policy, times = bench.manifest.retry.of("lock"), bench.manifest.timeouts
        transport = Http(bench.environ, None, times.connect, times.read)
        runs = Runs(arm, self._id(arm, azure))
        return Builder(runs, transport, bench.store.database, policy, bench.pause, bench.again, bench.stop)

    def _id(self, arm: Arm, azure: Azure) -> ResourceId:
        """The registry's place in Azure, asked for once."""
        database, key = self._bench.store.database, f"arm id {self._where.registry} {azure.subscription}"
        if known := database.memo(key):
            return parse_id(known, REGISTRY)
        if workspace := database.memo(known_as(azure)):
            return parse_id(workspace["id"], REGISTRY)
        found = registries.by_host(arm, self._where.registry, azure.subscription, azure.resource_group)
        database.remember(key, str(found.id))
        return found.id


def _tag(key: str) -> str:
    return key[:40]


__all__ = ["RemoteDockerfiles"]
