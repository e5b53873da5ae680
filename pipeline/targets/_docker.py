"""Services in a container engine on this machine: a container each, named as the service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.digest import canonical, digest_of, short
from pipeline.engine.ask import NoAnswer, ask
from pipeline.engine.model import About, EngineError
from pipeline.errors import OutOfReach, RolloutError
from pipeline.oci.descriptor import Layer
from pipeline.targets._runtime import Process, environment, last_lines, on_port, restart
from pipeline.targets._status import guard, read, record
from pipeline.targets.model import Release

if TYPE_CHECKING:
    from pipeline.engine.docker import DockerEngine

REPOSITORY = "pipeline.local/service"
SERVICE, REVISION, IMAGE, ADDRESS = "pipeline.service", "pipeline.revision", "pipeline.image", "pipeline.address"


class DockerRuntime:
    """Runs one service in the engine that `about` names; `tar` gives a layer's uncompressed tar, `together`
    the folder of several layers' files.

    `grace` is how many seconds a service has to end when asked.
    """

    def __init__(
        self,
        service: str,
        state: Path,
        about: About,
        tar: Callable[[Layer], Iterable[bytes]],
        together: Callable[[Sequence[Layer]], Path],
        *,
        grace: int = 10,
    ) -> None:
        self._name = container_name(service)
        self._service = service
        self._state = state
        self._about = about
        self._tar = tar
        self._together = together
        self._grace = grace

    def start(self, release: Release, host: str) -> None:
        """Raises RolloutError for a port or a name that is taken, EngineError for a container that does not start."""
        with guard(self._state):
            engine = self._engine()
            self._check_name()
            self._sweep(engine)
            image = self._load(engine, release)
            try:
                self._replace(engine, release, host, image)
            except EngineError as error:
                if any(words in error.message for words in ("port is already allocated", "address already in use")):
                    raise _port_taken(host, release.port) from error
                raise

    def _check_name(self) -> None:
        found = self._container()
        if found and (found["Config"].get("Labels") or {}).get(SERVICE) != self._service:
            raise RolloutError(
                f"a container named {self._name} is there, and is no service of pipeline",
                remedy=f"remove it ('docker rm {self._name}'), or give the manifest or the target another name",
            )

    def _sweep(self, engine: DockerEngine) -> None:
        """Removes the containers of rollouts that were killed half way; one that took the service's name is its own."""
        from pipeline.engine.docker import answering

        with answering(self._about.address, f"the service {self._service}"):
            for found in engine.api.containers(all=True, filters={"label": f"{SERVICE}={self._service}"}):
                if f"/{self._name}" not in (found["Names"] or ()):
                    engine.api.remove_container(found["Id"], v=True, force=True)

    def _load(self, engine: DockerEngine, release: Release) -> str:
        """The release's image, in the engine. Those that no release needs go first, but for the one to return to."""
        from pipeline.engine.images import load

        config = canonical(dict(release.config))
        image = f"{REPOSITORY}:{short(digest_of(config), 32)}"
        known, container = read(self._state), self._container() or {}
        live = container.get("Config", {}).get("Image")
        images = list(dict.fromkeys([image, *([live] if live else ()), *(known.get("images") or ())]))
        # Noted before it is there: what is loaded by a run that is then killed is not forgotten.
        record(self._state, self._about, stopped=bool(known.get("stopped")), images=images)
        for other in images[2:]:
            engine.forget(other)
        akin = [live] if live else []
        load(engine, image, config, release.layers, self._tar, lambda layer: sum(map(len, self._tar(layer))), akin)
        record(self._state, self._about, stopped=bool(known.get("stopped")), images=images[:2])
        return image

    def _replace(self, engine: DockerEngine, release: Release, host: str, image: str) -> None:
        """The new container is made before the old one is stopped: what the engine refuses changes nothing."""
        from pipeline.engine.docker import answering

        api, old = engine.api, self._container()
        with answering(self._about.address, f"the service {self._service}"):
            made = api.create_container(**self._creation(engine, release, host, image))["Id"]
            try:
                if old:
                    api.stop(old["Id"], timeout=self._grace)
                    api.remove_container(old["Id"], v=True)
                api.rename(made, self._name)
                record(self._state, self._about, images=read(self._state)["images"])
                api.start(made)
            except BaseException:
                with suppress(Exception):
                    api.remove_container(made, v=True, force=True)
                raise

    def _creation(self, engine: DockerEngine, release: Release, host: str, image: str) -> dict[str, Any]:
        """The arguments that make the service's container."""
        settings, api = release.settings, engine.api
        config: Mapping[str, Any] = release.config.get("config") or {}
        env = {name: _plain(value) for name, value in environment(release).items()}
        limits: dict[str, Any] = {"restart_policy": {"Name": restart(release)}}
        command: dict[str, Any] = {}
        if self._has_bridge(engine):
            limits["port_bindings"] = {release.container_port: (host, release.port)}
        else:
            # The host's network is all there is: the service itself has to listen on the port that clients call.
            words = (*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ()))
            limits["network_mode"] = "host"
            command = {"entrypoint": list(on_port(words, release.container_port, release.port)), "command": []}
            env["PORT"] = str(release.port)
            self._check_port(host, release.port)
        limits |= _limits(settings)
        # A label for SELinux (z), which means nothing elsewhere.
        limits["binds"] = [
            f"{self._together(mount.layers)}{mount.place}:{mount.place}:ro,z" for mount in release.mounts
        ]
        return {
            "image": image,
            "name": f"{self._name}.{release.revision}.{os.getpid()}",
            "environment": env,
            "ports": [release.container_port],
            "labels": {
                SERVICE: self._service,
                REVISION: release.revision,
                IMAGE: release.image,
                ADDRESS: json.dumps([host, release.port]),
            },
            "host_config": api.create_host_config(**limits),
            **command,
        }

    def _has_bridge(self, engine: DockerEngine) -> bool:
        """Whether containers can have a network of their own; a Docker daemon may run without."""
        return self._about.name != "Docker" or bool(engine.api.networks(names=["bridge"]))

    def _check_port(self, host: str, port: int) -> None:
        """Whether the port is free, or held by this very service."""
        from pipeline.targets._ports import bind

        process = self.inspect()
        if not (process and process.alive and process.port == port):
            bind(host, port).close()

    def inspect(self) -> Process | None:
        found = self._container()
        if found is None:
            return None
        labels, state = found["Config"].get("Labels") or {}, found["State"]
        host, port = json.loads(labels.get(ADDRESS, '["127.0.0.1", 0]'))
        started = _seconds(state.get("StartedAt", ""))
        # One that has ended and is about to be started again counts as ended: its exit code tells why.
        alive = bool(state.get("Running")) and not state.get("Restarting")
        return Process(
            alive=alive,
            revision=labels.get(REVISION, ""),
            image=labels.get(IMAGE, ""),
            host=host,
            port=port,
            started=started,
            exit_code=None if alive or not started else state.get("ExitCode"),
            stopped=bool(read(self._state).get("stopped")),
            restarts=int(found.get("RestartCount") or 0),
            by=f"{self._about.name} {self._about.version}",
        )

    def stop(self) -> None:
        from pipeline.engine.docker import answering

        with guard(self._state):
            self._sweep(self._engine())
            if (found := self._container()) is None:
                return
            record(self._state, self._about, stopped=True, images=read(self._state).get("images") or [])
            with answering(self._about.address, f"the service {self._service}"):
                self._engine().api.stop(found["Id"], timeout=self._grace)

    def remove(self) -> None:
        from pipeline.engine.docker import answering

        if (found := self._container()) is None:
            return
        self.stop()
        with answering(self._about.address, f"the service {self._service}"):
            self._engine().api.remove_container(found["Id"], v=True)
        for image in read(self._state).get("images") or []:
            # One that another service runs stays.
            self._engine().forget(image)

    def logs(self, *, follow: bool = False, lines: int | None = None) -> Iterator[str]:
        found = self._container()
        if found is None:
            return
        from pipeline.engine.docker import answering
        from pipeline.engine.lines import lines as whole_lines

        with answering(self._about.address, f"the log of {self._service}"):
            # Podman counts a line that was written in pieces as several.
            cut = self._about.name == "Podman" and not follow
            tail = "all" if lines is None or cut else lines
            pieces = self._engine().api.logs(found["Id"], stream=True, follow=follow, tail=tail)
            said = whole_lines((0, piece) for piece in pieces)
            yield from last_lines(said, lines) if cut else said

    def _engine(self) -> DockerEngine:
        from pipeline.engine.docker import DockerEngine

        return DockerEngine(self._about)

    def _container(self) -> dict[str, Any] | None:
        """What the engine says of the container, asked without the SDK: every run asks; None for none."""
        try:
            status, value = ask(self._about.address, f"/containers/{self._name}/json")
        except NoAnswer as error:
            raise OutOfReach(
                f"{self._about.name} at {self._about.address}, in which {self._service} runs, does not answer: {error}",
                remedy="start it",
                transient=True,
            ) from error
        return value if status == 200 else None


def container_name(service: str) -> str:
    """A container's name for a service ([a-zA-Z0-9][a-zA-Z0-9_.-]+)."""
    return "".join(c if (c.isalnum() and c.isascii()) or c in "_.-" else "_" for c in service)


def _limits(settings: Mapping[str, Any]) -> dict[str, Any]:
    from pipeline.manifest.build import size

    found: dict[str, Any] = {}
    if memory := settings.get("memory"):
        found |= {"mem_limit": size(memory), "memswap_limit": size(memory)}
    if cpus := settings.get("cpus"):
        found["nano_cpus"] = int(float(cpus) * 1e9)
    if gpus := settings.get("gpus"):
        found["device_requests"] = [{"count": -1 if gpus == "all" else int(gpus), "capabilities": [["gpu"]]}]
    return found


def _plain(value: str) -> str:
    from pipeline.manifest.secrets import reveal

    return reveal(value)


def _seconds(text: str) -> float:
    """Unix time of 2026-01-31T12:00:00.123456789Z or with an offset; 0 for none."""
    from datetime import datetime

    try:
        whole, _, rest = text.partition(".")
        zone = "+00:00" if text.endswith("Z") or not rest else rest.lstrip("0123456789")
        # A container that was never started says the year 1.
        return max(0.0, datetime.fromisoformat(whole.removesuffix("Z") + zone).timestamp())
    except ValueError:
        return 0.0


def _port_taken(host: str, port: int) -> RolloutError:
    from pipeline.targets._ports import port_holder

    by = f" by {holder}" if (holder := port_holder(port)) else ""
    return RolloutError(f"port {port} on {host} is taken{by}", remedy="stop that, or give the target another `port`")
