"""What the commits that a branch lacks say of the changes they belong to: titles, authors, what stands on what. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torii.model.ids import ChangeId, ProjectName, Sha
from torii.sources.git.refs import change_id, shown

MOST_COMMITS = 2_000
"""A change with more commits of its own than this is not walked, and not merged."""

_DEPENDS_ON = re.compile(r"^depends-on:[ \t]*(\S+:\S+/\S+)[ \t]*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: `title` is the first line of its message, `owner` its author as `Name <mail>`, `wants` its `Depends-On` footers."""

    sha: Sha
    parents: tuple[Sha, ...] = ()
    title: str = ""
    owner: str = ""
    wants: tuple[ChangeId, ...] = ()


@dataclass(frozen=True, slots=True)
class OwnCommits:
    """What a change's own commits say of it; see `KnownChange` for the fields."""

    title: str = ""
    owner: str = ""
    below: tuple[ChangeId, ...] = ()
    wants: tuple[ChangeId, ...] = ()
    problem: str = ""


def commit_of(sha: Sha, parents: tuple[Sha, ...], author: str, message: str) -> Commit:
    """Return the commit with what Torii wants of its message, made fit to be shown."""
    title = next((line.strip() for line in message.splitlines() if line.strip()), "")
    wants = tuple(dict.fromkeys(ChangeId(shown(match)) for match in _DEPENDS_ON.findall(message)))
    return Commit(sha, parents, shown(title), shown(author), wants)


def survey(project: ProjectName, outside: Mapping[Sha, Commit], patchsets: Mapping[str, Sha]) -> dict[str, OwnCommits]:
    """Return, for each change of `patchsets` (name -> commit) that is not in the branch, what its own commits say.

    `outside` are the commits that the changes have and the branch lacks.
    """
    changes_at: dict[Sha, list[ChangeId]] = {}
    for name, sha in patchsets.items():
        changes_at.setdefault(sha, []).append(change_id(project, name))
    return {name: _walk(outside, sha, changes_at) for name, sha in patchsets.items() if sha in outside}


def _walk(outside: Mapping[Sha, Commit], start: Sha, changes_at: Mapping[Sha, list[ChangeId]]) -> OwnCommits:
    """Follow the parents of `start` until the branch, or the commit of another change."""
    top = outside[start]
    below: dict[ChangeId, None] = {}
    wants: dict[ChangeId, None] = dict.fromkeys(top.wants)
    seen = {start}
    waiting = list(top.parents)
    while waiting:
        sha = waiting.pop()
        if sha in seen or sha not in outside:
            continue
        seen.add(sha)
        if others := changes_at.get(sha):
            below.update(dict.fromkeys(others))
            continue
        if len(seen) > MOST_COMMITS:
            return OwnCommits(top.title, top.owner, problem=f"it has more than {MOST_COMMITS} commits that its branch lacks")
        wants.update(dict.fromkeys(outside[sha].wants))
        waiting.extend(outside[sha].parents)
    return OwnCommits(top.title, top.owner, tuple(sorted(below)), tuple(wants))
