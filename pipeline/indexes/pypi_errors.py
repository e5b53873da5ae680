"""What uv says when it cannot resolve or fetch, as one error of ours: which package, why, and what to do."""

from __future__ import annotations

import re

from pipeline.errors import OutOfReach, PipelineError, ResolveError

_NETWORK = re.compile(
    r"dns error|tcp connect error|[Cc]onnection (refused|reset|closed)|timed out|error sending request|unreachable"
    r"|HTTP status (server error|client error) \((429|5\d\d)|tls handshake|[Cc]ertificate|network was disabled"
)
# A conflict among many versions may name wheels too: only a reason that stands first is the whole reason.
_NO_WHEEL = re.compile(
    r"Because (?:all versions of |only )?([A-Za-z0-9][\w.-]*)((?:==[\w.*+!]+)?)"
    r" (?:ha(?:s|ve) no (?:usable )?wheels|was yanked)"
)
_NOT_FOUND = re.compile(r"([A-Za-z0-9][\w.-]*) was not found in the package registry")
_REFUSED = re.compile(r"\((401|403|407) |status code:? (401|403|407)|401 Unauthorized|403 Forbidden")


def explain(said: str, python: str, platform: str) -> PipelineError:
    """The error for what uv wrote on its standard error. Credentials in addresses are masked."""
    text = flatten(said)
    where = f"Python {python} on {platform}"
    address = re.search(r"https?://[^/\s`()]+", text)
    host = address[0] if address else "the package index"
    if missing := _NO_WHEEL.search(text):
        return _no_wheel(missing, text, where)
    if missing := _NOT_FOUND.search(text):
        return ResolveError(
            f"no package index has {missing[1]}", remedy="check its spelling, or name its index in index or extra_index"
        )
    if _REFUSED.search(text):
        return ResolveError(
            f"{host} refuses the credentials, or needs some: {text}",
            remedy="put them in the index's address by ${env:NAME}, or in ~/.netrc",
        )
    if "not found in the cache" in text or "network was disabled" in text or _NETWORK.search(text):
        settled = re.search(r"network was disabled|[Cc]ertificate", text) is not None
        return OutOfReach(
            f"{host} does not answer: {_last(text)}",
            remedy="check the network, the proxy and the certificates, or set index to one that is in reach",
            transient=not settled,
            lasting=settled,
        )
    if "No solution found" in text:
        reason = re.sub(r"^.*?Because ", "", re.sub(r",? we can conclude that your requirements are.*$", "", text))
        return ResolveError(
            f"no set of wheels fits {where}: {reason}", remedy="loosen or correct the requirements that it names"
        )
    return ResolveError(f"uv stopped: {text}", remedy="correct the requirement or the setting that it names")


def _no_wheel(missing: re.Match[str], text: str, where: str) -> ResolveError:
    name, version = missing[1], missing[2].lstrip("=")
    tags = re.search(r"we only found wheels for `?[^:]*: ([^.]*?)(?: hint:|$)", text)
    if tags:
        why = "its wheels are for " + tags[1].replace("`", "").strip()
    elif "yanked" in text:
        why = "it was withdrawn (yanked)"
    else:
        why = "there are only sources, or wheels for others"
    return ResolveError(
        f"{name}{' ' + version if version else ''} has no wheel for {where}: {why}",
        remedy=f"choose a version of {name} that has one, name a folder with one in find_links, or set `build: true`",
    )


def flatten(said: str) -> str:
    """uv's words on one line: without its drawing, warnings and credentials."""
    kept = [line for line in said.splitlines() if not line.lstrip().startswith("warning:")]
    text = " ".join(re.sub(r"^[\s×╰─▶├│]+", "", line) for line in kept)
    text = re.sub(r"(?<=://)[^/@\s]+@", "***@", text)
    return re.sub(r"\s+", " ", text).strip().removeprefix("error: ")


def _last(text: str) -> str:
    """The root cause: what stands last."""
    return re.split(r"(?:cause|Caused by): ", text)[-1]
