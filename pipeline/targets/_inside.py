"""Runs one command in an image's file system, in namespaces of its own: a script, started with a bare interpreter.

    python -I -S _inside.py FD

FD holds the specification, a JSON object (see `_sandbox.specification`). Three processes: this one waits; the second
is the init (process 1) of the new PID namespace, mounts the file system and reaps; the third becomes the command. When
the first dies, the kernel ends the others. A failure before the command runs is written to the descriptor `error_fd` as
{"kind", "message"}; that descriptor closing without a word means that the command runs. Standard library only. See
user_namespaces(7), pid_namespaces(7), pivot_root(2), mount(2).
"""

# ruff: noqa: PTH101, PTH102, PTH103, PTH106, PTH108, PTH110, PTH112, PTH123, PTH211
# pathlib alone would take as long to import as all the rest.
from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38

# chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, sys_chroot (capabilities(7)).
KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 18}
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
MASKED = ("/proc/kcore", "/proc/keys", "/proc/timer_list")

_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The sandbox cannot be set up. Its arguments: `namespaces`, `overlay`, `command` or `setup`, and why."""


def _call(name: str, *arguments: object) -> None:
    """A system call by its C name; raises OSError."""
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    texts = [text.encode() if text else None for text in (source, target, kind)]
    _call("mount", *texts, ctypes.c_ulong(flags), options.encode() if options else None)


def prctl(option: int, value: int) -> None:
    _call("prctl", option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))


def unshare(uid: int, gid: int) -> bool:
    """Enters new namespaces; whether a user namespace is among them, with this user as `uid` and `gid`."""
    flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID
    outside = os.geteuid(), os.getegid()
    if outside[0] == 0:
        with contextlib.suppress(PermissionError):
            _call("unshare", flags)
            return False
    try:
        _call("unshare", flags | CLONE_NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {outside[0]} 1")
        _write("/proc/self/gid_map", f"{gid} {outside[1]} 1")
    except OSError as error:
        raise Refused("namespaces", str(error)) from error
    return True


def mount_root(run: str, lower: str, user_namespace: bool) -> None:
    """Mounts the image's file system, with a private writable layer, and makes it the current directory."""
    try:
        mount("none", "/", "", MS_REC | MS_PRIVATE)
    except OSError as error:
        raise Refused("namespaces", str(error)) from error
    os.chdir(f"{run}/lower")
    if lower:
        options = f"lowerdir={lower},upperdir=../upper,workdir=../work"
        # Outside of the first user namespace an overlay may only keep its notes in the user's own attributes.
        own = user_namespace or _read("/proc/self/uid_map").split() != ["0", "0", "4294967295"]
        try:
            mount("overlay", "../root", "overlay", MS_NOSUID | MS_NODEV, options + (",userxattr" if own else ""))
        except OSError as error:
            raise Refused("overlay", str(error)) from error
    else:
        mount("../root", "../root", "", MS_BIND | MS_REC)
    os.chdir("../root")


def enter_root() -> None:
    """Makes the current directory the root and the host's files unreachable, with the usual mounts in place.

    The image is touched after the change of root only: its symbolic links cannot point out of it.
    """
    files = {path: _read(path) for path in ("/etc/resolv.conf", "/etc/hosts") if os.path.exists(path)}
    host = ".host-" + os.urandom(8).hex()
    os.mkdir(host, 0o700)
    _call("pivot_root", b".", host.encode())
    os.chdir("/")
    host = "/" + host
    for folder, mode in (("/proc", 0o555), ("/sys", 0o555), ("/dev", 0o755), ("/tmp", 0o1777), ("/etc", 0o755)):
        _folder(folder, mode)
    _mount_proc(host)
    _mount_sys(host)
    _mount_dev(host)
    _call("umount2", host.encode(), 2)  # MNT_DETACH
    os.rmdir(host)
    for path, text in files.items():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        _write(path, text, 0o644)


def _mount_proc(host: str) -> None:
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("proc", "/proc", "proc", flags)
    except PermissionError:
        # In a container that hides parts of /proc, the kernel grants no other one.
        mount(f"{host}/proc", "/proc", "", MS_BIND | MS_REC)
    # A user namespace already keeps these from the command, and may not be allowed to do it again.
    with contextlib.suppress(OSError):
        for path in (path for path in READ_ONLY if os.path.exists(path)):
            mount(path, path, "", MS_BIND)
            mount("", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | flags)
        for path in (path for path in MASKED if os.path.exists(path)):
            mount(f"{host}/dev/null", path, "", MS_BIND)


def _mount_sys(host: str) -> None:
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    try:
        mount("sysfs", "/sys", "sysfs", flags)
    except PermissionError:
        # A new one takes a network namespace of one's own; the host's shows the same network.
        with contextlib.suppress(OSError):
            mount(f"{host}/sys", "/sys", "", MS_BIND | MS_REC)
            mount("", "/sys", "", MS_REMOUNT | MS_BIND | flags)


def _mount_dev(host: str) -> None:
    mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=65536k")
    for name in DEVICES:
        if os.path.exists(f"{host}/dev/{name}"):
            _write(f"/dev/{name}", "", 0o666)
            mount(f"{host}/dev/{name}", f"/dev/{name}", "", MS_BIND)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")
    os.mkdir("/dev/shm")
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    os.mkdir("/dev/pts")
    # Refused where user 0 is not mapped; a service has no terminal.
    with contextlib.suppress(OSError):
        mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
        os.symlink("pts/ptmx", "/dev/ptmx")


def become(spec: dict[str, Any], user_namespace: bool) -> NoReturn:
    """Turns this process into the command, as the image's user, with no way to more rights."""
    os.setsid()
    for ending in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, signal.SIG_DFL)
    _folder(spec["cwd"], 0o755)
    os.chdir(spec["cwd"])
    env = dict(spec["env"])
    if (listening := spec.get("socket_fd", -1)) >= 0:
        # systemd's protocol (sd_listen_fds(3)): the first passed socket is descriptor 3 of the process named.
        env |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
        os.dup2(listening, 3)
        os.set_inheritable(3, True)  # dup2 of 3 onto itself leaves it as it was
    for number in range(64):
        if number not in KEPT_CAPABILITIES:
            with contextlib.suppress(OSError):
                prctl(PR_CAPBSET_DROP, number)
    if not user_namespace:
        os.setgroups(spec["groups"])
        os.setresgid(spec["gid"], spec["gid"], spec["gid"])
        os.setresuid(spec["uid"], spec["uid"], spec["uid"])
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    try:
        os.execvpe(spec["argv"][0], spec["argv"], env)
    except OSError as error:
        missing = "the image has no such program, or not its interpreter"
        why = missing if error.errno == errno.ENOENT else error.strerror
        raise Refused("command", f"{spec['argv'][0]} cannot be run: {why}") from error


def init(spec: dict[str, Any], user_namespace: bool, alive: int) -> int:
    """Process 1: mounts, starts the command, passes signals on, reaps; the command's exit code."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:
        return 128 + signal.SIGKILL
    os.umask(0o022)
    mount_root(spec["run"], spec["lower"], user_namespace)
    enter_root()
    # Nobody inside may reach the host's interpreter by /proc/1/exe, nor this memory.
    prctl(PR_SET_DUMPABLE, 0)
    command = os.fork()
    if command == 0:
        os.close(alive)
        _guarded(spec, lambda: become(spec, user_namespace))
    _quiet(spec)
    return _wait(command)


def _wait(child: int) -> int:
    """Passes ending signals on to `child` until it has ended; its exit code, 128 and the signal's number if killed."""

    def forward(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, forward)
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _guarded(spec: dict[str, Any], action: Any) -> NoReturn:
    """Runs `action` and exits with its result; whatever goes wrong is reported to the descriptor `error_fd`."""
    try:
        code = action()
    except BaseException as error:
        reason = error.args if isinstance(error, Refused) else ("setup", f"{type(error).__name__}: {error}")
        said = dict(zip(("kind", "message"), reason, strict=True))
        with contextlib.suppress(OSError):
            os.write(spec["error_fd"], json.dumps(said).encode())
        code = 125
    os._exit(code)


def _quiet(spec: dict[str, Any]) -> None:
    """Leaves what belongs to the command to the command alone: its standard streams, its socket, the report."""
    for number in (0, 1, 2):
        os.dup2(spec["null_fd"], number)
    for number in _own(spec):
        os.close(number)


def _own(spec: dict[str, Any]) -> list[int]:
    """The descriptors that were handed down."""
    return [number for number in (spec["error_fd"], spec.get("socket_fd", -1)) if number >= 0]


def main() -> NoReturn:
    with open(int(sys.argv[1])) as file:
        spec = json.load(file)
    for number in _own(spec):
        os.set_inheritable(number, False)
    _guarded(spec, lambda: _outer(spec))


def _outer(spec: dict[str, Any]) -> int:
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Opened here, for the root changes under all three processes at a time that only the second one knows.
    spec["null_fd"] = os.open("/dev/null", os.O_RDWR)
    user_namespace = unshare(spec["uid"], spec["gid"])
    alive, hold = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hold)
        _guarded(spec, lambda: init(spec, user_namespace, alive))
    os.close(alive)
    _quiet(spec)
    return _wait(child)


def _folder(path: str, mode: int) -> None:
    if not os.path.isdir(path):
        os.makedirs(os.path.realpath(path), 0o755, exist_ok=True)  # for a link, what it leads to
        os.chmod(path, mode)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
