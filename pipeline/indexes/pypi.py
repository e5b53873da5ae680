"""Python package indexes, through uv: requirements become wheels with hashes, and wheels become unpacked folders.

The only module that runs uv. A folder that it hands out lies in uv's own cache and is only to be read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pipeline import programs
from pipeline.errors import AssembleError, OutOfReach, PipelineError, ResolveError
from pipeline.indexes.pypi_ahead import Ahead, Wheel
from pipeline.indexes.pypi_choice import choose, compiler, kept_back, preferences, unmoved
from pipeline.indexes.pypi_errors import explain
from pipeline.indexes.pypi_installed import stand_ins
from pipeline.indexes.pypi_near import near
from pipeline.indexes.pypi_settings import has_wheels, pip_conf, uv_binary, uv_settings
from pipeline.indexes.pypi_wheels import located, uv_platform
from pipeline.kinds import Files
from pipeline.layers._requirements import Requested, lines, normalise, public, requirement_flaw
from pipeline.manifest.model import Timeouts
from pipeline.store.temporary import temporary

if TYPE_CHECKING:
    import subprocess


class PyPI:
    """Package indexes as the user's pip and uv are set to.

    `say` shows progress, `warn` what the user should know. `etc` and `prefix` say where pip's and uv's shared settings
    lie, `links` where thousands of links are made fastest.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        say: Callable[[str], None],
        *,
        warn: Callable[[str], None] | None = None,
        etc: Path = Path("/etc"),
        prefix: Path = Path(sys.prefix),
        links: Path = Path("/dev/shm"),
        timeouts: Timeouts | None = None,
    ) -> None:
        self._environ = environ
        self._say = say
        self._warn = warn or say
        self._etc, self._prefix = etc, prefix
        self._links = links if os.access(links, os.W_OK) else None
        self._guard = threading.Lock()
        self._timeouts = timeouts or Timeouts()
        self._ahead = Ahead()
        self._binary = ""
        self._open = contextlib.ExitStack()
        self._private: Path | None = None

    def resolve(
        self,
        wanted: Requested,
        *,
        python: str,
        platform: str,
        files: Files,
        installed: Mapping[str, str] = MappingProxyType({}),
        build: bool = False,
        held: Sequence[Mapping[str, Any]] = (),
        upgrade: Collection[str] = (),
    ) -> list[dict[str, Any]]:
        """The wheels that answer `wanted` on Python `3.N` and a manylinux platform tag, sorted by name.

        With `build`, a source distribution stands for what has no wheel; uv may run its build backend on this machine
        to learn what it depends on.
        Each is {name, version, file, sha256, size}. Distributions `installed` (normalised name to version) stay
        and are left out. Packages in `held` keep their versions where those fit, and where `held` names a file, that
        file. What keeps a package of `upgrade` from its newest version is said. Raises ResolveError, or OutOfReach when
        an index does not answer.
        """
        _check([*wanted.requirements, *wanted.constraints])
        known = {normalise(each["name"]): each for each in held}

        ask = partial(self._compile, wanted=wanted, python=python, platform=platform, files=files)
        compiled = compiler(ask, wanted, installed, known, build=build)
        packages = None if upgrade else near(wanted, known, installed, compiled)
        if packages is None:
            packages = compiled(wanted.requirements, wanted.constraints)
            packages = unmoved(packages, wanted, known, installed, compiled)
        added = [(normalise(package["name"]), package) for package in packages]
        chosen = [
            choose(package, wanted, python, platform, build=build, held=known.get(name))
            for name, package in added
            if name not in installed
        ]
        for name in sorted({normalise(each) for each in upgrade}):
            if told := kept_back(name, wanted, chosen, compiled):
                self._warn(told)
        return sorted(chosen, key=lambda wheel: (wheel["name"], wheel["file"]))

    def _compile(
        self,
        requirements: Sequence[str],
        constraints: Sequence[str],
        installed: Mapping[str, str],
        more: Sequence[str],
        held: Iterable[Mapping[str, Any]],
        *,
        wanted: Requested,
        python: str,
        platform: str,
        files: Files,
    ) -> list[dict[str, Any]]:
        """What `uv pip compile` answers: the packages of a pylock.toml (PEP 751)."""
        with temporary() as folder:
            asked, limits, answer = (folder / name for name in ("asked.in", "limits.in", "pylock.toml"))
            stays = stand_ins(installed, folder)
            asked.write_text(lines([*requirements, *stays]), encoding="utf-8")
            limits.write_text(lines(constraints), encoding="utf-8")
            if known := preferences(held):
                answer.write_text(known, encoding="utf-8")
            arguments = ["pip", "compile", str(asked), "--constraint", str(limits), "--output-file", str(answer)]
            arguments += ["--format", "pylock.toml", "--generate-hashes", "--no-header", *more]
            arguments += ["--python-version", python, "--python-platform", uv_platform(platform)]
            done = self._uv(arguments, wanted, files)
            if done.returncode:
                raise explain(done.stderr, python, platform)
            packages: list[dict[str, Any]] = tomllib.loads(answer.read_text(encoding="utf-8")).get("packages", [])
            return packages

    def addresses(
        self, packages: Sequence[Mapping[str, Any]], wanted: Requested, *, python: str, platform: str, files: Files
    ) -> dict[str, str]:
        """Where locked packages are now, by file name: an address without credentials, or the path of a local file.

        Raises ResolveError for one that no index has any more, or OutOfReach when one does not answer.
        """
        direct = wanted.direct()
        pins = [
            f"{p['name']} @ {direct[p['name']]}" if p["name"] in direct else f"{p['name']}=={p['version']}"
            for p in packages
        ]
        with temporary() as folder:
            asked, answer = folder / "asked.in", folder / "pylock.toml"
            asked.write_text(lines(pins), encoding="utf-8")
            arguments = ["pip", "compile", str(asked), "--output-file", str(answer), "--format", "pylock.toml"]
            arguments += ["--generate-hashes", "--no-header", "--no-deps", "--python-version", python]
            arguments += ["--python-platform", uv_platform(platform, newest=True)]
            done = self._uv(arguments, wanted, files)
            if done.returncode:
                raise explain(done.stderr, python, platform)
            found = tomllib.loads(answer.read_text(encoding="utf-8")).get("packages", [])
            places = located(found, folder)
        if missing := [p["file"] for p in packages if (p["file"], p["sha256"]) not in places]:
            remedy = f"'pipeline lock --upgrade {missing[0].split('-')[0]}' takes what there is"
            raise ResolveError(f"no index has {missing[0]} as it is locked", remedy=remedy)
        return {p["file"]: places[p["file"], p["sha256"]] for p in packages}

    def source_settings(self, wanted: Requested, files: Files) -> tuple[str, list[Path]]:
        """For a pip elsewhere that fetches sources: a pip.conf (it may hold credentials), and folders that are here."""
        env, options = uv_settings(self._environ, wanted, files, etc=self._etc, prefix=self._prefix)
        return pip_conf(env, "--no-index" in options)

    def unpacked(
        self,
        wheels: Sequence[Wheel],
        wanted: Requested,
        *,
        python: str,
        platform: str,
        files: Files,
        others: Sequence[Sequence[Wheel]] = (),
    ) -> dict[str, Path]:
        """The folder of each wheel (file name, sha256), unpacked as it is, by file name; fetched where need be.

        `others` are groups of wheels that will be asked for later: they are fetched meanwhile. Hashes are checked.
        Raises AssembleError, or OutOfReach when an index does not answer.
        """
        fetch = lambda group: self._stage(group, wanted, python, platform, files)  # noqa: E731
        return self._ahead.folders((python, platform), wheels, others, fetch)

    def _stage(
        self, wheels: Sequence[tuple[str, str]], wanted: Requested, python: str, platform: str, files: Files
    ) -> dict[str, Path]:
        """Has uv install the wheels as links into its cache, without the network if it can, and follows the links."""
        error = ""
        # In memory where possible: a disk's file system may take 3 s for what takes 0.3 s there (ext4, no journal).
        with temporary(self._links) as folder:
            asked, target = folder / "wheels.txt", folder / "target"
            asked.write_text(lines(_pins(wheels, wanted.direct())), encoding="utf-8")
            arguments = ["pip", "install", "--requirement", str(asked), "--target", str(target), "--no-deps"]
            arguments += ["--require-hashes", "--only-binary", ":all:", "--link-mode", "symlink"]
            # Each wheel is pinned by its hash and was chosen for the exact glibc, which uv may have no name for.
            arguments += ["--python-version", python, "--python-platform", uv_platform(platform, newest=True)]
            # With nothing unpacked in uv's cache the first attempt would fail; it may be elsewhere by uv.toml.
            attempts = (["--offline"], []) if self._is_stocked else ([], ["--offline"])
            for offline in attempts:
                if not offline:
                    self._say(f"fetching {len(wheels)} wheels")
                done = self._uv([*arguments, *offline], wanted, files)
                if not done.returncode:
                    return _follow(target, [file for file, _ in wheels])
                error = error if offline else done.stderr
            raise _not_fetched(explain(error, python, platform))

    @cached_property
    def _is_stocked(self) -> bool:
        return has_wheels(self._environ)

    def _uv(self, arguments: list[str], wanted: Requested, files: Files) -> subprocess.CompletedProcess[str]:
        """Runs uv in the project, where it reads uv.toml and pyproject.toml as it does for the user."""
        env, options = uv_settings(self._environ, wanted, files, etc=self._etc, prefix=self._prefix)
        if self._timeouts.read != Timeouts().read:
            # Else pip's own setting, or uv's, which is the same as ours.
            env["UV_HTTP_TIMEOUT"] = str(max(1, round(self._timeouts.read)))
        if self._environ.get("UV_NO_CACHE", "0").lower() not in ("", "0", "false", "no"):
            # Links need something to point at: a cache of this process's own.
            with self._guard:
                self._private = self._private or self._open.enter_context(temporary())
            env["UV_CACHE_DIR"] = str(self._private)
        with self._guard:
            # The first look into sysconfig is not for several threads at once (Python 3.11): some see it half filled.
            self._binary = self._binary or uv_binary(self._environ)
        command = [self._binary, *arguments, *options, "--quiet", "--python", sys.executable]
        return programs.run(command, cwd=str(files.path(".")), env=env)


def _check(asked: Iterable[str]) -> None:
    """Refuses what is not written as a requirement (PEP 508)."""
    for line in asked:
        if flaw := requirement_flaw(line):
            text = public(line.split(" --")[0].strip())
            raise ResolveError(f"not a requirement: {text}: {flaw}", remedy="write it as name==1.2")


def _pins(wheels: Iterable[tuple[str, str]], direct: Mapping[str, str]) -> list[str]:
    from packaging.utils import parse_wheel_filename

    pins = []
    for file, sha256 in wheels:
        name, version, _, _ = parse_wheel_filename(file)
        what = f"{name} @ {direct[name]}" if name in direct else f"{name}=={version}"
        pins.append(f"{what} --hash=sha256:{sha256}")
    return pins


def _not_fetched(error: PipelineError) -> PipelineError:
    if isinstance(error, OutOfReach):
        return error
    return AssembleError(
        f"the locked wheels cannot be fetched: {public(error.message)}",
        remedy="check that the index still has them, or lock others: 'pipeline lock --upgrade LAYER'",
    )


def _follow(target: Path, files: Iterable[str]) -> dict[str, Path]:
    """The cache's folder for each wheel: where its METADATA points."""
    found = {}
    for info in target.glob("*.dist-info"):
        metadata = info / "METADATA"
        if metadata.is_symlink() and metadata.exists():
            found[_project(info.name)] = metadata.readlink().parent.parent
    answer = {file: found[_project(file)] for file in files if _project(file) in found}
    if missing := [file for file in files if file not in answer]:
        raise AssembleError(
            f"uv did not leave {missing[0]} in its cache", remedy="let uv keep a cache: remove no-cache from uv.toml"
        )
    return answer


def _project(file: str) -> str:
    """`scikit-learn` of a wheel's or a .dist-info folder's name."""
    return normalise(file.split("-")[0])
