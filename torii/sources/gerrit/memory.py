"""What this process has read of a Gerrit's changes: who stands on whom, and which commits are in branches. A cache that may be lost."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from torii.model.change import Change
from torii.model.ids import ProjectName, Sha
from torii.sources.gerrit.derive import Relations
from torii.sources.gerrit.facts import Account, ChangeFacts, Message

CHANGES = 10_000
"""Changes that are remembered, those read last."""

COMMITS = 50_000
"""Commits that are remembered to be in a branch."""

_NOBODY = Account()


@dataclass(frozen=True, slots=True)
class Known:
    """A change as read last. `above` are the changes that its own state depends on: its ancestors, those too that are abandoned."""

    facts: ChangeFacts
    change: Change
    relations: Relations = Relations()
    above: tuple[int, ...] = ()


class Memory:
    """Owned by one thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._revisions: dict[tuple[ProjectName, Sha], tuple[int, int]] = {}
        self._shas: dict[int, set[tuple[ProjectName, Sha]]] = {}
        self._dependants: dict[int, set[int]] = {}
        self._landed: OrderedDict[tuple[ProjectName, Sha], None] = OrderedDict()

    def known(self, number: int) -> Known | None:
        return self._known.get(number)

    def open_changes(self, most: int) -> list[int]:
        """Return the open changes read last, up to `most`."""
        numbers = (number for number in reversed(self._known) if self._known[number].facts.open)
        return [number for number, _ in zip(numbers, range(most), strict=False)]

    def learn(self, known: Known) -> None:
        """Remember `known` as the newest state of its change."""
        facts = known.facts
        self._unlink(facts.number)
        # Texts are most of a change, and only its log's ids are asked for again.
        messages = tuple(Message(each.id, each.at, _NOBODY, each.patchset) for each in facts.messages)
        self._known[facts.number] = replace(known, facts=replace(facts, messages=messages))
        self._known.move_to_end(facts.number)
        self.learn_revision(facts.project, facts.commit, facts.number, facts.patchset)
        for number in known.above:
            self._dependants.setdefault(number, set()).add(facts.number)
        while len(self._known) > CHANGES:
            self.forget(next(iter(self._known)))

    def forget(self, number: int) -> None:
        self._unlink(number)
        self._known.pop(number, None)
        for place in self._shas.pop(number, ()):
            self._revisions.pop(place, None)

    def learn_revision(self, project: ProjectName, commit: Sha, number: int, patchset: int) -> None:
        """Remember that `commit` is patch set `patchset` of change `number`."""
        self._revisions[project, commit] = (number, patchset)
        self._shas.setdefault(number, set()).add((project, commit))

    def revision(self, project: ProjectName, commit: Sha) -> tuple[int, int] | None:
        """Return (change, patch set) that `commit` is, where that is known."""
        return self._revisions.get((project, commit))

    def dependants(self, number: int) -> frozenset[int]:
        """Return the changes that stand on change `number`."""
        return frozenset(self._dependants.get(number, ()))

    def land(self, project: ProjectName, commits: Iterable[Sha]) -> None:
        """Remember that `commits` are in some branch of `project`."""
        for commit in commits:
            self._landed[project, commit] = None
            self._landed.move_to_end((project, commit))
        while len(self._landed) > COMMITS:
            self._landed.popitem(last=False)

    def landed(self, project: ProjectName, commit: Sha) -> bool:
        return (project, commit) in self._landed

    def _unlink(self, number: int) -> None:
        before = self._known.get(number)
        for above in before.above if before else ():
            self._dependants.get(above, set()).discard(number)
