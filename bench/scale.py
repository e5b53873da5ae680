"""Many at once: fifty services in one manifest, and plans of thousands of steps.

The services share a base and two layers of 5 MB; each has its own code, image, repository and tag. The registry is a
docker-registry of this machine's (Debian's package); without it, its rows are left out, and a line says so.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.shipping import Registry, Take, registry

SERVICES = 50
BASE = """\
version: 1
name: base
registries: {{prod: {{address: "{address}"}}}}
bases:
  debian: {{debian: {{suite: bookworm, packages: [python3]}}}}
layers:
  mark: {{files: [{{from: mark, to: /etc/}}]}}
images:
  base: {{base: debian, layers: [mark], tags: [v1], push: {{to: prod, repository: base, tags: [v1]}}}}
"""
HEAD = """\
version: 1
name: services
registries: {{prod: {{address: "{address}"}}}}
bases:
  slim: {{image: "{address}/base:v1"}}
layers:
  first: {{files: [{{from: first/, to: /opt/first/}}]}}
  second: {{files: [{{from: second/, to: /opt/second/}}]}}
"""

PLANNED = """\
import resource, sys, time
from pathlib import Path
from pipeline.errors import Location
from pipeline.facts import Facts, Platform
from pipeline.manifest.model import Entry, Image, Manifest, Retry
from pipeline.plan import plan
from pipeline.plan.graph import order
from pipeline.plan.model import ResolvedEntry, ResolvedImage
from pipeline.recipe import Assemble

here, facts = Location("m.yaml", 1, 1), Facts(Platform())

def entry(section, name):
    member = {"path": name, "digest": "sha256:" + "ab" * 32, "size": 1}
    recipe = Assemble("tree", {"members": [member]})
    return ResolvedEntry(section, Entry(name, "files", {}, here), f"{section}.{name}", None, facts, facts, (recipe,))

base, shared = entry("bases", "base"), entry("layers", "shared")
names = [str(number) for number in range(int(sys.argv[1]) // 4)]
images = [
    ResolvedImage(Image(name, "base", ("shared", name), here), Platform(), (base, shared, entry("layers", name)))
    for name in names
]
manifest = Manifest(
    path=Path("m.yaml"), root=Path(), name="many", version=1, registries={}, bases={}, layers={},
    images={one.image.name: one.image for one in images}, targets={}, retry=Retry(), secrets=(), digest="",
    where=lambda _path: here,
)
began = time.perf_counter()
made = plan(manifest, images, lambda _step: False, lambda _id: None)
planned = time.perf_counter() - began
order(made.steps)
print(len(made.steps), planned, time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
"""


def rows(take: Take, runs: int) -> Iterator[tuple[str, str, str, int]]:
    """(what, goal, figure, runs) of each row."""
    for steps in (2500, 5000, 10000):
        yield _planned(steps, runs)
    if not shutil.which("docker-registry"):
        print("no rows of fifty services: docker-registry is not installed", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="pipeline-bench-") as name, registry() as there:
        folder, home = Path(name, "project"), Path(name, "home")
        _write(folder, there.address)
        yield from _services(take, runs, folder, home, there)


def _planned(steps: int, runs: int) -> tuple[str, str, str, int]:
    """In a process of its own: its memory is counted, too."""
    command = [sys.executable, "-c", PLANNED, str(steps)]
    found = [
        [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]
        for _ in range(runs)
    ]
    count, seconds, ordered, memory = (statistics.median(column) for column in zip(*found, strict=True))
    figure = f"{seconds:.2f} s, {memory / 1e6:.0f} MB; with their order by networkx {ordered:.2f} s"
    return f"planning {count:,.0f} steps", "2 s, 300 MB" if steps == 10000 else "-", figure, runs


def _write(folder: Path, address: str) -> None:
    for name in ("first", "second"):
        (folder / name).mkdir(parents=True)
        (folder / name / "data").write_bytes(os.urandom(5_000_000))
    (folder / ".git").mkdir()
    (folder / "mark").write_text("0")
    (folder / "base.yaml").write_text(BASE.format(address=address))
    layers, images = [], ["images:"]
    for number in range(SERVICES):
        source = folder / f"source{number}"
        source.mkdir()
        (source / "score.py").write_text(f"NUMBER = {number}\n")
        layers.append(f"  code{number}: {{files: [{{from: source{number}/, to: /srv/}}]}}")
        images += [
            f"  service{number}:",
            "    base: slim",
            f"    layers: [first, second, code{number}]",
            "    command: [python3, /srv/score.py]",
            "    tags: [v1]",
            f"    push: {{to: prod, repository: services/{number}, tags: [v1]}}",
        ]
    (folder / "services.yaml").write_text(HEAD.format(address=address) + "\n".join([*layers, *images]) + "\n")


def _services(take: Take, runs: int, folder: Path, home: Path, there: Registry) -> Iterator[tuple[str, str, str, int]]:
    services = f"{folder}/services.yaml"
    take(["run", f"{folder}/base.yaml"], home)
    take(["run", services], home)
    one = [services, "--image", "service0"]
    seconds = statistics.median(take(["run", *one], home) for _ in range(3 * runs))
    yield "nothing to do, one image in a registry", "0.17 s", f"{seconds:.3f} s", 3 * runs
    seconds = statistics.median(take(["run", services], home) for _ in range(3 * runs))
    yield f"{SERVICES} services, nothing to do, each in a registry", "0.6 s", f"{seconds:.2f} s", 3 * runs
    for what, goal, run in (
        ("one image, new base, pushed and tagged", "1 s", one),
        (f"{SERVICES} services, new base, pushed and tagged", "3 s", [services]),
    ):
        taken, requests = [], []
        for _ in range(runs):
            (folder / "mark").write_text(os.urandom(8).hex())
            take(["run", f"{folder}/base.yaml"], home)
            with there.asked() as asked:
                taken.append(take(["run", *run, "--upgrade", "slim"], home))
            requests.append(len(asked))
        yield what, goal, f"{statistics.median(taken):.2f} s, {statistics.median(requests):.0f} requests", runs
