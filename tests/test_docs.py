"""The documentation against the code: commands and options exist, settings are all there, links lead somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from pipeline import kinds
from pipeline.cli._app import app

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
MANIFEST_PAGE = (ROOT / "docs" / "manifest.md").read_text(encoding="utf-8")

KINDS = [
    (section, name)
    for section in ("bases", "layers", "targets")
    for name in kinds.builtin(section)  # type: ignore[arg-type]
    if hasattr(kinds.find(section, name), "SCHEMA")  # type: ignore[arg-type]
]


def pages() -> list[object]:
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in PAGES]


def commands(text: str) -> Iterator[str]:
    """What stands in code and begins with `pipeline`, or with it after a prompt."""
    yield from re.findall(r"`(pipeline [^`\n]+)`", text)
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if found := re.match(r"\$ (?:\S*/)?(pipeline .*)", line):
                yield found[1].partition("  #")[0].strip()


def parsed(words: list[str]) -> tuple[click.Command, list[str]]:
    """The subcommand that `words` name, and the words after it."""
    found: click.Command = app
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        context = click.Context(found)
        inner = found.get_command(context, words[0])
        assert inner is not None, f"there is no command {words[0]!r}"
        found, words = inner, words[1:]
    return found, words


@pytest.mark.parametrize("page", pages())
def test_commands_and_their_options_exist(page: Path) -> None:
    for line in commands(page.read_text(encoding="utf-8")):
        command, rest = parsed(shlex.split(line.split("&&")[0])[1:])
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for word in rest:
            if word.startswith("-") and word != "-":
                assert word.partition("=")[0] in known, f"{line!r}: {command.name} has no {word}"


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: there is no such heading"


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize(("section", "name"), KINDS)
def test_every_setting_of_a_kind_is_documented(section: kinds.Section, name: str) -> None:
    found = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", MANIFEST_PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/manifest.md has no section '### {name}'"
    text = found[1]
    if name == "debs":
        # It says that its settings are those of a debian base.
        text += re.search(r"^### debian\n(.*?)(?=^##)", MANIFEST_PAGE, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index]
    schema = kinds.find(section, name).SCHEMA
    properties = schema.get("properties") or schema["items"]["properties"]
    missing = [setting for setting in properties if not re.search(rf"`(\w+\.)?{setting}[`.]", text)]
    assert not missing, f"docs/manifest.md, {name}: nothing about {', '.join(missing)}"


def test_every_setting_of_an_image_is_documented() -> None:
    from pipeline.manifest.sections import image

    text = MANIFEST_PAGE.split("\n## images\n")[1].split("\n## ")[0]
    properties = image()["properties"]
    names = [*properties, *(f"checks.{name}" for name in properties["checks"]["properties"])]
    missing = [name for name in names if f"`{name}" not in text]
    assert not missing, f"docs/manifest.md, images: nothing about {', '.join(missing)}"


@pytest.mark.parametrize("page", pages())
def test_examples_are_yaml(page: Path) -> None:
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        yaml.safe_load(block.replace("{...}", "{}"))


def test_the_readme_shows_the_manifest_that_is_there() -> None:
    """Trimmed, but not another one: what the README's manifest says, the quickstart says."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = next(
        yaml.safe_load(b) for b in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if b.startswith("version")
    )
    real = yaml.safe_load((ROOT / "manifests" / "quickstart.yaml").read_text(encoding="utf-8"))
    for section in ("version", "name", "bases", "layers", "targets"):
        assert shown[section] == real[section]
