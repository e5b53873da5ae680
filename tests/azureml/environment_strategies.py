"""Environments of Azure ML, made up by hypothesis: every key that the SDK reads, present or not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789-._äß /:=<>~[]'\"#", max_size=12)
# Two letters at least: the list of packages that release 1.61.0.post4 pins to itself is one of single letters.
NAME = st.from_regex(r"[a-z][a-z0-9-]{1,10}", fullmatch=True)
MAYBE = st.none() | WORD
PACKAGE = st.builds(
    lambda name, rest: name + rest, NAME, st.sampled_from(["", "==1.0", "=2", ">=1,<2", "[extra]~=1.0"])
)


def some(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with any of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


CONDA = some(
    name=NAME,
    channels=st.lists(NAME, max_size=3),
    dependencies=st.lists(PACKAGE, max_size=4).flatmap(
        lambda items: st.lists(PACKAGE, max_size=4).map(lambda pip: [*items, {"pip": pip}] if pip else items)
    ),
)
REGISTRY = some(
    address=MAYBE,
    username=MAYBE,
    password=st.none() | st.just("${env:REGISTRY_PASSWORD}"),
    registryIdentity=st.none() | some(resourceId=MAYBE, clientId=MAYBE),
)
START = st.one_of(
    some(baseImage=MAYBE, baseDockerfile=st.none()),
    some(baseDockerfile=MAYBE),
    some(
        buildContext=some(locationType=st.sampled_from(["git", "storageAccount"]), location=MAYBE, dockerfilePath=WORD)
    ),
)
DOCKER = st.builds(
    lambda start, rest: {**start, **rest},
    START,
    some(
        enabled=st.booleans(),
        sharedVolumes=st.booleans(),
        shmSize=MAYBE,
        arguments=st.lists(WORD, max_size=2),
        baseImageRegistry=REGISTRY,
        platform=some(os=st.sampled_from(["Linux", "Windows"]), architecture=st.sampled_from(["amd64", "arm32v7"])),
    ),
)
LIBRARIES = {
    "mavenLibraries": st.lists(some(coordinates=WORD, repo=WORD, exclusions=st.lists(WORD, max_size=2)), max_size=2),
    "pypiLibraries": st.lists(some(package=WORD, repo=WORD), max_size=2),
    "rcranLibraries": st.lists(some(package=WORD, repo=WORD), max_size=2),
    "jarLibraries": st.lists(some(library=WORD), max_size=2),
    "eggLibraries": st.lists(some(library=WORD), max_size=2),
}
R = some(
    rVersion=MAYBE,
    userManaged=st.booleans(),
    rscriptPath=MAYBE,
    snapshotDate=MAYBE,
    cranPackages=st.none() | st.lists(some(name=WORD, version=MAYBE, repository=MAYBE), max_size=2),
    githubPackages=st.none() | st.lists(some(repository=WORD), max_size=2),
    customUrlPackages=st.none() | st.lists(WORD, max_size=2),
    bioconductorPackages=st.none() | st.lists(WORD, max_size=2),
)
ENVIRONMENT = st.builds(
    lambda name, rest: {"name": name, **rest},
    NAME,
    some(
        version=MAYBE,
        environmentVariables=st.dictionaries(NAME, WORD, max_size=3),
        python=some(
            userManagedDependencies=st.booleans(),
            interpreterPath=MAYBE,
            condaDependenciesFile=MAYBE,
            baseCondaEnvironment=MAYBE,
            condaDependencies=CONDA,
        ),
        docker=DOCKER,
        spark=st.none()
        | some(
            repositories=st.lists(WORD, max_size=2),
            packages=st.lists(some(group=WORD, artifact=WORD, version=WORD), max_size=2),
            precachePackages=st.booleans(),
        ),
        databricks=st.none() | some(**LIBRARIES),
        r=st.none() | R,
        inferencingStackVersion=st.sampled_from([None, "latest"]),
        assetId=MAYBE,
    ),
).filter(lambda value: not {*value} <= {"name", "version"})
