"""Asks rattler: solves, reads and links conda packages, in a process of its own; the only `import rattler`.

A process of its own because rattler 0.28 may crash the interpreter that it is loaded into when that ends (in half of
the runs tried: its threads outlive Python), because it reads proxies, certificates and credentials from the process's
environment, and because it can then be stopped at any time. It reads one question from standard input and writes one
answer to standard output, both JSON; `{"error": ...}` names rattler's exception.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

if TYPE_CHECKING:
    import rattler

Json = dict[str, Any]
_INFO = "site-packages/"


def main() -> None:
    """Answers one question and leaves at once, before threads of rattler can meet a Python that is ending."""
    question = json.load(sys.stdin)
    actions = {"solve": _solve, "distributions": _distributions, "link": _link}
    try:
        answer = asyncio.run(actions[question["do"]](question))
    except Exception as error:
        answer = {"error": {"kind": type(error).__name__, "text": str(error), **getattr(error, "facts", {})}}
    json.dump(answer, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


async def _solve(asked: Json) -> Json:
    """The records that fit, as repodata has them; what is held stays where it fits, while a channel has it."""
    import rattler
    from rattler.exceptions import SolverError
    from rattler.package import BuildString
    from rattler.virtual_package import GenericVirtualPackage

    gateway = rattler.Gateway(cache_dir=Path(asked["cache"], "repodata"), client=_client(asked))
    channels = [rattler.Channel(address) for address in asked["channels"]]
    platforms = [asked["subdir"], "noarch"]
    known = {record["name"] for record in asked["held"]} | {*asked["upgrade"]}
    found = await gateway.query(channels, platforms, sorted(known), recursive=False) if known else []
    offered = [record for part in found for record in part]
    priority = rattler.ChannelPriority.Strict if asked["strict"] else rattler.ChannelPriority.Disabled
    try:
        records = await rattler.solve(
            sources=channels,
            specs=[rattler.MatchSpec(spec, strict=False) for spec in asked["specs"]],
            gateway=gateway,
            platforms=platforms,
            locked_packages=_preferred(asked["held"], offered),
            virtual_packages=[
                GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString(build))
                for name, version, build in asked["virtual"]
            ],
            channel_priority=priority,
        )
    except SolverError as error:
        error.facts = {
            "names": [name.normalized for name in await gateway.names(channels, platforms)],
            "here": len(await gateway.names(channels, [asked["subdir"]])),
        }
        raise
    told = [_kept_back(name, asked["specs"], records, offered) for name in asked["upgrade"]]
    return {"records": [json.loads(record.to_json()) for record in records], "told": [*filter(None, told)]}


def _preferred(held: list[Json], offered: list[rattler.RepoDataRecord]) -> list[rattler.RepoDataRecord]:
    """The records that are held: the same files, else (for another platform, or built anew) the same versions."""
    found = []
    for package in held:
        same = [r for r in offered if (r.name.normalized, str(r.version)) == (package["name"], package["version"])]
        exact = [r for r in same if r.sha256 and r.sha256.hex() == package.get("sha256")]
        found += exact[:1] or sorted(same, key=lambda record: record.build_number)[-1:]
    return found


def _kept_back(
    name: str, specs: list[str], records: list[rattler.RepoDataRecord], offered: list[rattler.RepoDataRecord]
) -> str:
    """Why a package is not at its newest version; empty when it is, or when there is no telling."""
    import rattler

    chosen = {record.name.normalized: record for record in records}
    candidates = [record for record in offered if record.name.normalized == name]
    newest = max(candidates, key=lambda record: record.version, default=None)
    if name not in chosen or newest is None or not newest.version > chosen[name].version:
        return ""

    def unmet(text: str, record: rattler.RepoDataRecord) -> bool:
        spec = rattler.MatchSpec(text, strict=False)
        return bool(spec.name and spec.name.normalized == record.name.normalized and not spec.matches(record))

    stays = f"{name} stays at {chosen[name].version}, though there is {newest.version}: "
    for text in specs:
        if unmet(text, newest):
            return f"{stays}{text} is asked for"
    for other in chosen.values():
        needs = next((text for text in [*other.depends, *other.constrains] if unmet(text, newest)), "")
        if needs and other.name.normalized != name:
            whose = other.name.normalized
            return f"{stays}{whose} {other.version} needs {needs} (upgrade both: --upgrade {name} {whose})"
    for other in chosen.values():
        if needs := next((text for text in newest.depends if unmet(text, other)), ""):
            return f"{stays}that needs {needs}, and {other.name.normalized} is {other.version}"
    return ""


async def _distributions(asked: Json) -> Json:
    """The Python distributions in packages, name to version, by the names of their .dist-info and .egg-info."""
    from rattler.package_streaming import PackageArchive

    client, found = _client(asked), dict[str, str]()

    async def look(address: str) -> None:
        file = _file(address)
        archive = await (PackageArchive.from_path(file) if file else PackageArchive.from_url(client, address))
        for entry in (await archive.paths_json()).paths:
            _, inside, rest = f"/{entry.relative_path}".partition(f"/{_INFO}")
            folder = rest.split("/")[0]
            if inside and folder.endswith((".dist-info", ".egg-info")):
                name, _, version = folder.rpartition(".")[0].partition("-")
                found[name] = version.split("-")[0]

    await asyncio.gather(*(look(address) for address in asked["addresses"]))
    return {"distributions": found}


async def _link(asked: Json) -> Json:
    """Links packages into a folder as if it were the prefix; what is downloaded or cached is checked by hash."""
    import rattler
    from rattler.package_cache import PackageCache, ValidationMode

    for package in asked["packages"]:
        _check_file(package)
    cache = PackageCache.new_layered([Path(asked["cache"], "pkgs")], False, ValidationMode.full())
    there = [_record(package) for package in asked["there"]]
    linked = [rattler.PrefixRecord(record, rattler.PrefixPaths()) for record in there]
    for record in linked:
        # rattler looks there, too, when it is done.
        Path(asked["into"], "conda-meta").mkdir(parents=True, exist_ok=True)
        record.write_to_path(Path(asked["into"], "conda-meta", record.file_name.replace(".conda", ".json")), False)
    await rattler.install(
        [*(_record(package) for package in asked["packages"]), *there],
        target_prefix=asked["into"],
        package_cache=cache,
        installed_packages=linked,
        platform=rattler.Subdir(asked["subdir"]),
        execute_link_scripts=False,
        show_progress=False,
        client=_client(asked),
        alternative_target_prefix=asked["prefix"],
    )
    return {}


def _check_file(package: Json) -> None:
    """Checks the hash of a package of a channel in a folder, which rattler 0.28 does not."""
    if not package["address"].startswith("file://"):
        return
    with (
        contextlib.suppress(FileNotFoundError),
        Path(url2pathname(urlsplit(package["address"]).path)).open("rb") as file,
    ):
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != package["sha256"]:
            raise OSError(f"{package['file']} has the hash {digest}, and {package['sha256']} is locked")


def _file(address: str) -> Path | None:
    """The path of a file:// address."""
    parts = urlsplit(address)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _record(package: Json) -> rattler.RepoDataRecord:
    """A package of the lock as rattler has it."""
    import rattler
    from rattler.package import BuildString

    record = rattler.PackageRecord(
        package["name"],
        package["version"],
        BuildString(package["build"]),
        package["build_number"],
        package["subdir"],
        noarch=package.get("noarch"),
        depends=package.get("depends", []),
        constrains=package.get("constrains", []),
        sha256=bytes.fromhex(package["sha256"]),
        md5=bytes.fromhex(package["md5"]) if package.get("md5") else None,
        size=package["size"],
        license=package.get("license"),
        python_site_packages_path=package.get("site"),
    )
    return rattler.RepoDataRecord(record, package["file"], package["address"], package["address"].rsplit("/", 2)[0])


def _client(asked: Json) -> rattler.Client:
    import rattler

    settings = rattler.Config.from_toml(f"tls-no-verify = {str(not asked['verify']).lower()}")
    # Who asks tries again by a policy of its own.
    return rattler.Client.from_config(settings, max_retries=1, user_agent="pipeline")


if __name__ == "__main__":
    main()
