"""The sections `spark`, `databricks` and `r` of an environment: kept and written back, of no meaning for a service."""

from __future__ import annotations

from typing import Any

from pipeline.azureml.elements import Element, Field


class _Record(Element):
    """An element whose fields are unset until they are read or set."""

    EMPTY: str | None = None

    def __init__(self, **values: Any) -> None:
        for each in self.FIELDS:
            setattr(self, each.attribute, values.pop(each.attribute, self.EMPTY))
        if values:
            raise TypeError(f"{type(self).__name__} has no {', '.join(values)}")


class SparkPackage(_Record):
    FIELDS = (Field("group", "group"), Field("artifact", "artifact"), Field("version", "version"))


class SparkSection(Element):
    FIELDS = (
        Field("repositories", "repositories", "texts"),
        Field("packages", "packages", SparkPackage, many=True),
        Field("precache_packages", "precachePackages", "flag"),
    )

    def __init__(self) -> None:
        self.repositories: list[str] = []
        self.packages: list[SparkPackage] = []
        self.precache_packages = True


class PyPiLibrary(_Record):
    EMPTY = ""
    FIELDS = (Field("package", "package"), Field("repo", "repo"))


class RCranLibrary(_Record):
    EMPTY = ""
    FIELDS = (Field("package", "package"), Field("repo", "repo"))


class JarLibrary(_Record):
    EMPTY = ""
    FIELDS = (Field("library", "library"),)


class EggLibrary(_Record):
    EMPTY = ""
    FIELDS = (Field("library", "library"),)


class MavenLibrary(Element):
    FIELDS = (Field("coordinates", "coordinates"), Field("repo", "repo"), Field("exclusions", "exclusions", "texts"))

    def __init__(self, coordinates: str = "", repo: str = "", exclusions: list[str] | None = None) -> None:
        self.coordinates = coordinates
        self.repo = repo
        self.exclusions = exclusions or []


class DatabricksSection(Element):
    FIELDS = (
        Field("maven_libraries", "mavenLibraries", MavenLibrary, many=True),
        Field("pypi_libraries", "pypiLibraries", PyPiLibrary, many=True),
        Field("rcran_libraries", "rcranLibraries", RCranLibrary, many=True),
        Field("jar_libraries", "jarLibraries", JarLibrary, many=True),
        Field("egg_libraries", "eggLibraries", EggLibrary, many=True),
        Field("cluster", "cluster", "mapping"),
    )

    def __init__(self) -> None:
        self.maven_libraries: list[MavenLibrary] = []
        self.pypi_libraries: list[PyPiLibrary] = []
        self.rcran_libraries: list[RCranLibrary] = []
        self.jar_libraries: list[JarLibrary] = []
        self.egg_libraries: list[EggLibrary] = []
        self.cluster: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """As the SDK: it writes no cluster where there is none."""
        found = super().to_json()
        if found["cluster"] is None:
            del found["cluster"]
        return found


class RCranPackage(_Record):
    FIELDS = (Field("name", "name"), Field("version", "version"), Field("repository", "repository"))


class RGitHubPackage(_Record):
    FIELDS = (Field("repository", "repository"), Field("auth_token", "authToken"))

    def to_json(self) -> dict[str, Any]:
        """A token in clear text is left out, for what is written is to be committed."""
        found = super().to_json()
        return {**found, "authToken": "${env:GITHUB_TOKEN}"} if found["authToken"] else found


class RSection(Element):
    FIELDS = (
        Field("r_version", "rVersion"),
        Field("user_managed", "userManaged", "flag"),
        Field("rscript_path", "rscriptPath"),
        Field("snapshot_date", "snapshotDate"),
        Field("cran_packages", "cranPackages", RCranPackage, many=True),
        Field("github_packages", "githubPackages", RGitHubPackage, many=True),
        Field("custom_url_packages", "customUrlPackages", "texts"),
        Field("bioconductor_packages", "bioconductorPackages", "texts"),
    )

    def __init__(self) -> None:
        self.r_version: str | None = None
        self.user_managed = False
        self.rscript_path: str | None = None
        self.snapshot_date: str | None = None
        self.cran_packages: list[RCranPackage] | None = None
        self.github_packages: list[RGitHubPackage] | None = None
        self.custom_url_packages: list[str] | None = None
        self.bioconductor_packages: list[str] | None = None
