"""What this machine can do, and what to install for more: looked at, never changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from pipeline.errors import PipelineError
from pipeline.home import Home
from pipeline.noun import noun

State = Literal["ok", "limited", "missing"]
_LOW_DISK = 5_000_000_000


@noun
class Finding:
    """One ability of the machine: whether it is there, the fact behind it, and what to do for more."""

    what: str
    state: State
    fact: str
    remedy: str = ""


def findings(environ: Mapping[str, str], home: Home, root: Path = Path("/")) -> Iterator[Finding]:
    """Every finding, what matters to all users first. `root` is where the machine's own files are."""
    yield _store(home)
    yield from _sandbox(home.store)
    yield _engine(environ, root)
    yield _keyrings(root)
    yield _foreign(root)
    yield _credentials(environ)


def _store(home: Home) -> Finding:
    place = next(folder for folder in (home.store, *home.store.parents) if folder.exists())
    if not os.access(place, os.W_OK):
        return Finding("store", "missing", f"{place} cannot be written", "set PIPELINE_HOME to a folder of your own")
    free = shutil.disk_usage(place).free
    fact = f"{home.store}, {free / 1e9:.0f} GB free"
    if free < _LOW_DISK:
        return Finding("store", "limited", fact, "images take gigabytes: free the disk or set PIPELINE_HOME")
    return Finding("store", "ok", fact)


def _sandbox(store: Path) -> Iterator[Finding]:
    """Tries, in a child process, what a service without an engine needs."""
    from pipeline.targets import _inside as inside

    who = "root" if os.geteuid() == 0 else "an ordinary user"
    wrong = _tried(lambda: inside.unshare(0, 0))
    if wrong:
        remedy = "sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000, "
        remedy += "and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0; or use a container engine"
        yield Finding("services without an engine", "missing", f"no namespaces for {who}: {wrong}", remedy)
        return
    yield Finding("services without an engine", "ok", f"namespaces work for {who}")
    place = next(folder for folder in (store, *store.parents) if folder.exists())
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as scratch:
            wrong = _tried(lambda: _overlay(Path(scratch)))
    except OSError as error:
        wrong = str(error)
    if wrong:
        remedy = "kernel 5.11 or newer, and a store that is not itself on an overlay"
        yield Finding("copy-on-write", "limited", f"no overlay, so files are copied: {wrong}", remedy)
    else:
        yield Finding("copy-on-write", "ok", "an overlay over unpacked layers")


def _overlay(scratch: Path) -> None:
    from pipeline.targets import _inside as inside

    for name in ("lower", "upper", "work", "root"):
        (scratch / name).mkdir()
    (scratch / "lower/0").mkdir()
    inside.mount_root(str(scratch), "0", inside.unshare(0, 0))


def _tried(attempt: Callable[[], object]) -> str:
    """What is wrong with `attempt`, made in a child process that may lose its namespaces; empty when it works."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            attempt()
            os._exit(0)
        except BaseException as error:
            os.write(writer, str(error).encode()[:500])
            os._exit(1)
    os.close(writer)
    with open(reader, "rb") as said:  # noqa: PTH123
        words = said.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return words or (f"exit code {status}" if status else "")


def _engine(environ: Mapping[str, str], root: Path) -> Finding:
    from pipeline.engine.find import find

    what, remedy = "container engine", "Debian and Ubuntu: apt-get install docker.io (or podman)"
    try:
        about = find(environ, "auto", root)
    except PipelineError as error:
        return Finding(what, "missing", error.message, error.remedy)
    if about is None:
        return Finding(what, "missing", "none answers; kinds that execute (apt, run, dockerfile) need one", remedy)
    return Finding(what, "ok", str(about))


def _keyrings(root: Path) -> Finding:
    what = "archive keyrings"
    folders = [root / "usr/share/keyrings", root / "etc/apt/trusted.gpg.d"]
    found = {
        name
        for name in ("debian", "ubuntu")
        if any(list(folder.glob(f"{name}-archive-keyring.*")) for folder in folders)
    }
    lacking = sorted({"debian", "ubuntu"} - found)
    packages = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}
    fact = f"{' and '.join(sorted(found))} archives can be verified" if found else "no archive can be verified"
    if not lacking:
        return Finding(what, "ok", fact)
    remedy = f"for {lacking[0]} bases: install {packages[lacking[0]]}, or set `keyring` in the manifest"
    return Finding(what, "limited" if found else "missing", fact, remedy)


def _foreign(root: Path) -> Finding:
    handlers = sorted(path.name.removeprefix("qemu-") for path in root.glob("proc/sys/fs/binfmt_misc/qemu-*"))
    what = "other architectures"
    if handlers:
        return Finding(what, "ok", f"programs for {', '.join(handlers)} run here")
    remedy = "to run and check such images here: install qemu-user-static"
    return Finding(what, "limited", "images for them can be built, not run", remedy)


def _credentials(environ: Mapping[str, str]) -> Finding:
    import json

    folder = environ.get("DOCKER_CONFIG") or f"{environ.get('HOME', '')}/.docker"
    path = Path(folder, "config.json")
    try:
        config = json.loads(path.read_text())
        hosts = sorted({*config.get("auths", {}), *config.get("credHelpers", {})})
    except FileNotFoundError:
        return Finding("registry credentials", "limited", f"no {path}", "'pipeline login REGISTRY' writes it")
    except (OSError, ValueError, AttributeError) as error:
        return Finding("registry credentials", "missing", f"{path} cannot be read: {error}", "mend or remove it")
    store = f", the rest in {config['credsStore']}" if config.get("credsStore") else ""
    return Finding("registry credentials", "ok", f"{path}: {', '.join(hosts) or 'none'}{store}")
