"""Reads a Dockerfile: which images it is made from, and the same text with those images pinned.

Format: docs.docker.com, "Dockerfile reference": parser directives, here-documents, FROM, COPY --from, RUN --mount, and
"Understand how ARG and FROM interact".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field

from pipeline.errors import ResolveError
from pipeline.facts import Platform
from pipeline.manifest.words import suggestion
from pipeline.noun import noun

_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_HERE = re.compile(r"\d*<<-?(['\"]?)([A-Za-z_]\w*)\1$")
_FLAGS = re.compile(r"((?:--\S+\s+)*)(.*)", re.DOTALL)
_COPIED = re.compile(r"--from=([^\s$]+)(?=\s|$)")
_MOUNTED = re.compile(r"--mount=(?:[^\s$]*,)?from=([^\s,$]+)(?=[\s,]|$)")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^{}]*))?\}|(\{[^}]*\}?))")


@noun
class Instruction:
    """One instruction in capitals and what follows it, on one line; it stands in the lines `first` to `end` - 1."""

    name: str
    rest: str
    first: int
    end: int


@noun
class Stage:
    """A build stage: the image or the stage that it starts from, and where else it takes files from."""

    name: str
    start: str
    sources: tuple[str, ...] = ()


@noun
class Dockerfile:
    """The instructions of a Dockerfile, and its stages, with the arguments put into what they start from."""

    text: str
    found: tuple[Instruction, ...]
    stages: tuple[Stage, ...] = ()
    starts: Mapping[int, str] = field(default_factory=dict)


def instructions(text: str) -> Iterator[Instruction]:
    """Each instruction, lines that go on joined, comments and here-documents left out."""
    lines = text.splitlines()
    directives = (_DIRECTIVE.match(line) for line in _leading_comments(lines))
    escape = next((found[1] for found in directives if found), "\\")
    number = 0
    while number < len(lines):
        first, words = number, ""
        while number < len(lines):
            line = lines[number].strip()
            number += 1
            if not line or line.startswith("#"):
                if not words:
                    break
                continue
            words += line.removesuffix(escape)
            if not line.endswith(escape):
                break
        name, _, rest = words.strip().partition(" ")
        if name:
            number = _after_here_documents(name.upper(), rest, lines, number)
            yield Instruction(name.upper(), rest.strip(), first, number)


def _leading_comments(lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        if not line.strip().startswith("#"):
            return
        yield line.strip()


def _after_here_documents(name: str, rest: str, lines: Sequence[str], number: int) -> int:
    """The line after the here-documents that an instruction opens; one without an end is none, as before BuildKit."""
    opened = [found[2] for word in rest.split() if (found := _HERE.match(word))]
    for word in opened if name in ("RUN", "COPY", "ADD") else ():
        ends = (at for at in range(number, len(lines)) if lines[at].lstrip("\t") == word)
        number = next(ends, number - 1) + 1
    return number


def read(text: str, args: Mapping[str, str], platform: Platform) -> Dockerfile:
    """Raises ResolveError for a FROM whose image cannot be told."""
    known = {f"{side}{name}": value for side in ("TARGET", "BUILD") for name, value in _words_of(platform).items()}
    found = tuple(instructions(text))
    stages: list[Stage] = []
    starts: dict[int, str] = {}
    for one in found:
        if one.name == "ARG" and not stages:
            for name, equals, default in (word.partition("=") for word in one.rest.split()):
                if name in args or equals:
                    known[name] = args.get(name, _expanded(default.strip("\"'"), known))
        elif one.name == "FROM":
            words = _FLAGS.match(one.rest)[2].split()  # type: ignore[index]
            image = _expanded(words[0], known) if words else ""
            if not image:
                raise ResolveError(f"line {one.first + 1}: FROM {one.rest} names no image", remedy="give it in `args`")
            starts[one.first] = image
            named = len(words) > 2 and words[1].upper() == "AS"
            stages.append(Stage(words[2].lower() if named else "", image))
        elif stages and (taken := _taken(one)):
            stages[-1] = Stage(stages[-1].name, stages[-1].start, (*stages[-1].sources, *taken))
    return Dockerfile(text, found, tuple(stages), starts)


def _words_of(platform: Platform) -> dict[str, str]:
    """The arguments that every build knows ("Automatic platform ARGs in the global scope")."""
    parts = {"OS": platform.os, "ARCH": platform.architecture, "VARIANT": platform.variant}
    return {**parts, "PLATFORM": str(platform)}


def _taken(one: Instruction) -> list[str]:
    """The stages and images that an instruction takes files from, as they are written."""
    if one.name == "COPY":
        return _COPIED.findall(_FLAGS.match(one.rest)[1])  # type: ignore[index]
    return _MOUNTED.findall(_FLAGS.match(one.rest)[1]) if one.name == "RUN" else []  # type: ignore[index]


def _expanded(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        plain, braced, operator, word, strange = found.groups()
        if strange:
            raise ResolveError(f"FROM {text}: {found[0]} is not understood", remedy="write it as ${NAME:-default}")
        given = known.get(plain or braced)
        if operator and operator.endswith("+"):
            return word if given or (given is not None and operator == "+") else ""
        unset = given is None or (operator == ":-" and not given)
        return (word or "") if unset else str(given)

    return _VARIABLE.sub(value, text).strip("\"'")


def parents(dockerfile: Dockerfile, target: str = "") -> list[str]:
    """The images from elsewhere that the stage `target` (else the last one) is made from, in the order of the file.

    ResolveError for a target that is no stage.
    """
    found: dict[str, None] = {}
    for number in sorted(_reached(dockerfile.stages, target)):
        stage = dockerfile.stages[number]
        if stage.start != "scratch" and _stage(dockerfile.stages[:number], stage.start) is None:
            found[stage.start] = None
        found |= dict.fromkeys(name for name in stage.sources if _is_image(dockerfile.stages, name))
    return list(found)


def _is_image(stages: Sequence[Stage], name: str) -> bool:
    return _stage(stages, name) is None and not name.isdecimal() and name != "scratch"


def _last(stages: Sequence[Stage], target: str) -> int:
    """The stage that makes the image. ResolveError for a target that is no stage."""
    last = _stage(stages, target) if target else len(stages) - 1
    if last is None:
        names = [stage.name for stage in stages if stage.name]
        raise ResolveError(f"there is no build stage {target!r}", remedy=suggestion(target, names, "there are"))
    return last


def _reached(stages: Sequence[Stage], target: str) -> set[int]:
    """The stages that the target needs, itself included: no other is built."""
    last = _last(stages, target)
    reached: set[int] = set()
    waiting = [last] if stages else []
    while waiting:
        number = waiting.pop()
        if number in reached:
            continue
        reached.add(number)
        start = _stage(stages[:number], stages[number].start)
        below = [start, *(_stage(stages, name) for name in stages[number].sources)]
        waiting += [one for one in below if one is not None]
    return reached


def shown_in_history(dockerfile: Dockerfile, target: str, names: Collection[str]) -> set[str]:
    """Which of these arguments the image's history would show: those of its own stage, and of what that starts from."""
    chain: set[int] = set()
    at: int | None = _last(dockerfile.stages, target) if dockerfile.stages else None
    while at is not None:
        chain.add(at)
        at = _stage(dockerfile.stages[:at], dockerfile.stages[at].start)
    found: set[str] = set()
    number = -1
    for one in dockerfile.found:
        number += one.name == "FROM"
        if one.name == "ARG" and number in chain:
            found |= {word.partition("=")[0] for word in one.rest.split()} & set(names)
    return found


def _stage(stages: Sequence[Stage], name: str) -> int | None:
    """The stage of that name or number; the last one, where several have the name."""
    if name.isdecimal() and int(name) < len(stages):
        return int(name)
    return next((n for n in reversed(range(len(stages))) if stages[n].name and stages[n].name == name.lower()), None)


def pinned(dockerfile: Dockerfile, exact: Mapping[str, str]) -> str:
    """The text with the images in `exact` (image → what to write) pinned; lines keep their numbers."""
    lines = dockerfile.text.splitlines()
    stages = 0
    for one in dockerfile.found:
        raw = "\n".join(lines[one.first : one.end])
        if one.name == "FROM":
            image = dockerfile.starts[one.first]
            if image in exact and _stage(dockerfile.stages[:stages], image) is None:
                flags, rest = _FLAGS.match(one.rest).groups()  # type: ignore[union-attr]
                raw = " ".join(["FROM", *flags.split(), exact[image], *rest.split()[1:]]) + "\n" * raw.count("\n")
            stages += 1
        for name in _taken(one):
            if name in exact and _is_image(dockerfile.stages, name):
                raw = re.sub(rf"(?<=from=){re.escape(name)}(?=[\s,]|$)", _constant(exact[name]), raw, count=1)
        lines[one.first : one.end] = raw.split("\n")
    return "\n".join(lines) + "\n"


def _constant(text: str) -> Callable[[re.Match[str]], str]:
    """As a replacement: without a meaning for backslashes."""
    return lambda _: text
