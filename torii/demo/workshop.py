"""Where the changes of the story live, as the story sees it: it is the same on plain git repositories and on a Gerrit.

A workshop makes the repositories, does what people do to changes there, and reads what is to be seen of them in the end. It never asks
Torii anything: what it says is that place's own word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torii.demo.clones import Clones
from torii.demo.projects import Edit
from torii.gearman.admin import Address
from torii.model.ids import Sha


@dataclass(frozen=True, slots=True)
class Customs:
    """In what a place differs from plain git.

    `one_by_one`: approvals arrive one after another, whoever gives them. `own_merges`: it merges by itself, so that what lands has the
    tested tree, but may have another commit. `patience`: seconds that any one thing may take there, on a machine that is busy with other
    work.
    """

    one_by_one: bool = False
    own_merges: bool = False
    patience: float = 60.0


@dataclass(frozen=True, slots=True)
class Branches:
    """How a change stands in a plain repository: which of its branches (`review`, `gate`) are there."""

    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Review:
    """How a change stands on a Gerrit: its status there, and Torii's vote on it, 0 where there is none."""

    status: str = ""
    vote: int = 0


Standing = Branches | Review


class Workshop(Protocol):
    """What people do to changes in one place, and what is to be seen there."""

    clones: Clones
    customs: Customs

    def server_yml(self) -> str:
        """Return the `server.yml` of a Torii for this place."""

    def found(self, project: str, files: Mapping[str, str]) -> None:
        """Make the repository of `project` with `files` on its branch main, and a clone of it."""

    def ready(self, gearman: Sequence[Address]) -> None:
        """Torii runs, with these Gearman servers: return when whoever else takes part is there, too. Raises OperatorError."""

    def make(self, edit: Edit) -> None:
        """Commit `edit` on a branch of its own in the clone; nobody else sees it yet."""

    def ask_review(self, *edits: Edit) -> None:
        """Push changes of one project for review."""

    def approve(self, *edits: Edit) -> None:
        """Approve changes of one project, in this order."""

    def change(self, edit: Edit) -> str:
        """Return the id of the edit's change in Torii; the edit's own name while it has none."""

    def repository(self, project: str) -> Path:
        """Return the folder of the repository that Torii merges into."""

    def standing(self, edit: Edit) -> Standing:
        """Return how the place itself says that the change stands."""

    def told(self, edit: Edit) -> str:
        """Return everything that Torii has written on the change there."""

    def told_of_branch(self, project: str, commit: Sha) -> str:
        """Return everything that Torii has written there on main at `commit`."""

    def invitation(self, torii: str, server: str) -> list[str]:
        """Return what to try while it all goes on running. `torii` is how a shell calls it, `server` the option that names its server.yml.

        A line with a command to type is indented by two spaces.
        """


def tip(shop: Workshop, project: str) -> Sha:
    """Return the commit that main of `project` is at."""
    return Sha(shop.clones.git(shop.repository(project), "rev-parse", "refs/heads/main"))
