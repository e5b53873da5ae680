"""The engine behind the Docker SDK: Docker itself, and Podman by the interface that it shares with Docker."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pipeline.engine import accounts, overlay, owner
from pipeline.engine.arguments import DOCKERFILE, OWNER, archive, building, creation, ignored
from pipeline.engine.buildkit import INSTALL, Output
from pipeline.engine.lines import lines
from pipeline.engine.model import About, Change, ChangeKind, Dockerfile, Ended, EngineError, Identity, Job
from pipeline.engine.pulse import Pulse
from pipeline.engine.sdk import CHUNK, TIMEOUT, answering, client, frames, or_none, packed, patient
from pipeline.engine.secrets import stdin
from pipeline.errors import OutOfReach
from pipeline.limit import clearing_up
from pipeline.store.temporary import temporary

_KILLING, _PAUSE = 10.0, 1.0
_MOUNTS = Path("/proc/self/mountinfo")
_KINDS: tuple[ChangeKind, ...] = ("changed", "added", "deleted")


class DockerEngine:
    """An engine at the address that `about` names; the SDK is imported when first needed. Safe for several threads."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._swept = threading.Lock()
        self._is_swept = False

    def about(self) -> About:
        return self._about

    @cached_property
    def api(self) -> Any:
        """The SDK's client, for whoever needs more than commands."""
        return client(self._about.address)

    @cached_property
    def _maps_owners(self) -> bool:
        """Whether every owner of a file is another one here than in the container; Podman takes a while to say."""
        secure = " ".join(self.api.info().get("SecurityOptions") or ())
        return "userns" in secure or "rootless" in secure

    def layers(self, image: str) -> tuple[str, ...] | None:
        with answering(self._about.address, f"image {image}"):
            found = or_none(lambda: self.api.inspect_image(image))
        return None if found is None else tuple((found.get("RootFS") or {}).get("Layers") or ())

    def identity(self, image: str) -> Identity | None:
        with answering(self._about.address, f"image {image}"):
            found = or_none(lambda: self.api.inspect_image(image))
        if found is None:
            return None
        id_ = found["Id"] if ":" in found["Id"] else f"sha256:{found['Id']}"
        return Identity(id_, tuple(found.get("RepoTags") or ()), tuple(found.get("RepoDigests") or ()))

    def tag(self, image: str, name: str) -> None:
        repository, _, tag = name.rpartition(":")
        with answering(self._about.address, f"image {image}"):
            self.api.tag(image, repository, tag, force=True)

    def forget(self, name: str) -> None:
        # One that a container uses, or that is gone by now, is refused.
        with contextlib.suppress(EngineError), answering(self._about.address, f"image {name}"):
            self.api.remove_image(name, noprune=True)

    def load(self, archive: Iterable[bytes]) -> None:
        with patient(self.api), answering(self._about.address, "loading an image"):
            for said in self.api.load_image(iter(archive)):
                if error := said.get("error"):
                    remedy = "make room where it keeps its images" if "no space left" in error else ""
                    raise EngineError(f"the engine does not take an image: {error}", remedy=remedy)

    def build(self, wanted: Dockerfile, line: Callable[[str], None], halted: Callable[[], bool]) -> str:
        """With BuildKit where a docker program can drive it, else with what the engine has: Podman's own is as good."""
        from pipeline.engine import buildkit

        program = buildkit.program(os.environ.get("PATH", "")) if self._about.name == "Docker" else None
        if wanted.secrets and self._about.name == "Docker" and not program:
            raise EngineError("a Dockerfile with secrets needs BuildKit", remedy=INSTALL)
        with temporary() as folder:
            exact = replace(wanted, path=buildkit.put_down(wanted, folder))
            if program:
                return buildkit.build(program, self._about.address, exact, line, halted)
            return self._build(exact, line)

    def _build(self, wanted: Dockerfile, line: Callable[[str], None]) -> str:
        """By the engine's interface. Raises EngineError with the end of the output."""
        output = Output(line)
        built = ""
        with patient(self.api), answering(self._about.address, "the Dockerfile cannot be built"):
            for registry, (user, password) in wanted.logins.items():
                # Kept in this process, and sent along with what is to be built.
                self.api.login(user, password, registry=registry)
            # Put there by us: the SDK names one of another folder in two words, of which Podman takes the second.
            dockerfile = (DOCKERFILE, wanted.path.read_text(encoding="utf-8"))
            context = packed(str(wanted.context), ignored(wanted), dockerfile)
            for said in self.api.build(fileobj=context, **building(wanted)):
                for text in str(said.get("stream") or said.get("error") or "").splitlines():
                    output(text)
                if "error" in said:
                    raise output.failed("the Dockerfile's build failed")
                # Each build stage has an ID; the last one is the image's.
                built = (said.get("aux") or {}).get("ID") or built
        return built or output.last_id()

    def save(self, image: str) -> Iterable[bytes]:
        with patient(self.api), answering(self._about.address, f"image {image}"):
            yield from cast(Iterable[bytes], self.api.get_image(image, chunk_size=CHUNK))

    @contextmanager
    def container(self, job: Job) -> Iterator[DockerContainer]:
        self.sweep()
        with answering(self._about.address, f"a container for {job.title or job.image}"):
            made = self.api.create_container(**creation(self.api, job))
            container = DockerContainer(self.api, self._about, made["Id"], job, lambda: self._maps_owners)
            try:
                if job.files:
                    self.api.put_archive(made["Id"], "/", archive(job.files))
                yield container
            finally:
                # Failing to remove it must not hide what went wrong; the next run's sweep removes it.
                with clearing_up(), contextlib.suppress(EngineError, OutOfReach), answering(self._about.address):
                    self.api.remove_container(made["Id"], v=True, force=True)

    def sweep(self) -> None:
        """Removes, once, the containers of runs that were killed."""
        with self._swept:
            if self._is_swept:
                return
            self._is_swept = True
            with contextlib.suppress(EngineError), answering(self._about.address, "listing containers"):
                for found in self.api.containers(all=True, filters={"label": OWNER}):
                    if owner.is_gone(found["Labels"].get(OWNER, "")):
                        self.api.remove_container(found["Id"], v=True, force=True)


class DockerContainer:
    """One container, made and not started."""

    def __init__(self, api: Any, about: About, id_: str, job: Job, maps_owners: Callable[[], bool]) -> None:
        self.id = id_
        self._api = api
        self._about = about
        self._job = job
        self._maps_owners = maps_owners
        self._accounts: dict[str, bytes] = {}
        self._stream: Any = None

    def run(self, line: Callable[[str], None]) -> Ended:
        with answering(self._about.address, "the command does not start"):
            self._accounts = {path: self._file(path) for path in accounts.FILES} if self._adds_accounts() else {}
            wanted = {"stdin": int(bool(self._job.secrets)), "stdout": 1, "stderr": 1, "stream": 1}
            stream = self._stream = self._api.attach_socket(self.id, params=wanted)
            try:
                with self._watched() as lost:
                    self._api.start(self.id)
                    if self._job.secrets:
                        getattr(stream, "_sock", stream).sendall(stdin(self._job.secrets))
                    for text in lines(frames(stream)):
                        line(text)
                if lost:
                    raise lost[0]
            finally:
                stream.close()
            code = self._api.wait(self.id, timeout=TIMEOUT)["StatusCode"]
            state = self._api.inspect_container(self.id)["State"]
        return Ended(code, bool(state.get("OOMKilled")))

    @contextmanager
    def _watched(self) -> Iterator[list[OutOfReach]]:
        """Hangs up when the engine is silent; the list then has the error."""
        lost: list[OutOfReach] = []
        pulse, ended = Pulse(self._about.address), threading.Event()

        def watch() -> None:
            while not ended.wait(_PAUSE):
                if pulse.gone():
                    lost.append(pulse.error())
                    self._hang_up()
                    return

        threading.Thread(target=watch, name="pulse", daemon=True).start()
        try:
            yield lost
        finally:
            ended.set()

    def _hang_up(self) -> None:
        stream = self._stream
        with contextlib.suppress(OSError, AttributeError):
            getattr(stream, "_sock", stream).shutdown(socket.SHUT_RDWR)

    def kill(self) -> None:
        try:
            with patient(self._api, _KILLING), answering(self._about.address):
                self._api.kill(self.id)
        except EngineError:
            pass  # It has ended.
        except OutOfReach:
            # Who waits for the command's end is not to wait for an engine that hangs.
            self._hang_up()

    def changes(self) -> Sequence[Change]:
        with patient(self._api), answering(self._about.address, "what a command changed"):
            return [Change(one["Path"].strip("/"), _KINDS[one["Kind"]]) for one in self._api.diff(self.id) or ()]

    def own(self) -> Collection[str]:
        with answering(self._about.address, "reading a container's files"):
            return {path for path, before in self._accounts.items() if accounts.is_given(before, self._file(path))}

    def _adds_accounts(self) -> bool:
        return self._about.name == "Podman" and bool(self._job.user)

    def _file(self, path: str) -> bytes:
        """What is in a small file; nothing where there is none."""
        found = or_none(lambda: self._api.get_archive(self.id, f"/{path}"))
        return accounts.content(found[0]) if found else b""

    def upper(self) -> Path | None:
        """An overlay's upper directory, where the engine is on this machine and we may read it."""
        if not self._about.address.startswith("unix://") or os.geteuid() != 0:
            return None
        with answering(self._about.address):
            if self._maps_owners():
                return None
            driver = self._api.inspect_container(self.id).get("GraphDriver") or {}
            found = overlay.named(driver) or self._mounted()
        return found if found and found.is_dir() else None

    def _mounted(self) -> Path | None:
        """Where the overlay of a container that has ended is seen: while the engine hands out its files."""
        pieces: Any = self._api.get_archive(self.id, "/")[0]
        with contextlib.closing(pieces):
            next(pieces, None)
            return overlay.mounted(_MOUNTS.read_text(errors="surrogateescape"), self.id)

    def export(self) -> Iterable[bytes]:
        with patient(self._api), answering(self._about.address, "reading a container's files"):
            yield from cast(Iterable[bytes], self._api.export(self.id, chunk_size=CHUNK))


__all__ = ["OWNER", "DockerContainer", "DockerEngine", "answering"]
