"""Users and groups: what base-passwd, sysusers.d and adduser would have made of /etc/passwd, group, shadow and gshadow.

passwd(5), group(5), shadow(5), sysusers.d(5), adduser(8).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline.assemble.deb_shell import UNKNOWN
from pipeline.assemble.deb_tree import Tree
from pipeline.assemble.entry import Entry

NOLOGIN = "/usr/sbin/nologin"
SHADOW_GROUP = 42
_PASSWD = b"""\
root:*:0:0:root:/root:/bin/bash
daemon:*:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:*:2:2:bin:/bin:/usr/sbin/nologin
sys:*:3:3:sys:/dev:/usr/sbin/nologin
man:*:6:12:man:/var/cache/man:/usr/sbin/nologin
mail:*:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:*:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = b"""\
root:*:0:
daemon:*:1:
bin:*:2:
sys:*:3:
adm:*:4:
tty:*:5:
disk:*:6:
mail:*:8:
man:*:12:
kmem:*:15:
dialout:*:20:
audio:*:29:
www-data:*:33:
shadow:*:42:
utmp:*:43:
video:*:44:
staff:*:50:
users:*:100:
nogroup:*:65534:
"""
"""Debian's fixed numbers (base-passwd's masters), for images without base-passwd."""


@dataclass
class User:
    name: str
    uid: int
    gid: int
    gecos: str = ""
    home: str = "/nonexistent"
    shell: str = NOLOGIN


@dataclass
class Group:
    name: str
    gid: int
    members: list[str] = field(default_factory=list)


@dataclass
class Accounts:
    """The users and groups of an image, in the order of their making."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    @staticmethod
    def parse(passwd: str, group: str) -> Accounts:
        accounts = Accounts()
        for line in passwd.splitlines():
            words = line.split(":")
            if len(words) == 7 and words[2].isdigit() and words[3].isdigit():
                user = User(words[0], int(words[2]), int(words[3]), words[4], words[5], words[6])
                accounts.users[user.name] = user
        for line in group.splitlines():
            words = line.split(":")
            if len(words) == 4 and words[2].isdigit():
                accounts.groups[words[0]] = Group(words[0], int(words[2]), [m for m in words[3].split(",") if m])
        return accounts

    def free(self, numbers: Iterable[int]) -> int:
        """The first number that neither a user nor a group has."""
        taken = {u.uid for u in self.users.values()} | {g.gid for g in self.groups.values()}
        return next(number for number in numbers if number not in taken)

    def add_group(self, name: str, gid: int) -> Group:
        return self.groups.setdefault(name, Group(name, gid))

    def add_user(self, user: User) -> None:
        self.users.setdefault(user.name, user)

    def add_member(self, user: str, group: str) -> None:
        if group in self.groups and user not in self.groups[group].members:
            self.groups[group].members.append(user)


# systemd counts down, adduser up (both within login.defs' SYS_UID_MIN and SYS_UID_MAX).
_SYSUSERS = range(999, 99, -1)
_ADDUSER = range(100, 1000)


def apply_sysusers(accounts: Accounts, text: str) -> None:
    """The lines `u`, `g` and `m` of a sysusers.d file, unless the names are there already."""
    for line in text.splitlines():
        words = _split(line)
        if len(words) < 2 or words[0].startswith("#"):
            continue
        kind, name = words[0].rstrip("!"), words[1]
        number, gecos, home, shell = ([("" if w == "-" else w) for w in words[2:6]] + [""] * 4)[:4]
        if kind == "g" and name not in accounts.groups:
            accounts.add_group(name, int(number) if number.isdigit() else accounts.free(_SYSUSERS))
        elif kind == "u" and name not in accounts.users:
            _sysuser(accounts, name, number, User(name, 0, 0, gecos, home or "/", shell or NOLOGIN))
        elif kind == "m" and len(words) > 2:
            accounts.add_member(name, words[2])


def _sysuser(accounts: Accounts, name: str, number: str, user: User) -> None:
    uid, _, group = number.partition(":")
    user.uid = int(uid) if uid.isdigit() else accounts.free(_SYSUSERS)
    if group.isdigit():
        user.gid = int(group)
    elif group:
        user.gid = accounts.groups[group].gid if group in accounts.groups else accounts.add_group(group, user.uid).gid
    else:
        user.gid = accounts.add_group(name, user.uid).gid
    accounts.add_user(user)


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


_WITH_VALUE = ("--home", "--shell", "--gecos", "--comment", "--uid", "--gid", "--ingroup", "--conf")


def apply_command(accounts: Accounts, words: list[str]) -> User | None:
    """An `adduser` or `addgroup` of a maintainer script; gives the user when a home folder is to be made for it."""
    command = words[0].rpartition("/")[2]
    if command not in ("adduser", "addgroup") or UNKNOWN in words:
        return None
    options, names = _options(words[1:])
    if command == "adduser" and len(names) == 2:
        accounts.add_member(names[0], names[1])
    if len(names) != 1:
        return None
    if command == "addgroup" or "--system" not in options:
        if command == "addgroup" and names[0] not in accounts.groups:
            gid = options.get("--gid", "")
            accounts.add_group(names[0], int(gid) if gid.isdigit() else accounts.free(_ADDUSER))
        return None
    return _system_user(accounts, names[0], options)


def _options(words: list[str]) -> tuple[dict[str, str], list[str]]:
    options: dict[str, str] = {}
    names: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if ">" in word or "<" in word:
            break
        if word.startswith("-"):
            key, equals, value = word.partition("=")
            options[key] = value if equals else next(remaining, "") if key in _WITH_VALUE else ""
        else:
            names.append(word)
    return options, names


def _system_user(accounts: Accounts, name: str, options: Mapping[str, str]) -> User | None:
    if name in accounts.users:
        return None
    number = options.get("--uid", "")
    uid = int(number) if number.isdigit() else accounts.free(_ADDUSER)
    group = options.get("--ingroup", "")
    if "--group" in options:
        taken = {g.gid for g in accounts.groups.values()}
        gid = accounts.add_group(name, uid if uid not in taken else accounts.free(_ADDUSER)).gid
    elif group in accounts.groups:
        gid = accounts.groups[group].gid
    else:
        gid = int(options["--gid"]) if options.get("--gid", "").isdigit() else 65534
    gecos = options.get("--gecos") or options.get("--comment") or ""
    home = options.get("--home", "/nonexistent")
    user = User(name, uid, gid, gecos, home, options.get("--shell", NOLOGIN))
    accounts.add_user(user)
    return None if "--no-create-home" in options or home == "/nonexistent" else user


def users(
    commands: Mapping[str, Iterable[list[str]]], sysusers: Mapping[str, bytes], tree: Tree, masters: Mapping[str, bytes]
) -> Iterator[Entry]:
    """The four files, and the homes that adduser makes. `sysusers` maps file names to what sysusers.d holds."""
    below = tree.below
    accounts = Accounts.parse(
        (below.read("etc/passwd") or masters.get("passwd.master", _PASSWD)).decode("utf-8", "replace"),
        (below.read("etc/group") or masters.get("group.master", _GROUP)).decode("utf-8", "replace"),
    )
    before = render(accounts)
    for name in sorted(sysusers):
        apply_sysusers(accounts, sysusers[name].decode("utf-8", "replace"))
    homes = [home for name in sorted(commands) for words in commands[name] if (home := apply_command(accounts, words))]
    files = render(accounts)
    if files != before or not below.find("etc/passwd"):
        files["shadow"] = _kept_passwords(files["shadow"], below.read("etc/shadow").decode("utf-8", "replace"))
        for name, text in files.items():
            mode, gid = (0o640, SHADOW_GROUP) if name in ("shadow", "gshadow") else (0o644, 0)
            data = text.encode()
            yield from tree.place(Entry(f"etc/{name}", "file", mode, 0, gid, data, len(data)))
    for user in homes:
        yield from tree.place(Entry(user.home.strip("/"), "dir", 0o755, user.uid, user.gid))


def _kept_passwords(shadow: str, below: str) -> str:
    """The lines of the layers below for the users that they have."""
    known = {line.partition(":")[0]: line for line in below.splitlines()}
    return "".join(known.get(line.partition(":")[0], line) + "\n" for line in shadow.splitlines())


def render(accounts: Accounts) -> dict[str, str]:
    """passwd, group, shadow and gshadow; every password is locked, and no date says when that was."""
    users, groups = accounts.users.values(), accounts.groups.values()
    return {
        "passwd": "".join(f"{u.name}:x:{u.uid}:{u.gid}:{u.gecos}:{u.home}:{u.shell}\n" for u in users),
        "group": "".join(f"{g.name}:x:{g.gid}:{','.join(g.members)}\n" for g in groups),
        "shadow": "".join(f"{u.name}:*::0:99999:7:::\n" for u in users),
        "gshadow": "".join(f"{g.name}:*::{','.join(g.members)}\n" for g in groups),
    }
