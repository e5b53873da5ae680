"""Where Python packages come from: the manifest's words and pip's own settings, said in uv's variables.

uv reads UV_* and uv.toml by itself. pip's settings (pip documentation, "Configuration") are translated for those who
have set up only pip. Everything goes through the environment: a command line could be read by other users.
"""

from __future__ import annotations

import configparser
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ResolveError
from pipeline.kinds import Files
from pipeline.layers._requirements import Requested

_UV_INDEX_VARIABLES = (
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "UV_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
)
_UV_INDEX_KEYS = {"index", "index-url", "extra-index-url", "find-links", "no-index"}
# Settings that would change what uv is told to do here, not where it looks.
_NOT_OURS = (
    "UV_NO_CACHE",
    "UV_TARGET",
    "UV_PREFIX",
    "UV_COMPILE_BYTECODE",
    "UV_LINK_MODE",
    "UV_REQUIRE_HASHES",
    "UV_NO_VERIFY_HASHES",
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_CUSTOM_COMPILE_COMMAND",
    "UV_WORKING_DIR",
    "UV_NO_BINARY",
    "VIRTUAL_ENV",
)


def pip_settings(environ: Mapping[str, str], etc: Path, prefix: Path) -> dict[str, str]:
    """pip's settings for `pip install`, as text by long option name; later places win, as pip has it.

    `etc` is /etc, `prefix` that of the virtual environment. Files that cannot be read are passed over, as pip does.
    """
    home = Path(environ.get("HOME") or Path.home())
    shared = [
        Path(folder) / "pip/pip.conf" for folder in environ.get("XDG_CONFIG_DIRS", f"{etc}/xdg").split(":") if folder
    ]
    user = [home / ".pip/pip.conf", Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"]
    chosen = environ.get("PIP_CONFIG_FILE", "")
    places = [*shared, etc / "pip.conf", *user, prefix / "pip.conf", *([Path(chosen)] if chosen else [])]
    settings = [_pip_file(path) for path in ([] if chosen == os.devnull else places)]
    merged: dict[str, str] = {}
    for section in ("global", "install"):
        for found in settings:
            merged.update(found.get(section, {}))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            merged[name[4:].lower().replace("_", "-")] = value
    return merged


def _pip_file(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return {}
    return {
        section: {key.lower().replace("_", "-"): value.strip() for key, value in parser.items(section)}
        for section in parser.sections()
    }


def uv_has_indexes(environ: Mapping[str, str], etc: Path, project: Path) -> bool:
    """Whether uv itself was told where packages are, by the environment, uv.toml or a pyproject.toml of the project."""
    if any(environ.get(name) for name in _UV_INDEX_VARIABLES):
        return True
    home = Path(environ.get("HOME") or Path.home())
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    shared = [Path(folder) for folder in environ.get("XDG_CONFIG_DIRS", f"{etc}/xdg").split(":") if folder]
    places = [folder / "uv/uv.toml" for folder in (*shared, etc, user)]
    if chosen := environ.get("UV_CONFIG_FILE"):
        places = [Path(chosen)]
    elif environ.get("UV_NO_CONFIG", "0").lower() not in ("", "0", "false"):
        return False
    else:
        places += [folder / name for folder in (project, *project.parents) for name in ("uv.toml", "pyproject.toml")]
    return any(_names_index(path) for path in places)


def _names_index(path: Path) -> bool:
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if path.name == "pyproject.toml":
        settings = settings.get("tool", {}).get("uv", {})
    return bool(_UV_INDEX_KEYS & {*settings, *settings.get("pip", {})})


def uv_settings(
    environ: Mapping[str, str], wanted: Requested, files: Files, *, etc: Path, prefix: Path
) -> tuple[dict[str, str], list[str]]:
    """The environment to run uv in, and the options for which uv has no variable.

    The environment is the user's own, with pip's settings and the manifest's sources in uv's words.
    """
    env = {name: value for name, value in environ.items() if name not in _NOT_OURS}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    # Steps are tried again as the manifest's `retry` says; both together would be many times.
    env.setdefault("UV_HTTP_RETRIES", "0")
    pip = pip_settings(environ, etc, prefix)
    _network(env, pip)
    no_index = wanted.no_index
    if not uv_has_indexes(environ, etc, files.path(".")):
        _pip_indexes(env, pip)
        no_index |= pip.get("no-index", "").lower() in ("1", "true", "yes", "on") and not wanted.index
    _manifest_indexes(env, wanted, files, environ)
    return env, ["--no-index"] if no_index else []


def _network(env: dict[str, str], pip: Mapping[str, str]) -> None:
    """Certificates, proxies and time limits, where uv's own variables do not say."""
    if bundle := pip.get("cert") or env.get("REQUESTS_CA_BUNDLE") or env.get("CURL_CA_BUNDLE"):
        env.setdefault("SSL_CERT_FILE", bundle)
    if client := pip.get("client-cert"):
        env.setdefault("SSL_CLIENT_CERT", client)
    if hosts := pip.get("trusted-host"):
        env.setdefault("UV_INSECURE_HOST", " ".join(hosts.split()))
    if (proxy := pip.get("proxy")) and not any(env.get(name) for name in ("ALL_PROXY", "HTTPS_PROXY", "https_proxy")):
        env["ALL_PROXY"] = proxy
    if (timeout := pip.get("timeout") or pip.get("default-timeout", "")).isdigit():
        env.setdefault("UV_HTTP_TIMEOUT", timeout)
    if pip.get("keyring-provider") == "subprocess":
        env.setdefault("UV_KEYRING_PROVIDER", "subprocess")


def _pip_indexes(env: dict[str, str], pip: Mapping[str, str]) -> None:
    if index := pip.get("index-url"):
        env["UV_DEFAULT_INDEX"] = index
    if extra := pip.get("extra-index-url", "").split():
        env["UV_INDEX"] = " ".join(extra)
        # pip takes the best version that any index has; uv would stop at the first index that knows the name.
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    # pip passes over a folder that is not there; uv would stop.
    if links := [link for link in pip.get("find-links", "").split() if "://" in link or Path(link).is_dir()]:
        env["UV_FIND_LINKS"] = ",".join(links)


def _manifest_indexes(env: dict[str, str], wanted: Requested, files: Files, environ: Mapping[str, str]) -> None:
    """What the manifest and its requirement files say goes before anything else."""
    if wanted.index:
        env["UV_DEFAULT_INDEX"] = expand(wanted.index, environ)
        env.pop("UV_INDEX_URL", None)
    if extra := [expand(url, environ) for url in wanted.extra_index]:
        env["UV_INDEX"] = " ".join([*extra, *env.get("UV_INDEX", "").split()])
        env.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    links = [expand(link, environ) for link in wanted.find_links]
    if links := [link if "://" in link else str(files.path(link)) for link in links]:
        env["UV_FIND_LINKS"] = ",".join([*links, *filter(None, env.get("UV_FIND_LINKS", "").split(","))])
    if wanted.trusted_host:
        env["UV_INSECURE_HOST"] = " ".join([*wanted.trusted_host, *env.get("UV_INSECURE_HOST", "").split()])


def expand(text: str, environ: Mapping[str, str]) -> str:
    """`${NAME}` replaced as in pip's requirement files; what is not set stays as it is."""
    return re.sub(r"\$\{([A-Z0-9_]+)\}", lambda match: environ.get(match[1], match[0]), text)


def pip_conf(env: Mapping[str, str], no_index: bool) -> tuple[str, list[Path]]:
    """What uv was told of indexes, as a pip.conf for a pip in a container; and the folders of this machine among them.

    Indexes that are folders are left out: pip in a container cannot read them.
    """
    # uv takes NAME=URL as well.
    places = [re.sub(r"^[\w.-]+=(?=https?://)", "", text) for text in _indexes(env)]
    links = [link for link in env.get("UV_FIND_LINKS", "").split(",") if link]
    lines = {"index-url": places[:1], "extra-index-url": places[1:], "find-links": links}
    text = ""
    for name, given in lines.items():
        if found := " ".join(place for place in given if place.startswith(("http://", "https://"))):
            text += f"{name} = {found}\n"
    text += "no-index = true\n" if no_index else ""
    text += f"trusted-host = {hosts}\n" if (hosts := env.get("UV_INSECURE_HOST", "")) else ""
    here = [Path(link.removeprefix("file://")) for link in links if link.startswith(("/", "file://"))]
    return f"[global]\n{text}" if text else "", here


def _indexes(env: Mapping[str, str]) -> list[str]:
    """The default index, empty for the public one, and the others."""
    default = env.get("UV_DEFAULT_INDEX") or env.get("UV_INDEX_URL", "")
    return [default, *f"{env.get('UV_INDEX', '')} {env.get('UV_EXTRA_INDEX_URL', '')}".split()]


def has_wheels(environ: Mapping[str, str]) -> bool:
    """Whether uv's cache, at its usual place, holds unpacked wheels (uv documentation, "Caching")."""
    usual = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~"), ".cache")) / "uv"
    return any(Path(environ.get("UV_CACHE_DIR") or usual).glob("archive-v*/*"))


def uv_binary(environ: Mapping[str, str]) -> str:
    """Where uv is: beside this Python, else in PATH. Raises ResolveError."""
    import shutil

    try:
        from uv import find_uv_bin

        return os.fspath(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv", path=environ.get("PATH"))
    if not found:
        raise ResolveError("uv was not found", remedy="install it: pip install uv")
    return found
