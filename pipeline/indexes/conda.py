"""Conda channels: specs become packages with hashes, and packages become a linked prefix, without conda.

rattler does both, in a process of its own (conda_worker.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import programs
from pipeline.errors import AssembleError, OutOfReach, ResolveError
from pipeline.indexes.conda_channels import Channel, Settings, channels, located, public, read_settings
from pipeline.indexes.conda_errors import explain
from pipeline.kinds import Files
from pipeline.layers._environment import Environment
from pipeline.manifest.model import Timeouts

WORKER = Path(__file__).with_name("conda_worker.py")
_CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Conda:
    """Conda channels as the user's conda is set to; `cache` keeps repodata and unpacked packages."""

    def __init__(
        self,
        cache: Path,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        warn: Callable[[str], None] | None = None,
        etc: Path = Path("/etc"),
        timeouts: Timeouts | None = None,
    ) -> None:
        self._cache = cache
        self._environ = environ
        self._say = say
        self._warn = warn or say
        self._etc = etc
        self._timeouts = timeouts or Timeouts()

    def solve(
        self,
        asked: Environment,
        *,
        subdir: str,
        virtual: Sequence[tuple[str, str, str]],
        files: Files,
        strict: bool = True,
        held: Sequence[Mapping[str, Any]] = (),
        upgrade: Iterable[str] = (),
    ) -> list[dict[str, Any]]:
        """The packages that answer `asked` on a platform (`linux-64`) with virtual packages (name, version, build).

        Each is {name, version, build, build_number, subdir, file, sha256, md5, size, channel, depends, ...}, sorted by
        name; `channel` is a name, without its host. Packages in `held` stay where they fit, while a channel has them;
        of another platform's their versions count. What keeps one of `upgrade` from its newest version is said.
        Raises ResolveError, or OutOfReach when a channel does not answer.
        """
        settings = read_settings(self._environ, self._etc)
        found = channels(asked.channels, asked.dependencies, settings, files)
        if not found:
            raise ResolveError("the conda environment has no channels", remedy="name some in `channels`")
        question = {
            "do": "solve",
            "channels": [channel.address for channel in found],
            "specs": [located(spec, found) for spec in asked.dependencies],
            "subdir": subdir,
            "virtual": list(virtual),
            "strict": strict,
            "held": [{key: each.get(key, "") for key in ("name", "version", "sha256")} for each in held],
            "upgrade": sorted(upgrade),
        }
        answer = self._ask(question, settings, asked.dependencies)
        for text in answer["told"]:
            self._warn(text)
        # A channel may correct what it says of a package: the package stays what it was.
        known = {(each.get("file"), each.get("sha256"), each.get("channel")): dict(each) for each in held}
        made = [_package(record, found) for record in answer["records"]]
        made = [known.get((each["file"], each["sha256"], each["channel"]), each) for each in made]
        return sorted(made, key=lambda p: str(p["name"]))

    def distributions(self, packages: Sequence[Mapping[str, Any]], asked: Environment, files: Files) -> dict[str, str]:
        """The Python distributions (name to version) that locked packages bring, read from the packages."""
        settings, addresses = self._addresses(packages, asked, files)
        answer = self._ask({"do": "distributions", "addresses": addresses}, settings, ())
        found: dict[str, str] = answer["distributions"]
        return found

    def link(
        self,
        packages: Sequence[Mapping[str, Any]],
        asked: Environment,
        files: Files,
        *,
        subdir: str,
        prefix: str,
        into: Path,
        interpreter: Mapping[str, Any] | None = None,
    ) -> None:
        """Links locked packages below the folder `into`, as they will be at `prefix`; fetches what the cache lacks.

        `interpreter` is the Python that the prefix has besides: its `version`, and its `site` where that is not the
        usual one. No script of a package is run. Raises AssembleError for a package that is gone or damaged;
        OutOfReach.
        """
        settings, addresses = self._addresses(packages, asked, files)
        records = [{**package, "address": address} for package, address in zip(packages, addresses, strict=True)]
        self._say(f"linking {len(packages)} conda packages")
        question = {"do": "link", "packages": records, "into": str(into), "prefix": prefix, "subdir": subdir}
        question["there"] = [_stand_in(interpreter, subdir)] if interpreter else []
        self._ask(question, settings, ())

    def addresses(self, packages: Sequence[Mapping[str, Any]], asked: Environment, files: Files) -> list[str]:
        """Where locked packages are, without credentials. AssembleError for a channel that is asked for no more."""
        return [public(address) for address in self._addresses(packages, asked, files)[1]]

    def _addresses(
        self, packages: Sequence[Mapping[str, Any]], asked: Environment, files: Files
    ) -> tuple[Settings, list[str]]:
        settings = read_settings(self._environ, self._etc)
        known = {each.name: each.address for each in channels(asked.channels, asked.dependencies, settings, files)}
        for package in packages:
            if package["channel"] not in known:
                raise AssembleError(
                    f"{package['name']} is locked from the conda channel {package['channel']}, which is not asked for",
                    remedy="run `pipeline lock` again",
                )
        return settings, [f"{known[p['channel']]}/{p['subdir']}/{p['file']}" for p in packages]

    def _ask(self, question: Mapping[str, Any], settings: Settings, specs: Sequence[str]) -> dict[str, Any]:
        self._cache.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**question, "cache": str(self._cache), "verify": settings.verify.lower() != "false"})
        # -P: the folder of the worker holds modules with the names of libraries.
        command = [sys.executable, "-P", str(WORKER)]
        env = _environment(self._environ, settings)
        try:
            # rattler has a time-out for a request as a whole, and none for one that stalls.
            done = programs.run(command, input=text, env=env, patience=self._timeouts.read)
        except programs.Stalled:
            raise _silent(question, self._timeouts.read) from None
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ResolveError(
                f"rattler stopped: {public(said)}", remedy="install it (pip install py-rattler), or run again"
            ) from None
        if "error" in answer:
            raise explain(answer["error"], specs, question.get("subdir", ""))
        return answer


def _silent(question: Mapping[str, Any], seconds: float) -> OutOfReach:
    asked = [*question.get("channels", ()), *question.get("addresses", ())]
    asked += [record["address"] for record in question.get("packages", ())]
    # A file's address has its channel, and then the platform and its name.
    channels = [address if address in question.get("channels", ()) else address.rsplit("/", 2)[0] for address in asked]
    where = ", ".join(dict.fromkeys(public(address) for address in channels))
    remedy = "check the network and the proxy, or set channel_alias in ~/.condarc to a mirror"
    return OutOfReach(f"{where} does not answer: nothing came for {seconds:g} s", remedy=remedy, transient=True)


def _environment(environ: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """The user's environment, with .condarc's certificates and proxies where it has none."""
    env = dict(environ)
    bundle = settings.verify if settings.verify.lower() not in ("true", "false", "truststore") else ""
    if bundle := bundle or next((environ[name] for name in _CERTIFICATES if environ.get(name)), ""):
        env.setdefault("SSL_CERT_FILE", bundle)
    for scheme, proxy in settings.proxies.items():
        if scheme in ("http", "https") and not environ.get(f"{scheme.upper()}_PROXY"):
            env.setdefault(f"{scheme}_proxy", proxy)
    return env


def _stand_in(interpreter: Mapping[str, Any], subdir: str) -> dict[str, Any]:
    """An interpreter as a package that is linked already: what packages for any Python are linked for."""
    file = f"python-{interpreter['version']}-0.conda"
    record = {"name": "python", "version": interpreter["version"], "build": "0", "build_number": 0, "subdir": subdir}
    record |= {
        "file": file,
        "sha256": "0" * 64,
        "size": 0,
        "address": f"https://conda.anaconda.org/none/{subdir}/{file}",
    }
    return record | ({"site": interpreter["site"]} if interpreter.get("site") else {})


def _package(record: Mapping[str, Any], found: Sequence[Channel]) -> dict[str, Any]:
    """A record of repodata as it is locked."""
    # rattler may write credentials and escapes of an address a little differently.
    address = public(record["url"].rsplit("/", 2)[0])
    name = next((each.name for each in found if public(each.address).rstrip("/") == address), "")
    if not name:
        raise ResolveError(f"{record['fn']} is of the unknown channel {address}", remedy="name it in `channels`")
    if not record.get("sha256"):
        raise ResolveError(
            f"the channel {name} gives no sha256 for {record['fn']}", remedy="have the channel indexed anew"
        )
    keys = ("name", "version", "build", "build_number", "subdir")
    package = {key: record[key] for key in keys}
    package |= {"file": record["fn"], "sha256": record["sha256"], "md5": record.get("md5", "")}
    package |= {"size": record.get("size", 0), "channel": name}
    more = {key: record.get(key) for key in ("noarch", "depends", "constrains", "license")}
    more["site"] = record.get("python_site_packages_path")
    return package | {key: value for key, value in more.items() if value}
