"""What differs between two locks: packages with both versions, images with both digests, files, and what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.digest import short
from pipeline.lock import asked
from pipeline.lock.model import Lock, LockEntry, head_of
from pipeline.manifest.words import size
from pipeline.noun import noun


@noun
class Change:
    """One line of a difference. `entry` is an entry's id, or `layers.code` for files; `name` a package or a file; `old`
    and `new` are empty for what was or is not there. `note` is what else there is to say of the entry.
    """

    entry: str
    name: str = ""
    old: str = ""
    new: str = ""
    note: str = ""

    @property
    def text(self) -> str:
        """Without the entry's name."""
        if self.note:
            return self.note
        if self.old and self.new:
            return f"{self.name} {self.old} → {self.new}".strip()
        return f"{self.name} {self.new or self.old} is {'new' if self.new else 'gone'}".strip()


def differences(old: Lock, new: Lock) -> list[Change]:
    """All that differs, by entry; an entry for other needs (another libc) is compared with the one it comes from."""
    found: list[Change] = []
    if old.packer and new.packer and old.packer != new.packer:
        found.append(Change("packer", "", old.packer, new.packer))
    origins = _origins(old, new)
    for id_ in sorted({*old.entries, *new.entries} - {*origins.values()} | {*origins}):
        before, after = old.entries.get(origins.get(id_, id_)), new.entries.get(id_)
        if id_ in origins:
            found.append(Change(id_, note=f"was for {_needs(origins[id_], id_)}"))
        found += _entry(id_, before, after)
    for head in sorted({*old.files, *new.files}):
        found += files(head, old.files.get(head, []), new.files.get(head, []))
    return found


def changes(old: Lock, new: Lock) -> list[str]:
    """`differences` as lines for people: what is the same for all platforms of a base or layer is said once."""
    return told(differences(old, new), old, new)


def told(found: Iterable[Change], old: Lock, new: Lock) -> list[str]:
    """Differences of two locks as lines for people."""
    groups: dict[tuple[str, str], list[str]] = {}
    for change in found:
        groups.setdefault((head_of(change.entry), change.text), []).append(change.entry)
    lines = []
    for (head, text), ids in groups.items():
        there = {id_ for id_ in {*old.entries, *new.entries} if head_of(id_) == head}
        live = {id_ for id_ in there if id_ in new.entries} or there
        where = "" if live <= {*ids} or head in ids else f" {', '.join(name_among(id_, live | {*ids}) for id_ in ids)}"
        lines.append(f"{head}{where}: {text}")
    return lines


def name_among(id_: str, ids: Iterable[str]) -> str:
    """The words of an id that tell it from others of the same base or layer; `libc` and the like only where needed."""
    others = [set(other.split()[1:]) for other in ids if other != id_]
    platform, *needs = id_.split()[1:]
    words = [platform] if any(platform not in other for other in others) else []
    beside = [other for other in others if platform in other]
    return " ".join([*words, *(word for word in needs if any(word not in other for other in beside))])


def _entry(id_: str, before: LockEntry | None, after: LockEntry | None) -> Iterator[Change]:
    was, now = _packages(before), _packages(after)
    if before is None:
        count = len(now) - ("image" in now)
        yield Change(id_, note=f"new, {count} package{'s' * (count != 1)}")
    elif after is None:
        yield Change(id_, note="gone")
    else:
        if before.asked is not None and after.asked is not None:
            yield from (Change(id_, note=f"asked: {line}") for line in asked.moved(before.asked, after.asked))
        for name in sorted({*was, *now}):
            if was.get(name) != now.get(name):
                yield Change(id_, name, *_told_apart(was.get(name), now.get(name)))


def _origins(old: Lock, new: Lock) -> dict[str, str]:
    """Ids that are new → the one they replace: the only one that is gone of the same base or layer and platform."""
    gone, come = ([id_ for id_ in a.entries if id_ not in b.entries] for a, b in ((old, new), (new, old)))
    pairs = {}
    for id_ in come:
        place = id_.split()[:2]
        same = [other for other in gone if other.split()[:2] == place]
        if len(same) == 1 and [other.split()[:2] for other in come].count(place) == 1:
            pairs[id_] = same[0]
    return pairs


def _needs(old: str, new: str) -> str:
    """The needs of an id that another has not; packages below are a hash there, which tells nobody anything."""
    found = [word for word in old.split()[2:] if word not in new.split()]
    told = ["other packages below" if word.startswith("packages=") else word for word in found]
    return ", ".join(told) or "nothing in particular"


def files(head: str, before: Any, after: Any) -> list[Change]:
    """What differs in the rows on the project's files of a base or layer."""
    was, now = ({_name(row): _content(row) for row in rows} for rows in (before, after))
    names = [*was, *(name for name in now if name not in was)]
    different = (name for name in names if was.get(name) != now.get(name))
    return [Change(head, name, was.get(name, ""), now.get(name, "")) for name in different]


def _name(row: Mapping[str, Any]) -> str:
    """A row's first value, such as {"from": "src/", …}, with the platform where it says one."""
    first = str(next(iter(row.values()), ""))
    return f"{first} ({row['platform']})" if "platform" in row else first


def _content(row: Mapping[str, Any]) -> str:
    parts = [f"{row['files']} file{'s' * (row['files'] != 1)}"] if isinstance(row.get("files"), int) else []
    parts += [size(row["bytes"])] if isinstance(row.get("bytes"), int) else []
    parts += [short(str(row[key])) for key in ("sha256", "digest", "link") if key in row]
    return ", ".join(parts)


def versions(entry: LockEntry | None) -> dict[str, str]:
    """name → version of every package in an entry."""
    return {name: version for name, (version, _) in _packages(entry).items() if name != "image"}


def _packages(entry: LockEntry | None) -> dict[str, tuple[str, str]]:
    """name → version and digits of its hash, of everything in an entry that has a version; an image by its digest."""
    found: dict[str, tuple[str, str]] = {}
    locked = entry.locked if entry and isinstance(entry.locked, dict) else {}
    for item in (item for group in locked.values() if isinstance(group, list) for item in group):
        if isinstance(item, dict) and "name" in item and "version" in item:
            found[str(item["name"])] = (str(item["version"]), str(item.get("sha256", ""))[:8])
    if locked.get("reference"):
        found["image"] = (f"{locked['reference']}@{short(str(locked.get('digest')))}", "")
    return found


def _told_apart(was: tuple[str, str] | None, now: tuple[str, str] | None) -> tuple[str, str]:
    """Two versions as texts; with the hash where the version is the same and the file is another."""
    same = was is not None and now is not None and was[0] == now[0]
    old, new = (f"{each[0]} ({each[1]})" if each and same else each[0] if each else "" for each in (was, now))
    return old, new
