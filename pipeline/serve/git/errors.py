"""What went wrong with git: its words as an error with fact and remedy, and of the kind that callers tell apart."""

from __future__ import annotations

import re

from pipeline.errors import OutOfReach, PipelineError, StoreError, UsageError


class Gone(UsageError):
    """The other side says that there is no such repository, or no such branch."""


class Refused(UsageError):
    """The other side, or its certificate or host key, does not let us in."""


class Moved(PipelineError):
    """A push that is no fast-forward any more: the branch has moved meanwhile."""


class Damaged(StoreError):
    """A mirror or a checkout on this machine that git cannot use; it can be made anew."""


# git's own words (in the C locale), those of libcurl below it, and those of ssh; what comes first counts.
_FULL = r"No space left on device|Disk quota exceeded"
_HOST_KEY = r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|No \w+ host key is known"
_CERTIFICATE = r"certificate (verification|verify) failed|SSL certificate problem|certificate subject name"
_LOGIN = (
    r"Authentication failed|could not read (Username|Password)|returned error: 40[13]|Permission denied \(|"
    r"access denied|not authorized|Permission to \S+ denied|Write access to repository not granted"
)
_NO_COMMIT = r"not our ref|unadvertised object|couldn't find remote ref"
_GONE = (
    r"[Rr]epository .*not found|returned error: 404|does not appear to be a git repository|"
    r"could not be found|repository '.*' does not exist|not valid: is this a git repository"
)
_SILENT = (
    r"Could not resolve|Connection (refused|timed out|reset|closed)|Failed to connect|timed out|No route to host|"
    r"Network is unreachable|Operation too slow|returned error: (429|5\d\d)|early EOF|hung up unexpectedly|RPC failed|"
    r"Empty reply|kex_exchange_identification|Couldn't connect|unexpected disconnect|handshake|Broken pipe|"
    r"transfer closed|Recv failure|expected flush after"
)


def remote(words: str, place: str) -> PipelineError:
    """The error of a command that talked to the other side; `words` is what git and ssh said, `place` its address."""
    if re.search(_FULL, words):
        return _full()
    if re.search(_HOST_KEY, words):
        return _host_key(words, place)
    if re.search(_CERTIFICATE, words):
        remedy = "set SSL_CERT_FILE to the file of certificate authorities that signed it"
        return Refused(f"the certificate of {place} is not trusted: {last(words)}", remedy=remedy)
    if re.search(r"returned error: 30[1278]", words):
        remedy = "set `url` to where it is now: with a token nobody is followed elsewhere"
        return Refused(f"{place} has moved", remedy=remedy)
    if re.search(_LOGIN, words):
        remedy = "has the token or the key the right to read this repository, and is it still valid?"
        return Refused(f"{place} refuses: {last(words)}", remedy=remedy)
    if re.search(r"Permission denied$|dubious ownership", words, re.MULTILINE):
        remedy = "let the user that runs the server read this folder"
        return Refused(f"{place} cannot be read: {last(words)}", remedy=remedy)
    if re.search(_NO_COMMIT, words):
        return Gone(f"{place} does not have this commit any more", remedy="it was removed there")
    if re.search(_GONE, words):
        remedy = "is the address right? Many hosts say so, too, to a token or a key that may not read it"
        return Gone(f"there is no repository at {place}", remedy=remedy)
    if re.search(_SILENT, words):
        return OutOfReach(f"{place} does not answer: {last(words)}", remedy="it is tried again", transient=True)
    return StoreError(f"{place} cannot be read: {last(words)}", remedy="see what 'git fetch' says there")


def local(words: str) -> PipelineError:
    """The error of a command that had to do with this machine's files only."""
    if re.search(_FULL, words):
        return _full()
    if re.search(r"(smudge|clean) filter lfs failed|git-lfs", words):
        remedy = "install git-lfs where the server runs; is the file on the host's LFS server?"
        return UsageError(f"a file kept by Git LFS cannot be had: {last(words)}", remedy=remedy)
    return Damaged(f"git cannot use its files: {last(words)}", remedy="they are made anew")


def _full() -> StoreError:
    return StoreError("the disk is full, or a quota is used up", remedy="make room; 'pipeline gc' frees the store")


def _host_key(words: str, place: str) -> Refused:
    if "HAS CHANGED" in words:
        remedy = "does somebody stand between? Compare it with what the host publishes, then change known_hosts"
        return Refused(f"{place} has another SSH host key than known_hosts says", remedy=remedy)
    remedy = "add its line to known_hosts: 'ssh-keyscan HOST' prints it; compare it with what the host publishes"
    return Refused(f"the SSH host key of {place} is not known", remedy=remedy)


_IDLE = re.compile(r"(hint|remote|warning):|Please make sure|and the repository exists|Could not read from remote|^$")


def last(words: str) -> str:
    """The line of git's output that tells most: its last `fatal:` or `error:`, as far as it is not general advice."""
    lines = [line.strip() for line in words.splitlines()]
    told = [line for line in lines if not _IDLE.match(line.removeprefix("fatal: "))]
    marked = [line for line in told if line.startswith(("fatal:", "error:"))]
    line = (marked or told or lines or [""])[-1] or "it says nothing"
    return re.sub(r"^(fatal|error): (unable to access '[^']*': )?", "", line)[:300]


__all__ = ["Damaged", "Gone", "Moved", "Refused", "last", "local", "remote"]
