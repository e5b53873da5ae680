"""Builds Dockerfiles with BuildKit, which only the docker program can drive: it serves files over its own session."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.engine.model import Dockerfile
from pipeline.engine.pulse import Pulse
from pipeline.errors import CommandFailed, OutOfReach, PipelineError
from pipeline.store.temporary import temporary

INSTALL = "install Docker's program with BuildKit (package docker-buildx; in Docker 20.10 it is built in)"
SHOWN = 15
"""Lines of its output that a failed build shows."""
LONGEST = 200
"""Characters of one such line."""

_OUT_OF_REACH = re.compile(
    r"Cannot connect to the Docker daemon|error during connect|i/o timeout|connection (refused|reset)|TLS handshake"
    r"|no such host|unexpected status[^:]*: (429|5\d\d)|unexpected EOF|server misbehaving|transport is closing"
)
_BUILT_IN = range(18, 23)
_PAUSE, _TO_END = 0.2, 3.0


class Output:
    """What a build prints: passed on line by line, the end of it kept."""

    def __init__(self, line: Callable[[str], None]) -> None:
        self._line = line
        self._shown: deque[str] = deque(maxlen=SHOWN)

    def __call__(self, text: str) -> None:
        if text.strip():
            # A failed step is named by its whole script, and that three times.
            self._shown.append(text if len(text) <= LONGEST else f"{text[:LONGEST]}…")
            self._line(text)

    def failed(self, message: str) -> PipelineError:
        """The error for a build that failed, with what it said: OutOfReach for what it did not reach, else
        CommandFailed; for what older builders cannot do, the remedy.
        """
        last = next((text for text in reversed(self._shown) if text.startswith(("ERROR", "error"))), "")
        error: PipelineError
        if _OUT_OF_REACH.search(last) and "did not complete successfully" not in last:
            error = OutOfReach(message, remedy="see that the engine and the registries are in reach", transient=True)
        else:
            said = "\n".join(self._shown)
            error = CommandFailed(message, remedy=_remedy(said))
        error.log = tuple(self._shown)
        return error

    def last_id(self) -> str:
        """The image ID that the last lines tell, as older engines do."""
        for text in reversed(self._shown):
            if found := re.search(r"(?:^|Successfully built )((?:sha256:)?[0-9a-f]{12,64})$", text.strip()):
                return found[1]
        raise self.failed("the build ended and named no image")


def _remedy(said: str) -> str:
    if "requires BuildKit" in said:
        return INSTALL
    return "make room where the engine keeps its images" if "no space left" in said else "correct the Dockerfile"


def program(path: str) -> list[str] | None:
    """The first docker program in PATH that can drive BuildKit, and the words that make it build; None for none."""
    for folder in path.split(os.pathsep):
        docker = Path(folder or ".") / "docker"
        if not os.access(docker, os.X_OK):
            continue
        if subprocess.run([docker, "buildx", "version"], capture_output=True).returncode == 0:
            return [str(docker), "buildx", "build", "--load"]
        told = subprocess.run([docker, "--version"], capture_output=True, text=True).stdout
        if (version := re.search(r"version (\d+)\.", told)) and int(version[1]) in _BUILT_IN:
            return [str(docker), "build"]
    return None


def build(
    program: list[str], address: str, wanted: Dockerfile, line: Callable[[str], None], halted: Callable[[], bool]
) -> str:
    """The ID of the image that was built. Raises CommandFailed with the end of the output; OutOfReach."""
    output = Output(line)
    with temporary() as folder:
        id_file = folder / "id"
        secrets = _files(wanted.secrets, folder)
        environ = {**os.environ, "DOCKER_HOST": address, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        environ.pop("DOCKER_CONTEXT", None)
        if wanted.logins:
            environ["DOCKER_CONFIG"] = str(_config(wanted.logins, environ, folder))
        words = [*program, *_words(wanted, id_file, secrets), str(wanted.context)]
        with subprocess.Popen(
            words,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            with _stopping(process, halted, Pulse(address)) as lost:
                for text in process.stdout:
                    output(_plain(text))
        if lost:
            raise lost[0]
        if process.returncode:
            raise output.failed(f"the Dockerfile's build failed (exit code {process.returncode})")
        return id_file.read_text().strip()


def put_down(wanted: Dockerfile, folder: Path) -> Path:
    """The Dockerfile as it is to be built, in a folder of its own; with the ignore file that goes with it by name."""
    name = f"{wanted.path.name}.dockerignore"
    (folder / wanted.path.name).write_text(wanted.text or wanted.path.read_text(encoding="utf-8"), encoding="utf-8")
    if (own := wanted.path.with_name(name)).is_file():
        (folder / name).write_bytes(own.read_bytes())
    return folder / wanted.path.name


def _config(logins: Mapping[str, tuple[str, str]], environ: Mapping[str, str], folder: Path) -> Path:
    """A folder for Docker's program: the user's own, but for a config file that knows these logins, too."""
    own = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME") or Path.home()) / ".docker")
    made = folder / "config"
    made.mkdir(mode=0o700)
    for path in own.iterdir() if own.is_dir() else ():
        if path.name != "config.json":
            (made / path.name).symlink_to(path.absolute())
    try:
        config = json.loads((own / "config.json").read_bytes())
    except (OSError, ValueError):
        config = {}
    auths = dict(config.get("auths") or {})
    for registry, pair in logins.items():
        key = "https://index.docker.io/v1/" if registry == "docker.io" else registry
        auths[key] = {"auth": base64.b64encode(":".join(pair).encode()).decode()}
    # A helper would be asked before the file, and may know another user; none is one with an empty name.
    none = {"index.docker.io" if registry == "docker.io" else registry: "" for registry in logins}
    file = made / "config.json"
    file.touch(mode=0o600)
    helpers = {**(config.get("credHelpers") or {}), **none}
    file.write_text(json.dumps({**config, "auths": auths, "credHelpers": helpers}))
    return made


def _files(secrets: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """The secrets as files that nobody else can read: a command line can be seen by everyone on the machine, and an
    environment variable holds no more than 128 KiB, which the certificates of most machines exceed (execve(2)).
    """
    found = {}
    for number, (id_, text) in enumerate(secrets.items()):
        found[id_] = folder / f"secret-{number}"
        found[id_].touch(mode=0o600)
        found[id_].write_text(text, encoding="utf-8")
    return found


def _words(wanted: Dockerfile, id_file: Path, secrets: Mapping[str, Path]) -> Iterator[str]:
    yield from ("--progress", "plain", "--iidfile", str(id_file), "--file", str(wanted.path))
    for name, value in sorted(wanted.args.items()):
        yield from ("--build-arg", f"{name}={value}")
    for id_, path in secrets.items():
        yield from ("--secret", f"id={id_},src={path}")
    for option, text in (("--target", wanted.target), ("--platform", wanted.platform)):
        if text:
            yield from (option, text)
    if wanted.network != "default":
        yield from ("--network", wanted.network)


def _plain(text: bytes) -> str:
    """A line without its step's number and time; empty for one that only names a step by its digest, as 20.10 does."""
    line = re.sub(r"^#\d+ (?:\d+\.\d+(?: |$))?", "", text.decode(errors="replace").rstrip())
    return "" if re.fullmatch(r"sha256:[0-9a-f]{64}", line) else line


@contextmanager
def _stopping(process: subprocess.Popen[bytes], halted: Callable[[], bool], pulse: Pulse) -> Iterator[list[OutOfReach]]:
    """Ends the process, and what it started, once it is to stop; and when the engine is silent: the list says so."""
    ended = threading.Event()
    lost: list[OutOfReach] = []

    def watch() -> None:
        while not ended.wait(_PAUSE):
            if halted() or pulse.gone():
                if not halted():
                    lost.append(pulse.error())
                _end(process, signal.SIGTERM)
                if not ended.wait(_TO_END):
                    _end(process, signal.SIGKILL)
                return

    thread = threading.Thread(target=watch, name="build", daemon=True)
    thread.start()
    try:
        yield lost
    finally:
        ended.set()
        thread.join()


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, how)
