"""Where conda channels are: their names in manifests and locks, and their addresses by the user's own settings.

conda documentation, "Managing channels" and "Using the .condarc conda configuration file".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pipeline.errors import ManifestError, UsageError
from pipeline.kinds import Files

ALIAS = "https://conda.anaconda.org"
"""What a channel's name is put after, unless channel_alias says otherwise."""
DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
"""What the channel `defaults` stands for, unless default_channels says otherwise."""
_TOKEN = re.compile(r"/t/[^/]+(?=/)")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: its name, without host or credentials, and its address, which may hold credentials."""

    name: str
    address: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What .condarc says of channels. `verify` is a file of certificates, `true` or `false`; `proxies` by scheme."""

    alias: str = ALIAS
    channels: tuple[str, ...] = ("defaults",)
    defaults: tuple[str, ...] = DEFAULTS
    custom: Mapping[str, str] = field(default_factory=dict)
    verify: str = "true"
    proxies: Mapping[str, str] = field(default_factory=dict)


def read_settings(environ: Mapping[str, str], etc: Path) -> Settings:
    """The user's settings; later files win, then variables. Files that cannot be read are passed over."""
    home = Path(environ.get("HOME") or Path.home())
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    places = [etc / "conda/.condarc", etc / "conda/condarc", user / "conda/.condarc", user / "conda/condarc"]
    places += [home / ".conda/.condarc", home / ".conda/condarc", home / ".condarc"]
    places += [Path(environ[name]) for name in ("CONDARC",) if environ.get(name)]
    merged: dict[str, Any] = {}
    for place in places:
        merged |= _file(place, environ)
    for name in ("channel_alias", "ssl_verify"):
        if text := environ.get(f"CONDA_{name.upper()}"):
            merged[name] = text
    return Settings(
        str(merged.get("channel_alias") or ALIAS).rstrip("/"),
        tuple(_list(merged.get("channels"))) or ("defaults",),
        tuple(_list(merged.get("default_channels"))) or DEFAULTS,
        merged.get("custom_channels") or {},
        str(merged.get("ssl_verify", "true")),
        merged.get("proxy_servers") or {},
    )


def _file(place: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    from pipeline.manifest.source import parse_value

    try:
        root = parse_value(place.read_text(encoding="utf-8"), str(place)).root
    except (OSError, ValueError, ManifestError):
        return {}
    found = _plain(root, environ)
    return found if isinstance(found, dict) else {}


def _plain(node: Any, environ: Mapping[str, str]) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(value, environ) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(value, environ) for value in node.value]
    text = node.text if node.text is not None else node.value
    return re.sub(r"\$\{(\w+)\}", lambda match: environ.get(match[1], match[0]), text) if text else text


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def channels(asked: Sequence[str], specs: Iterable[str], settings: Settings, files: Files) -> tuple[Channel, ...]:
    """The channels asked for, those that specs name (`channel::package`) last; none asked for: the user's own.

    `nodefaults` changes nothing, for no channel is added unasked. UsageError when two differ in their hosts alone.
    """
    found: dict[str, Channel] = {}
    for text in asked or settings.channels:
        for each in settings.defaults if text == "defaults" else () if text == "nodefaults" else (text,):
            channel = _channel(each, settings, files)
            if found.setdefault(channel.name, channel).address != channel.address:
                raise UsageError(
                    f"two channels are called {channel.name}", remedy="put one of them under another path or folder"
                )
    for name in (spec.partition("::")[0].strip() for spec in specs if "::" in spec):
        if name not in found:
            channel = _channel(name, settings, files)
            found.setdefault(channel.name, channel)
    return tuple(found.values())


def _channel(text: str, settings: Settings, files: Files) -> Channel:
    text = text.strip().rstrip("/")
    if text.startswith("."):
        # A folder of the project.
        path = files.path(text)
        return Channel(path.name, "file://" + quote(str(path)))
    if "://" in text:
        return Channel(_name(text, settings), text)
    for name, place in settings.custom.items():
        if text == name or text.startswith(name + "/"):
            return Channel(text, posixpath.join(place, text))
    return Channel(text, f"{settings.alias}/{text}")


def _name(address: str, settings: Settings) -> str:
    bare = public(address)
    for alias in (public(settings.alias), ALIAS):
        if bare.startswith(alias + "/"):
            return bare.removeprefix(alias + "/")
    path = urlsplit(bare).path.strip("/")
    return posixpath.basename(path) if bare.startswith("file:") else path or urlsplit(bare).hostname or bare


def public(text: str) -> str:
    """An address without the credentials and the token (`/t/TOKEN/`) that it may hold."""
    return _TOKEN.sub("", _CREDENTIALS.sub("", text))


def located(spec: str, found: Sequence[Channel]) -> str:
    """A spec with its channel's address in place of its name, as the solver compares it."""
    name, named, rest = spec.partition("::")
    address = next((each.address for each in found if name.strip() in (each.name, each.address)), name)
    return f"{address}::{rest.strip()}" if named else spec
