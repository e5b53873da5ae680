"""Finds the shared libraries that an image's files need and no layer has, before anything runs, and who has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.digest import cache_key
from pipeline.dpkg import SUITES, ArchiveSettings
from pipeline.dpkg import architecture as platform_architecture
from pipeline.errors import AssembleError, PipelineError
from pipeline.facts import Facts, Platform
from pipeline.oci.descriptor import Layer
from pipeline.oci.libraries import Contents, Elf, Missing, missing
from pipeline.plan.model import ImageWork, LayerWork, Plan, Step
from pipeline.recipe import Assemble, Borrow
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench
from pipeline.stages.borrow import contents
from pipeline.store.image_files import ImageFiles


def check(step: Step, plan: Plan, bench: Bench, platform: Platform, ids: Sequence[str]) -> None:
    """Raises AssembleError for shared libraries that members need and no layer has, found from the ELF files."""
    assert isinstance(step.work, ImageWork)
    layers = [layer for id_ in ids for layer in _relevant(plan.step(id_), bench)]
    own = [layer for id_ in ids if not _is_borrowed(plan.step(id_)) for layer in _relevant(plan.step(id_), bench)]
    config = next(config for at, stack, config in step.work.stacks if at == platform and stack == ids)
    env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
    ignored = step.work.image.checks.libraries_ignore
    memo = "libraries " + cache_key([[layer.diff_id for layer in layers], ignored, env.get("LD_LIBRARY_PATH", "")])
    if bench.cache.known(memo):
        return
    lacking = _missing(layers, own, bench, platform, env, ignored)
    if lacking:
        raise _lacking(step, lacking, _packages(plan, bench, ids, sorted({each.soname for each in lacking})))
    bench.cache.tell(memo, True)


def _missing(
    layers: Sequence[Layer],
    own: Sequence[Layer],
    bench: Bench,
    platform: Platform,
    env: Mapping[str, str],
    ignored: Sequence[str],
) -> list[Missing]:
    """What the objects of `own` layers lack. An image from elsewhere answers for itself, and is not read in vain."""
    told = [_contents(layer, bench) for layer in own]
    asking = {path for one in told for path in (*one.objects, *(one.hardlinks if one.objects else ()))}
    if not asking:
        return []

    def lacking(folders: Sequence[str]) -> list[Missing]:
        found = missing(
            [_contents(layer, bench) for layer in layers],
            architecture=platform.architecture,
            library_path=tuple(filter(None, env.get("LD_LIBRARY_PATH", "").split(":"))),
            ld_so_conf=folders,
            ignore=ignored,
        )
        return [each for each in found if each.path in asking]

    found = lacking(())
    return lacking(_ld_so_conf(layers, bench)) if found and len(own) < len(layers) else found


def _ld_so_conf(layers: Sequence[Layer], bench: Bench) -> list[str]:
    """The folders that the image's ld.so.conf(5) names."""
    files = ImageFiles(bench.store, layers, ("/etc/ld.so.conf.d/*.conf",))
    paths = ["/etc/ld.so.conf", *files.glob("/etc/ld.so.conf.d/*.conf")]
    lines = [
        line.strip() for path in paths for line in (files.read(path) or b"").decode("utf-8", "replace").splitlines()
    ]
    return [line for line in lines if line.startswith("/")]


def _is_borrowed(step: Step) -> bool:
    return isinstance(step.work, LayerWork) and isinstance(step.work.recipe, Borrow)


def _relevant(step: Step, bench: Bench) -> Sequence[Layer]:
    """The layers of a step that can matter here: with objects or links. A changed script asks nothing anew."""
    return layers_of(step, bench) if bench.record(step).get("linked", True) else ()


def _contents(layer: Layer, bench: Bench) -> Contents:
    kept = contents(layer, bench)
    owners = {path: owner for path, *_, owner in kept["members"] if path in kept["elf"]}
    return Contents(
        paths=[member[0] for member in kept["members"]],
        links={path: link for path, type_, *_, link, _owner in kept["members"] if type_ == "symlink"},
        hardlinks={path: link for path, type_, *_, link, _owner in kept["members"] if type_ == "hardlink"},
        objects={path: (Elf.from_json(facts), owners.get(path, "")) for path, facts in kept["elf"].items()},
    )


def _lacking(step: Step, lacking: Sequence[Missing], packages: Mapping[str, str]) -> AssembleError:
    lines = []
    for soname in sorted({each.soname for each in lacking}):
        users = [each for each in lacking if each.soname == soname]
        where = f"/{users[0].path}" + (f" of {users[0].owner}" if users[0].owner else "")
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        source = (
            f"it is in the Debian package {packages[soname]}"
            if soname in packages
            else "no package is known to have it"
        )
        lines.append(f"\n  {soname}, needed by {where}{more}: {source}")
    return AssembleError(
        f"image {step.name} lacks shared libraries:" + "".join(lines),
        remedy="add the packages to the base, or name what is not needed under checks.libraries.ignore",
        place=step.place,
    )


def _packages(plan: Plan, bench: Bench, ids: Sequence[str], sonames: Sequence[str]) -> Mapping[str, str]:
    """Which distribution package has each library; empty when the archive cannot be asked: the error stands without."""
    works = [plan.step(id_).work for id_ in ids]
    recipes = [work.recipe for work in works if isinstance(work, LayerWork) and isinstance(work.recipe, Assemble)]
    debs = next((recipe for recipe in recipes if recipe.packer == "deb"), None)
    facts = next((work.parent for work in reversed(works) if isinstance(work, LayerWork)), Facts())
    place = (facts.distribution, facts.release)
    suite = next((one.codename for one in SUITES.values() if (one.distribution, one.release) == place), "")
    settings, architecture = ArchiveSettings(facts.distribution, suite), platform_architecture(facts.platform)
    if debs:
        names = debs.inputs["distribution"], debs.inputs["suite"]
        settings, architecture = (
            ArchiveSettings(*names, mirror=debs.sources.get("mirror", "")),
            debs.inputs["architecture"],
        )
    if not settings.suite or not architecture:
        return {}
    try:
        found: Mapping[str, str] = bench.indexes.debian.contents(
            settings.distribution, settings.suite, architecture, sonames, settings
        )
    except PipelineError as error:
        bench.say("", f"the archive could not say which packages have them: {error}")
        return {}
    return found
