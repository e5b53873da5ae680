"""Commands in an image's file system without a container engine: Linux namespaces and an overlay of unpacked layers.

The command sees the image, a private writable layer, /proc, /sys, /dev and the host's network; nothing else of the
host. It runs as the image's user, with no way to more rights. Root needs nothing for this; an ordinary user needs
unprivileged user namespaces (user_namespaces(7)), and then owns every file in the sandbox.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline.errors import CheckError, PipelineError
from pipeline.store.roots import overlay_ready, remove_tree

if TYPE_CHECKING:
    from subprocess import CompletedProcess

INSIDE = Path(__file__).with_name("_inside.py")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ALLOW = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1, "
    "on Ubuntu also kernel.apparmor_restrict_unprivileged_userns=0; in a container: --privileged), or run as root"
)
T = TypeVar("T")


class SandboxError(PipelineError):
    """A sandbox that cannot be set up, or a command that cannot be started in one."""


class OverlayRefused(Exception):
    """The kernel or the file system takes no overlay here; the layers have to be merged by copying."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and as whom; `argv[0]` is looked up in the PATH of `env`."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


def command(
    layers: Sequence[Path], config: Mapping[str, Any], argv: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Command:
    """The command of an image (OCI image-spec, config.md: Entrypoint, Cmd, Env, User, WorkingDir), or `argv` in it.

    Raises SandboxError for a user or group that the image's /etc/passwd or /etc/group does not have.
    """
    settings: Mapping[str, Any] = config.get("config") or {}
    words = tuple(argv) or (*(settings.get("Entrypoint") or ()), *(settings.get("Cmd") or ()))
    if not words:
        raise SandboxError("the image has no command", remedy="give the image `serve` or `command`")
    uid, gid, groups, home = _user(settings.get("User") or "", layers)
    variables = {"PATH": _PATH, "HOME": home}
    variables |= dict(pair.split("=", 1) for pair in settings.get("Env") or () if "=" in pair)
    return Command(words, {**variables, **(env or {})}, settings.get("WorkingDir") or "/", uid, gid, groups)


def _user(text: str, layers: Sequence[Path]) -> tuple[int, int, tuple[int, ...], str]:
    """The user's number, group, further groups and home folder; `user`, `uid`, each with `:group` or `:gid`."""
    name, _, group = text.partition(":")
    name = name or "0"
    accounts = [line.split(":") for line in _file(layers, "etc/passwd") if line.count(":") >= 6]
    known = next((a for a in accounts if name == (a[2] if name.isdecimal() else a[0])), None)
    if known is None and not name.isdecimal():
        raise SandboxError(f"the image's user {name!r} is not in its /etc/passwd", remedy="use a user number")
    uid, gid, home = (int(known[2]), int(known[3]), known[5]) if known else (int(name), 0, "/")
    entries = [line.split(":") for line in _file(layers, "etc/group") if line.count(":") >= 3]
    if not group:
        further = {int(g[2]) for g in entries if known and known[0] in g[3].split(",")}
        return uid, gid, tuple(sorted({gid, *further})), home
    found = group if group.isdecimal() else next((g[2] for g in entries if g[0] == group), None)
    if found is None:
        raise SandboxError(f"the image's group {group!r} is not in its /etc/group", remedy="use a group number")
    return uid, int(found), (int(found),), home


def _file(layers: Sequence[Path], path: str) -> list[str]:
    """The lines of a file, from the highest layer that has it; links are not followed."""
    for layer in reversed(layers):
        file = layer / path
        if file.is_file() and not file.is_symlink() and not file.parent.is_symlink():
            return file.read_text(errors="replace").splitlines()
    return []


def in_root(run: Path, layers: Sequence[Path], attempt: Callable[[str], T]) -> T:
    """Calls `attempt(lower)` with `run` prepared as an overlay of `layers` (lowest first), else as a copy of them.

    `run` is an empty folder on a file system that can hold the writable layer. `lower` is the overlay's lowerdir, in
    names relative to `run`/lower: a mount takes no more than 4096 bytes of options. Empty means: use `run`/root.
    """
    for name in ("lower", "upper", "work", "root"):
        (run / name).mkdir()
        # Whatever umask the user has: the image's root is for all its users.
        (run / name).chmod(0o755)
    for number, layer in enumerate(layers):
        (run / "lower" / str(number)).symlink_to(layer)
    if layers and all(overlay_ready(layer) for layer in layers):
        # The kernel refuses a folder that is there twice (ELOOP); the highest place of a layer decides, and is enough.
        places = {layer: number for number, layer in enumerate(layers)}
        try:
            return attempt(":".join(str(number) for number in sorted(places.values(), reverse=True)))
        except OverlayRefused:
            pass
    from pipeline.targets._copy import merge

    merge(layers, run / "root")
    return attempt("")


def specification(run: Path, lower: str, command: Command) -> dict[str, Any]:
    """What `_inside.py` reads, but for the descriptors."""
    return {
        "run": str(run),
        "lower": lower,
        "argv": list(command.argv),
        # As JSON takes it: a secret's text, where str() would mask it.
        "env": dict(command.env),
        "cwd": command.cwd,
        "uid": command.uid,
        "gid": command.gid,
        "groups": list(command.groups),
    }


def refusal(report: bytes) -> Exception:
    """The error for what `_inside.py` reported."""
    said = json.loads(report)
    kind, message = said["kind"], said["message"]
    if kind == "overlay":
        return OverlayRefused(message)
    if kind == "namespaces":
        return SandboxError(f"this system does not let {_who()} make namespaces: {message}", remedy=_ALLOW)
    if kind == "command":
        return SandboxError(message, remedy="check the image's command, its user's rights and its architecture")
    return SandboxError(f"cannot set up the sandbox: {message}")


def _who() -> str:
    return "root" if os.geteuid() == 0 else "an ordinary user"


def memory_file(value: Any) -> int:
    """An open descriptor from which `value` can be read as JSON; never on a disk, for it may hold secrets."""
    descriptor = os.memfd_create("specification", 0)
    data = json.dumps(value).encode()
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def run(
    layers: Sequence[Path],
    config: Mapping[str, Any],
    argv: Sequence[str],
    *,
    scratch: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout: float | None = 60,
) -> CompletedProcess[bytes]:
    """Runs `argv` in an image (`layers` lowest first, `config` its OCI config) and waits for its end.

    What it writes to files goes to a folder below `scratch` and is removed. Raises CheckError after `timeout` seconds,
    SandboxError when it cannot be started.
    """
    what = command(layers, config, argv, env)
    scratch.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=scratch))
    try:
        return in_root(folder, layers, lambda lower: _once(specification(folder, lower, what), stdin, timeout))
    finally:
        remove_tree(folder)


def _once(spec: dict[str, Any], stdin: bytes, timeout: float | None) -> CompletedProcess[bytes]:
    import subprocess

    read, write = os.pipe()
    file = memory_file({**spec, "error_fd": write})
    with open(read, "rb") as report:  # noqa: PTH123
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(INSIDE), str(file)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(file, write),
            )
        finally:
            os.close(write)
            os.close(file)
        with process:
            if said := report.read():
                raise refusal(said)
            try:
                out, err = process.communicate(stdin, timeout)
            except BaseException as error:
                process.kill()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise CheckError(f"{spec['argv'][0]} did not end within {timeout:g} s") from None
                raise
    return subprocess.CompletedProcess(spec["argv"], process.returncode, out, err)
