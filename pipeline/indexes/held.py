"""Which locked packages this machine's caches hold already: a look at names, for forecasts; nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CONDA = (".conda", ".tar.bz2")


class Held:
    """`cache` is the folder of our own caches; uv's is where the environment puts it (uv reference, "Caching")."""

    def __init__(self, cache: Path, environ: Mapping[str, str]) -> None:
        self._cache = cache
        user = Path(environ.get("HOME") or Path.home())
        shared = Path(environ.get("XDG_CACHE_HOME") or user / ".cache") / "uv"
        self._uv = Path(environ.get("UV_CACHE_DIR") or shared)

    def has(self, package: Mapping[str, Any]) -> bool:
        """Whether a locked package (its `file`, `sha256` and, where known, `size`) need not be downloaded."""
        file = str(package.get("file", "")).rpartition("/")[2]
        if file.endswith(".deb"):
            return self._deb(package)
        if file.endswith(_CONDA):
            return self._conda(file)
        return self._uv_has(file)

    def _deb(self, package: Mapping[str, Any]) -> bool:
        try:
            found = (self._cache / "debian" / "debs" / f"{package['sha256']}.deb").stat().st_size
        except OSError:
            return False
        return bool(found == package.get("size", found))

    def _conda(self, file: str) -> bool:
        """Unpacked below a folder of the archive's name (rattler's and conda's package cache)."""
        stem = next(file.removesuffix(end) for end in _CONDA if file.endswith(end))
        return any((self._cache / "conda" / "pkgs").glob(f"{stem}*/info/index.json"))

    def _uv_has(self, file: str) -> bool:
        """uv keeps what it downloaded from an index as wheels-*/INDEX/NAME/VERSION-TAGS.http (or .rev, of a file)."""
        if not file.endswith(".whl"):
            return False
        name, _, rest = file.removesuffix(".whl").partition("-")
        name = name.replace("_", "-").lower()
        # An index that is not the default one has a folder of its own, one level deeper.
        return any(
            found.suffix in (".http", ".rev")
            for pattern in (f"wheels-*/pypi/{name}", f"wheels-*/*/*/{name}")
            for folder in self._uv.glob(pattern)
            for found in folder.glob(f"{_literal(rest)}.*")
        )


def _literal(text: str) -> str:
    """`text` with nothing in it that a pattern would take for more than itself."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
