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
    """The records that fit, as repodata has them."""
    import rattler
    from rattler.exceptions import SolverError
    from rattler.package import BuildString
    from rattler.virtual_package import GenericVirtualPackage

    gateway = rattler.Gateway(cache_dir=Path(asked["cache"], "repodata"), client=_client(asked))
    channels = [rattler.Channel(address) for address in asked["channels"]]
    priority = rattler.ChannelPriority.Strict if asked["strict"] else rattler.ChannelPriority.Disabled
    try:
        records = await rattler.solve(
            sources=channels,
            specs=[rattler.MatchSpec(spec, strict=False) for spec in asked["specs"]],
            gateway=gateway,
            platforms=[asked["subdir"], "noarch"],
            virtual_packages=[
                GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString(build))
                for name, version, build in asked["virtual"]
            ],
            channel_priority=priority,
        )
    except SolverError as error:
        error.facts = {
            "names": [name.normalized for name in await gateway.names(channels, [asked["subdir"], "noarch"])],
            "here": len(await gateway.names(channels, [asked["subdir"]])),
        }
        raise
    return {"records": [json.loads(record.to_json()) for record in records]}


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
