"""What this machine's apt is set to: its sources, their keyrings, its proxies and its credentials.

Formats: sources.list(5), both styles; apt.conf(5); apt_auth.conf(5), which is .netrc with more ways to name a machine.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.dpkg import SUITES

POCKETS = ("", "-updates", "-security", "/updates", "-backports", "-proposed-updates")
_ALIASES = {"debian": ("stable", "oldstable", "oldoldstable", "testing", "unstable"), "ubuntu": ("devel",)}
_ONE_LINE = re.compile(r"^\s*deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")
_TOKEN = re.compile(r'\s+|//[^\n]*|/\*.*?\*/|#[^\n]*|"((?:[^"\\]|\\.)*)"|([{};])|([^\s{};"]+)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """One archive of apt's sources. `signed_by` is a keyring's path or an armored key; `check_date` as apt would."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    signed_by: str = ""
    check_date: bool = True


@dataclass(frozen=True, slots=True)
class Login:
    """A user's name and password at a machine (and path), kept out of every `repr`."""

    machine: str
    user: str = field(repr=False, default="")
    password: str = field(repr=False, default="")


@dataclass(frozen=True)
class AptSettings:
    """All of apt's that tells where packages come from. `options` has lower-case keys: `acquire::http::proxy`."""

    sources: tuple[Source, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    logins: tuple[Login, ...] = ()

    @staticmethod
    def read(etc: Path, environ: Mapping[str, str]) -> AptSettings:
        """Reads below `etc`/apt and the user's .netrc; what is missing or cannot be read is as if it were not there."""
        apt = etc / "apt"
        options: dict[str, str] = {}
        for file in [*_files(apt / "apt.conf.d", ""), apt / "apt.conf"]:
            options.update(read_options(_text(file)))
        check = options.get("acquire::check-valid-until", "true").lower() not in ("false", "no", "0", "off")
        sources = list(_one_line_sources(_text(apt / "sources.list"), check))
        for file in _files(apt / "sources.list.d", ".list"):
            sources += _one_line_sources(_text(file), check)
        for file in _files(apt / "sources.list.d", ".sources"):
            sources += _deb822_sources(_text(file), check)
        netrc = environ.get("NETRC") or (f"{environ['HOME']}/.netrc" if environ.get("HOME") else "")
        auth = [apt / "auth.conf", *_files(apt / "auth.conf.d", ".conf"), *([Path(netrc)] if netrc else [])]
        return AptSettings(tuple(sources), options, tuple(login for file in auth for login in _logins(_text(file))))

    def source(self, distribution: str, architecture: str, *, security: bool) -> Source | None:
        """The source that holds a distribution's archive, whatever release of it; third parties' are passed over."""
        best: Source | None = None
        best_score = 0
        for source in self.sources:
            score = _score(source, distribution, architecture, security)
            if score > best_score:
                best, best_score = source, score
        return best


def _score(source: Source, distribution: str, architecture: str, security: bool) -> int:
    """0 for a source of something else: third parties use release names too, so its address or its key must agree."""
    names = [s.codename for s in SUITES.values() if s.distribution == distribution] + list(_ALIASES[distribution])
    pockets = POCKETS[2:4] if security else POCKETS[:2]
    if not any(suite == name + pocket for suite in source.suites for name in names for pocket in pockets):
        return 0
    parts = urlsplit(source.uri)
    if parts.scheme not in ("http", "https", "file", "copy") or (source.components and "main" not in source.components):
        return 0
    if source.architectures and architecture not in source.architectures:
        return 0
    # Ubuntu keeps all but x86 on machines of their own.
    ports = "ports" in source.uri
    if distribution == "ubuntu" and not source.architectures and ports == (architecture in ("amd64", "i386")):
        return 0
    named = distribution in parts.path
    signed = not source.signed_by or f"{distribution}-archive" in source.signed_by
    return 2 * named + signed


def _files(folder: Path, suffix: str) -> list[Path]:
    try:
        return sorted(
            p for p in folder.iterdir() if p.name.endswith(suffix) and not p.name.endswith("~") and p.is_file()
        )
    except OSError:
        return []


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace") if file.is_file() else ""
    except OSError:
        return ""


def _one_line_sources(text: str, check: bool) -> Iterator[Source]:
    for line in text.splitlines():
        match = _ONE_LINE.match(line)
        if not match:
            continue
        options = dict(word.partition("=")[::2] for word in (match["options"] or "").split())
        yield Source(
            match["uri"].rstrip("/"),
            (match["suite"].rstrip("/"),),
            tuple(match["components"].split()),
            tuple(options.get("arch", "").replace(",", " ").split()),
            options.get("signed-by", ""),
            options.get("check-valid-until", "yes" if check else "no") != "no",
        )


def _deb822_sources(text: str, check: bool) -> Iterator[Source]:
    for paragraph in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and key:
                fields[key] += "\n" + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri.rstrip("/"),
                tuple(suite.rstrip("/") for suite in fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                tuple(fields.get("architectures", "").split()),
                fields.get("signed-by", ""),
                fields.get("check-valid-until", "yes" if check else "no").lower() != "no",
            )


def read_options(text: str) -> dict[str, str]:
    """apt.conf's `A::B "value";` and `A { B "value"; };` as one flat mapping, keys in lower case."""
    options: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        quoted, mark, word = match.groups()
        if quoted is not None or word is not None:
            words.append(quoted if quoted is not None else word)
        elif mark == "{":
            scopes.append(words[0] if words else "")
            words = []
        elif mark in ("}", ";"):
            if mark == ";" and len(words) >= 2:
                options["::".join([*filter(None, scopes), words[0]]).lower()] = words[1]
            words = []
            if mark == "}" and scopes:
                scopes.pop()
    return options


def _logins(text: str) -> Iterator[Login]:
    words: Sequence[str] = [w for line in text.splitlines() if not line.lstrip().startswith("#") for w in line.split()]
    entry: dict[str, str] = {}
    for key, value in itertools.pairwise(words):
        if key == "machine":
            if entry.get("machine"):
                yield Login(entry["machine"], entry.get("login", ""), entry.get("password", ""))
            entry = {"machine": value}
        elif key in ("login", "password") and key not in entry:
            entry[key] = value
    if entry.get("machine"):
        yield Login(entry["machine"], entry.get("login", ""), entry.get("password", ""))


def login_for(url: str, logins: Sequence[Login]) -> Login | None:
    """The credentials for an address: apt's rule is that a machine named without a scheme is meant for https alone."""
    parts = urlsplit(url)
    for login in logins:
        scheme, _, machine = login.machine.rpartition("://")
        host, slash, path = machine.partition("/")
        if parts.scheme != (scheme or "https") or host not in (parts.netloc.rpartition("@")[2], parts.hostname):
            continue
        if not slash or parts.path.startswith("/" + path):
            return login
    return None
