"""How git is to be run for a repository: without the user's settings, and with its credentials in the environment."""

from __future__ import annotations

import base64
import os
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.noun import noun
from pipeline.serve import addresses
from pipeline.serve.settings import Repository

# git-config(1). What git would take from the user or the machine is not read; hooks are those of the other side alone.
_CONFIG = """\
[protocol]
	allow = never
[protocol "https"]
	allow = always
[protocol "http"]
	allow = always
[protocol "ssh"]
	allow = always
[protocol "file"]
	allow = always
[safe]
	directory = *
[credential]
	helper =
[core]
	askPass =
	fsmonitor = false
[http]
	lowSpeedLimit = 500
	lowSpeedTime = 30
[gc]
	autoDetach = false
[maintenance]
	auto = false
[advice]
	detachedHead = false
[commit]
	gpgSign = false
[lfs]
	locksverify = false
[filter "lfs"]
	required = true
"""
_NO_LFS = """\
	clean = false
	smudge = false
"""
_LFS = """\
	clean = git-lfs clean -- %f
	smudge = git-lfs smudge -- %f
	process = git-lfs filter-process
"""
MODULES = "config-modules"
"""Git's settings for submodules, which have addresses of their own."""
_PASSED = (
    *("PATH", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "LD_LIBRARY_PATH"),
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
)


@noun
class Surroundings:
    """The environment of git's processes, and what of it must be masked where their words are shown."""

    environ: Mapping[str, str]
    secrets: tuple[str, ...] = ()


def surroundings(repository: Repository, folder: Path, environ: Mapping[str, str]) -> Surroundings:
    """For one repository, from the server's own environment. `folder` is for what git and ssh want as files: it is made
    where it is not there, and only its owner can read it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    (folder / "home").mkdir(exist_ok=True)
    # A file of Git LFS that cannot be had is an error: its pointer must not get into an image.
    lfs = _LFS if shutil.which("git-lfs", path=environ.get("PATH")) else _NO_LFS
    _write(folder / "config", f"{_CONFIG}{lfs}{_remote(repository.url)}")
    _write(folder / MODULES, f"{_CONFIG}{lfs}")
    given = {name: environ[name] for name in _PASSED if name in environ}
    authorities = environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE")
    fixed = {
        "HOME": str(folder / "home"),
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "C",
        "GIT_CONFIG_GLOBAL": str(folder / "config"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        **({"GIT_SSL_CAINFO": authorities} if authorities else {}),
    }
    scheme = addresses.scheme(repository.url)
    if scheme in ("http", "https") and repository.token:
        login, secrets = _login(repository)
        return Surroundings({**given, **fixed, **login}, secrets)
    if scheme == "ssh":
        agent = {name: environ[name] for name in ("SSH_AUTH_SOCK",) if name in environ and not repository.ssh_key}
        return Surroundings({**given, **fixed, **agent, "GIT_SSH_COMMAND": _ssh(repository, folder)})
    return Surroundings({**given, **fixed})


def _remote(url: str) -> str:
    """Where Git LFS finds its files (git-config(1), SYNTAX)."""
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    return f'[remote "origin"]\n\turl = "{quoted}"\n'


def _login(repository: Repository) -> tuple[dict[str, str], tuple[str, ...]]:
    """A header for this host alone, given by the environment (git-config(1), GIT_CONFIG_COUNT): a command line could be
    read by others. git would send it to wherever the host leads, so that nothing is followed.
    """
    parts = urlsplit(repository.url)
    token = repository.token.reveal() if repository.token else ""
    pair = base64.b64encode(f"{repository.username}:{token}".encode()).decode()
    login = {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc.rpartition('@')[2]}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {pair}",
        "GIT_CONFIG_KEY_1": "http.followRedirects",
        "GIT_CONFIG_VALUE_1": "false",
    }
    return login, (token, pair)


def _ssh(repository: Repository, folder: Path) -> str:
    """ssh without questions, to known hosts only (ssh_config(5)). Without a key of its own the user's count."""
    words = ["ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=15"]
    words += ["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"]
    if repository.known_hosts:
        known = folder / "known_hosts"
        _write(known, repository.known_hosts.rstrip("\n") + "\n")
        words += ["-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=none"]
    if repository.ssh_key:
        _write(folder / "key", repository.ssh_key.reveal().rstrip("\n") + "\n")
        words += ["-F", "none", "-i", str(folder / "key"), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"]
    return shlex.join(words)


def _write(path: Path, text: str) -> None:
    """Only for its owner from its first moment on, and never half written."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    made.unlink(missing_ok=True)
    with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    made.replace(path)


__all__ = ["MODULES", "Surroundings", "surroundings"]
