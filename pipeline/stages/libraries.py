"""Finds the shared libraries that an image's files need and no layer has, before anything runs, and who has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.digest import cache_key
from pipeline.dpkg import SUITES, ArchiveSettings
from pipeline.dpkg import architecture as platform_architecture
from pipeline.errors import AssembleError, PipelineError
from pipeline.facts import Facts, Platform
from pipeline.oci.descriptor import Layer
from pipeline.plan.model import ImageWork, LayerWork, Plan, Step
from pipeline.recipe import Assemble, Borrow
from pipeline.stages.assemble import layers_of
from pipeline.stages.bench import Bench
from pipeline.stages.borrow import contents, from_the_top, known_of

if TYPE_CHECKING:
    from pipeline.oci.libraries import Contents, Elf, Missing


def check(step: Step, plan: Plan, bench: Bench, platform: Platform, ids: Sequence[str]) -> None:
    """Raises AssembleError for shared libraries that members need and no layer has, found from the ELF files."""
    assert isinstance(step.work, ImageWork)
    steps = [plan.step(id_) for id_ in ids]
    borrowed = [layer for one in steps if _is_borrowed(one) for layer in layers_of(one, bench)]
    own = [layer for one in steps if not _is_borrowed(one) for layer in _relevant(one, bench)]
    config = next(config for at, stack, config in step.work.stacks if at == platform and stack == ids)
    env = dict(pair.split("=", 1) for pair in config.get("Env") or () if "=" in pair)
    ignored = step.work.image.checks.libraries_ignore
    layers = [layer.diff_id for layer in (*borrowed, *own)]
    memo = "libraries " + cache_key([layers, ignored, env.get("LD_LIBRARY_PATH", "")])
    if bench.cache.known(memo):
        return
    asked = {"architecture": platform.architecture, "ignore": ignored}
    asked["library_path"] = tuple(filter(None, env.get("LD_LIBRARY_PATH", "").split(":")))
    # Images that differ in their scripts alone ask the same at once.
    with bench.store.guard(cache_key(memo)[:32]):
        if bench.cache.known(memo):
            return
        if lacking := _lacked(borrowed, own, bench, asked, known_of(steps)):
            raise _lacking(step, lacking, _packages(plan, bench, ids, sorted({each.soname for each in lacking})))
        bench.cache.tell(memo, True)


def _lacked(
    borrowed: Sequence[Layer], own: Sequence[Layer], bench: Bench, asked: Mapping[str, Any], told: Facts
) -> list[Missing]:
    """What the objects of `own` layers lack. An image from elsewhere answers for itself, and is read no further down
    than it takes to find what they need: not at all, where what is known of its packages says enough.
    """
    # Here, as below: most new images have the libraries of the one before, and need none of it.
    from pipeline.oci.libraries import missing
    from pipeline.oci.provided import by_facts

    above = [_contents(layer, bench) for layer in own]
    asking = {path for one in above for path in (*one.objects, *(one.hardlinks if one.objects else ()))}
    if not asking:
        return []

    def lacking(below: Sequence[Layer], folders: Sequence[str] = ()) -> list[Missing]:
        listed = _Listed([*below, *own], bench)
        found = missing(
            [*(_contents(layer, bench) for layer in below), *above],
            ld_so_conf=folders,
            known=lambda soname, elf: by_facts(soname, elf, told) or listed.has(soname, elf),
            **asked,
        )
        return [each for each in found if each.path in asking]

    found = lacking(())
    for below in from_the_top(borrowed, bench) if found else ():
        found = lacking(below)
        found = lacking(below, _ld_so_conf([*below, *own], bench)) if found else []
        if not found:
            break
    return found


class _Listed:
    """The libraries that ld.so.cache of the uppermost of `layers` that has one tells of; layers above may hide some."""

    def __init__(self, layers: Sequence[Layer], bench: Bench) -> None:
        from pipeline.oci.provided import CACHE, cached

        self._known: Mapping[tuple[str, int], str] = {}
        self._removed: set[str] = set()
        for layer in reversed(layers):
            if data := bench.store.files(layer).get(CACHE):
                self._known = cached(data)
                return
            paths = (member[0].rpartition("/") for member in contents(layer, bench)["members"])
            self._removed |= {name.removeprefix(".wh.") for _, _, name in paths if name.startswith(".wh.")}

    def has(self, soname: str, asking: Elf) -> bool:
        from pipeline.oci.provided import ABI

        path = self._known.get((soname, ABI.get((asking.bits, asking.machine), -1)))
        if path is None:
            return False
        # A file, the link to it, a folder above, or all that was in a folder: any removal that may concern it.
        stem = soname.partition(".so")[0]
        return not any(name == ".wh..opq" or name in path.split("/") or name.startswith(stem) for name in self._removed)


def _ld_so_conf(layers: Sequence[Layer], bench: Bench) -> list[str]:
    """The folders that the image's ld.so.conf(5) names."""
    from pipeline.store.image_files import ImageFiles

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
    from pipeline.oci.libraries import Contents, Elf

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
