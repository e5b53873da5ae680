"""The .deb files of locked packages: kept by hash, fetched from the archive that they are from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.dpkg import ArchiveSettings
from pipeline.errors import ResolveError
from pipeline.indexes.debian_http import Fetcher, NotThere
from pipeline.limit import inherited

Row = Mapping[str, Any]
DOWNLOADS = 8
"""Packages that are fetched at a time."""


class Debs:
    """Files in `folder`, those that are not there by `fetcher`."""

    def __init__(self, folder: Path, fetcher: Fetcher) -> None:
        self._folder = folder
        self._fetcher = fetcher

    def path(self, package: Row) -> Path:
        return self._folder / f"{package['sha256']}.deb"

    def has(self, package: Row) -> bool:
        """Whether the file is there and unharmed: reading it now costs little, it is unpacked right after."""
        path = self.path(package)
        try:
            if path.stat().st_size == package["size"]:
                with path.open("rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() == package["sha256"]:
                        return True
        except OSError:
            return False
        path.unlink(missing_ok=True)
        return False

    def fetch_all(
        self,
        packages: Sequence[Row],
        uris: Mapping[str, Sequence[str]],
        settings: ArchiveSettings,
        say: Callable[[str], None],
        arrived: Callable[[Row, Path], None],
    ) -> None:
        """Those that are not there, in parallel, the largest first; `arrived` is called by the thread that got it."""

        def fetched(package: Row) -> None:
            self.fetch(package, uris, settings)
            arrived(package, self.path(package))

        with ThreadPoolExecutor(DOWNLOADS, "deb") as pool:
            missing = {p["sha256"]: p for p in packages if not self.has(p)}
            if missing:
                say(f"fetching {len(missing)} packages, {sum(p['size'] for p in missing.values()) / 1e6:.1f} MB")
            for _ in pool.map(inherited(fetched), sorted(missing.values(), key=lambda p: -int(p["size"]))):
                pass

    def fetch(self, package: Row, uris: Mapping[str, Sequence[str]], settings: ArchiveSettings) -> None:
        """From the mirrors of its archive, by its label. ResolveError when none has it, or has another; OutOfReach."""
        missing = ""
        for uri in uris.get(package["archive"], ()):
            try:
                url = f"{uri}/{quote(package['file'].removeprefix('./'), safe='/+~:=@,')}"
                return self._fetcher.download(url, self.path(package), package["sha256"], package["size"])
            except NotThere as error:
                missing = error.message
        place = f"{settings.distribution} {settings.suite}"
        if package["archive"] not in ("main", "security"):
            place = package["archive"].removeprefix("sources.")
        raise ResolveError(
            f"{package['name']} {package['version']} has left the archive of {place}: {missing}",
            remedy=f"'pipeline lock --upgrade {package['name']}' takes what replaced it; or name a snapshot mirror",
        )
