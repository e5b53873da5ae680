"""What rattler says when it cannot solve or link, as one error of ours: what, why, and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from pipeline.errors import AssembleError, OutOfReach, PipelineError, ResolveError
from pipeline.indexes.conda_channels import public
from pipeline.layers._environment import spec_name

_LINES = 14
"""More lines of a solver's reasons than this only repeat themselves."""
_NETWORK = re.compile(
    r"[Cc]onnection (refused|reset|closed)|dns error|timed out|error sending request|unreachable|tls handshake"
    r"|[Cc]ertificate|status (server error|client error) \((429|5\d\d)"
)
_REFUSED = re.compile(r"\((401|403|407) |401 Unauthorized|403 Forbidden")
_ABSENT = re.compile(r"could not find subdir '([^']+)' in channel '([^']+)'")
_DAMAGED = re.compile(r"hash|sha256|[Ii]nvalid|[Cc]orrupt|EOF|end of file|decompress|extract|archive")


def explain(error: dict[str, Any], specs: Sequence[str], subdir: str) -> PipelineError:
    """The error for rattler's exception `kind` with its `text`."""
    kind, text = error["kind"], public(error["text"]).strip()
    if kind in ("ModuleNotFoundError", "ImportError"):
        return ResolveError(f"conda packages need rattler: {text}", remedy="pip install py-rattler==0.28.0")
    if kind == "SolverError":
        return _unsolved(error, text, specs, subdir)
    if kind.startswith("Invalid"):
        wrong = next((spec for spec in specs if re.search(re.escape(spec), text)), "")
        what = f"{wrong!r}: {text}" if wrong else text
        return ResolveError(f"not a conda package spec: {what}", remedy="write it as name=1.2, or name>=1.2,<2")
    if absent := _ABSENT.search(text):
        return ResolveError(
            f"there is no conda channel at {absent[2]}: it has no {absent[1]}/repodata.json",
            remedy="check the channel's name or address, or channel_alias in ~/.condarc",
        )
    address = re.search(r"(?:https?|file)://[^\s()'`]+", text)
    where = address[0] if address else "the conda channel"
    if _REFUSED.search(text):
        return ResolveError(
            f"{where} refuses the credentials, or needs some",
            remedy="put them in the channel's address by ${env:NAME}, or in ~/.netrc",
        )
    if _NETWORK.search(text):
        distrusted = re.search(r"[Cc]ertificate", text) is not None
        return OutOfReach(
            f"{where} does not answer: {_last(text)}",
            remedy="check the network, the proxy and the certificates, or set channel_alias in ~/.condarc to a mirror",
            transient=not distrusted,
            lasting=distrusted,
        )
    if kind in ("InstallerError", "LinkError", "IoError", "OSError", "ExtractError", "TransactionError"):
        return _not_linked(text, where)
    return ResolveError(f"conda packages cannot be resolved: {_last(text)}", remedy="correct what it names")


def _unsolved(error: dict[str, Any], text: str, specs: Sequence[str], subdir: str) -> ResolveError:
    names = error.get("names") or []
    if not error.get("here") and subdir:
        return ResolveError(
            f"the conda channels have no packages for {subdir}",
            remedy="leave out that platform, or name a channel that has it",
        )
    for spec in specs:
        name = spec_name(spec)
        if name and name not in names and not name.startswith("__"):
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]}?" if near else "check its spelling, or name the channel that has it"
            return ResolveError(f"no conda channel here has {name} for {subdir}", remedy=hint)
    lines = text.removeprefix("Cannot solve the request because of: ").splitlines()
    more = [f"... and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else []
    # Nothing may follow the last line of a drawing.
    reason = "\n  ".join([*lines[:_LINES], *more])
    remedy = 'say cuda: "12.4" on the layer if it is to be there' if "__cuda" in text else "loosen the specs it names"
    return ResolveError(f"no set of conda packages fits {subdir}: {reason}", remedy=remedy)


def _not_linked(text: str, where: str) -> AssembleError:
    if "404" in text or "No such file" in text:
        return AssembleError(
            f"a locked conda package is gone: {_last(text)}: {where}", remedy="run `pipeline lock` again"
        )
    if _DAMAGED.search(text):
        return AssembleError(
            f"a conda package is damaged, or not the one that was locked: {_flat(text)}",
            remedy="run `pipeline lock` again, or have the channel mended",
        )
    return AssembleError(f"conda packages cannot be linked: {_flat(text)}", remedy="correct what it names")


def _flat(text: str) -> str:
    return re.sub(r"\s*\n\s*(?:Caused by: )?", ": ", text.strip())


def _last(text: str) -> str:
    return text.split("Caused by: ")[-1].strip().splitlines()[0] if text else "no reason given"
