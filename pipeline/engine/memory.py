"""An engine that runs nothing: for tests, and for trying what stands above engines on a machine without one."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.engine.model import About, Change, Dockerfile, Ended, Identity, Job


@dataclass
class Scene:
    """What a pretended command works in: it changes files and prints by `say`; `killed` says that it is to end."""

    job: Job
    say: Callable[[str], None] = lambda _line: None
    killed: bool = False
    members: dict[str, tuple[tarfile.TarInfo, bytes]] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)

    def write(self, path: str, content: bytes = b"", *, mode: int = 0o644, uid: int = 0, mtime: int = 0) -> None:
        """A file, with the folders above it."""
        info = tarfile.TarInfo(path)
        info.size, info.mode, info.uid, info.mtime = len(content), mode, uid, mtime
        self._put(info, content)

    def folder(self, path: str, *, mode: int = 0o755) -> None:
        info = tarfile.TarInfo(path)
        info.type, info.mode = tarfile.DIRTYPE, mode
        self._put(info, b"")

    def link(self, path: str, target: str) -> None:
        info = tarfile.TarInfo(path)
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
        self._put(info, b"")

    def delete(self, path: str) -> None:
        self.changed[path] = Change(path, "deleted")

    def _put(self, info: tarfile.TarInfo, content: bytes) -> None:
        parts = info.name.split("/")[:-1]
        for number in range(len(parts)):
            above = "/".join(parts[: number + 1])
            if above not in self.members:
                self.folder(above)
        self.members[info.name] = (info, content)
        self.changed[info.name] = Change(info.name, "added")


class MemoryEngine:
    """Has the images that it was given to load; `perform(scene)` stands for every command and gives its exit code.

    `jobs` and `built` hold what was asked, oldest first; `loaded` the archives that were given, `saved` those to give.
    `identities` are further images that it is to have, by their names.
    """

    def __init__(self, perform: Callable[[Scene], int | Ended] = lambda _scene: 0) -> None:
        self._perform = perform
        self._images: dict[str, tuple[str, ...]] = {}
        self.jobs: list[Job] = []
        self.loaded: list[bytes] = []
        self.built: list[Dockerfile] = []
        self.saved: dict[str, bytes] = {}
        self.identities: dict[str, Identity] = {}

    def about(self) -> About:
        return About("Memory", "1", "linux/amd64", "memory://")

    def layers(self, image: str) -> tuple[str, ...] | None:
        return self._images.get(image)

    def identity(self, image: str) -> Identity | None:
        found = self.identities.get(image)
        return found or next((one for one in self.identities.values() if one.id == image), None)

    def tag(self, image: str, name: str) -> None:
        if found := self.identity(image):
            self.identities[name] = replace(found, names=(*found.names, name))

    def forget(self, name: str) -> None:
        self.identities.pop(name, None)
        self._images.pop(name, None)

    def load(self, archive: Iterable[bytes]) -> None:
        import json

        data = b"".join(archive)
        self.loaded.append(data)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:

            def read(name: str) -> bytes:
                file = tar.extractfile(name)
                return file.read() if file else b""

            for image in json.loads(read("manifest.json")):
                config = json.loads(read(image["Config"]))
                for name in image["RepoTags"]:
                    self._images[name] = tuple(config["rootfs"]["diff_ids"])

    def build(self, wanted: Dockerfile, line: Callable[[str], None], halted: Callable[[], bool]) -> str:  # noqa: ARG002
        """Pretends: `saved` holds what is built, by the Dockerfile's name."""
        self.built.append(wanted)
        line(f"built {wanted.path.name}")
        return wanted.path.name

    def save(self, image: str) -> Iterable[bytes]:
        return [self.saved[image]]

    @contextmanager
    def container(self, job: Job) -> Iterator[MemoryContainer]:
        self.jobs.append(job)
        yield MemoryContainer(self._perform, Scene(job))


class MemoryContainer:
    """A container of MemoryEngine."""

    def __init__(self, perform: Callable[[Scene], int | Ended], scene: Scene) -> None:
        self._perform = perform
        self._scene = scene

    def run(self, line: Callable[[str], None]) -> Ended:
        self._scene.say = line
        ended = self._perform(self._scene)
        return ended if isinstance(ended, Ended) else Ended(ended)

    def kill(self) -> None:
        self._scene.killed = True

    def changes(self) -> Sequence[Change]:
        return list(self._scene.changed.values())

    def own(self) -> Collection[str]:
        return ()

    def upper(self) -> Path | None:
        return None

    def export(self) -> Iterable[bytes]:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for _, (info, content) in sorted(self._scene.members.items()):
                tar.addfile(info, io.BytesIO(content))
        yield buffer.getvalue()
