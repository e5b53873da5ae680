"""Finds the services that a command is about: those of a manifest, or those that this machine knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pipeline.cli._find import find_manifest
from pipeline.cli._shell import Shell
from pipeline.cli._work import Wanted, known, opened
from pipeline.errors import OutOfReach, UsageError

if TYPE_CHECKING:
    from pipeline.manifest.model import Entry, Manifest
    from pipeline.stages.bench import Bench
    from pipeline.targets.model import Target
    from pipeline.targets.remote import Verified

SERVICE_HELP = """
SERVICE: a service, as 'pipeline status' names it
MANIFEST TARGET: or a manifest and one of its targets; either may be left out when there is only one
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A service by its name on this machine; `request` is the scoring request of its image, where that is known."""

    name: str
    target: Target
    request: Any = None
    verified: Callable[[], Verified | None] = lambda: None
    """What passed the gate, where that is asked for; None where the target does not tell now."""
    entry: str = ""
    """The target's name in its manifest; empty where no manifest is named."""
    kind: str = "local"


def of_manifest(shell: Shell, wanted: Wanted) -> dict[str, Service]:
    """The services of a manifest, by the names of its targets."""
    return of_bench(opened(shell, wanted))


def of_bench(bench: Bench) -> dict[str, Service]:
    """Those of a manifest that is open."""
    from pipeline.stages.release import service_name, target_of

    manifest = bench.manifest

    def service(entry: Entry) -> Service:
        target = target_of(bench, entry)
        kept = partial(_kept, bench, target)
        return Service(service_name(bench, entry), target, _request(manifest, entry.spec), kept, entry.name, entry.kind)

    return {name: service(entry) for name, entry in manifest.targets.items()}


def _kept(bench: Bench, target: Target) -> Verified | None:
    from pipeline.stages.release import verified

    try:
        kept = verified(bench, target)
        kept.pinned("")
    except (OutOfReach, UsageError):
        return None
    return kept


def of_machine(shell: Shell) -> dict[str, Service]:
    """Every local service that was ever started here, by its name."""
    from pipeline.kinds import find
    from pipeline.stages.verified import VerifiedFiles
    from pipeline.store import Store

    state = shell.home.state
    folder, verified = state / "services", VerifiedFiles(state / "verified")
    if not folder.is_dir():
        return {}
    roots = Store(shell.home.store).roots
    services = {}
    for name in sorted(unquote(path.name) for path in folder.iterdir() if (path / "status.json").is_file()):
        release = verified.get(name)
        settings = release.settings if release else {}
        target = find("targets", "local").target(name, settings, state=state, roots=roots, environ=shell.environ)
        services[name] = Service(name, target)
    return services


def one(shell: Shell, words: Sequence[str], sets: Mapping[str, str]) -> Service:
    """The service that `words` mean: SERVICE, MANIFEST, MANIFEST TARGET, or none where there is one manifest with one
    target. Raises UsageError for no service.
    """
    if len(words) > 2:
        raise UsageError(f"'{words[2]}' is one word too many", remedy="give SERVICE, or MANIFEST and TARGET")
    if len(words) == 2 or (words and _is_manifest(words[0])):
        return _of_target(shell, Wanted(Path(words[0]), sets), words[1] if len(words) == 2 else "")
    services = of_machine(shell)
    if not words:
        try:
            manifest = find_manifest(shell.cwd)
        except UsageError:
            names = ", ".join(services) or "none"
            raise UsageError("no service is named", remedy=f"services here: {names}") from None
        return _of_target(shell, Wanted(manifest, sets), "")
    if words[0] not in services:
        from pipeline.manifest.words import suggestion

        remedy = suggestion(words[0], services, "services here") or "none is deployed: 'pipeline run' deploys targets"
        raise UsageError(f"there is no service '{words[0]}'", remedy=remedy)
    return services[words[0]]


def target_words(shell: Shell, words: Sequence[str]) -> tuple[Path, str]:
    """MANIFEST, TARGET, both or neither: the manifest, and the target's name or nothing. Raises UsageError."""
    if len(words) > 2:
        raise UsageError(f"'{words[2]}' is one word too many", remedy="give MANIFEST and TARGET")
    if words and (len(words) == 2 or _is_manifest(words[0])):
        return Path(words[0]), words[1] if len(words) == 2 else ""
    return find_manifest(shell.cwd), words[0] if words else ""


def _of_target(shell: Shell, wanted: Wanted, name: str) -> Service:
    services = of_manifest(shell, wanted)
    if not name and len(services) != 1:
        remedy = f"name one: {', '.join(services)}" if services else "add one to its section 'targets'"
        raise UsageError(f"{wanted.manifest.name} has {len(services) or 'no'} targets", remedy=remedy)
    name = name or next(iter(services))
    known(name, services, "target", wanted.manifest.name)
    return services[name]


def _is_manifest(word: str) -> bool:
    return word.endswith((".yaml", ".yml")) or "/" in word


def _request(manifest: Manifest, spec: Mapping[str, Any]) -> Any:
    image = manifest.images.get(spec.get("image", ""))
    return image.checks.score.get("request") if image and image.checks.score else None
