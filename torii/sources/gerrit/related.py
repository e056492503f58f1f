"""How changes stand to each other: on which open changes a commit stands, and what a whole topic would merge together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torii.model.change import ChangeStatus
from torii.model.ids import Sha
from torii.model.pipeline import MergeMode
from torii.sources.gerrit.derive import Relations
from torii.sources.gerrit.facts import ChangeFacts
from torii.sources.gerrit.memory import Memory

_MAKES_NEW_COMMITS = {MergeMode.CHERRY_PICK, MergeMode.REBASE_ALWAYS, MergeMode.REBASE_IF_NECESSARY}

Ask = Callable[[str], Any]
"""GETs a path and returns its JSON. Raises GerritError."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a change stands: its relations, and all changes `above` it whose news it depends on."""

    relations: Relations = Relations()
    above: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Relative:
    """An entry of Gerrit's list of related changes: change `number`, of which `commit` is patch set `patchset` and `current` the newest."""

    number: int
    commit: Sha
    patchset: int
    current: int
    status: str


class Relatives:
    """Finds the `Standing` of changes read together (`batch`, by number), with as few questions as possible."""

    def __init__(self, ask: Ask, memory: Memory, batch: Mapping[int, ChangeFacts], whole_topics: bool) -> None:
        self._ask = ask
        self._memory = memory
        self._batch = batch
        self._whole_topics = whole_topics
        self._commits = {(facts.project, facts.commit): number for number, facts in batch.items()}
        self._found: dict[int, Standing] = {}
        self._under_way: set[int] = set()

    def standing(self, facts: ChangeFacts) -> Standing:
        """Return where `facts`, one of the batch, stands. Raises GerritError."""
        for each in self._from_below(facts):
            if each.number not in self._found:
                self._under_way.add(each.number)
                self._found[each.number] = self._together(each, self._standing(each)) if each.open else Standing()
                self._under_way.discard(each.number)
        return self._found[facts.number]

    def _from_below(self, facts: ChangeFacts) -> list[ChangeFacts]:
        """Return `facts` and what of the batch it stands on, the lowest first: a series may be longer than calls can be nested."""
        above = {facts.number: facts}
        waiting = [facts]
        while waiting:
            each = waiting.pop()
            for parent in each.parents:
                number = self._commits.get((each.project, parent))
                if number is not None and number not in above and number not in self._found and number not in self._under_way:
                    above[number] = self._batch[number]
                    waiting.append(above[number])
        return [*reversed(above.values())]

    def _standing(self, facts: ChangeFacts) -> Standing:
        depends: dict[int, None] = {}
        above: dict[int, None] = {}
        against: list[str] = []
        for parent in facts.parents:
            if self._memory.landed(facts.project, parent):
                continue
            found = self._below(facts, parent)
            if found is None:
                return self._asked(facts)
            depends |= dict.fromkeys(found.relations.depends_on)
            above |= dict.fromkeys(found.above)
            against += found.relations.blockers
        return Standing(Relations(tuple(depends), tuple(against)), tuple(above))

    def _below(self, facts: ChangeFacts, parent: Sha) -> Standing | None:
        """Return what standing on `parent` means, None where that is not known here."""
        number = self._commits.get((facts.project, parent))
        revision = (number, self._batch[number].patchset) if number is not None else self._memory.revision(facts.project, parent)
        if revision is None or revision[0] == facts.number or revision[0] in self._under_way:
            return None
        number, patchset = revision
        known = self._memory.known(number)
        if number in self._batch:
            below, now = self.standing(self._batch[number]), self._batch[number]
        elif known is not None:
            below, now = Standing(known.relations, known.above), known.facts
        else:
            return None
        if now.branch != facts.branch:
            return None
        return _on(facts, below, Relative(number, parent, patchset, now.patchset, _word(now.status)))

    def _asked(self, facts: ChangeFacts) -> Standing:
        relatives = related(self._ask, facts)
        place = next((n for n, each in enumerate(relatives) if each.number == facts.number), len(relatives))
        ancestors = list(reversed(relatives[place + 1 :]))
        for each in ancestors:
            self._memory.learn_revision(facts.project, each.commit, each.number, each.patchset)
        if not ancestors:
            self._memory.land(facts.project, facts.parents)
        standing = Standing()
        against: list[str] = []
        for each in map(self._as_known, ancestors):
            standing = _on(facts, standing, each)
            if each.commit in facts.parents:
                against += standing.relations.blockers
        return Standing(Relations(standing.relations.depends_on, tuple(against)), standing.above)

    def _as_known(self, relative: Relative) -> Relative:
        """Return `relative` as the change itself was read: the list lags behind, and only news of a change has others looked at again."""
        known = self._memory.known(relative.number)
        facts = self._batch.get(relative.number) or (known.facts if known is not None else None)
        return replace(relative, current=facts.patchset, status=_word(facts.status)) if facts is not None else relative

    def _together(self, facts: ChangeFacts, standing: Standing) -> Standing:
        if not (self._whole_topics and facts.topic):
            return standing
        reply = self._ask(f"changes/{facts.number}/submitted_together?o=NON_VISIBLE_CHANGES")
        numbers = tuple(each["_number"] for each in reversed(reply["changes"])) if isinstance(reply, dict) else ()
        hidden = int(reply.get("non_visible_changes", 0)) if isinstance(reply, dict) else 0
        against = standing.relations.blockers
        if hidden:
            against = (*against, f"{hidden} more of its topic {facts.topic!r} would be merged with it, which Torii may not see")
        together = numbers if len(numbers) > 1 else ()
        return Standing(Relations(standing.relations.depends_on, against, together), standing.above)


def related(ask: Ask, facts: ChangeFacts, patchset: int | None = None) -> list[Relative]:
    """Return the changes related to `facts` (or an older patch set of it), itself among them, each before those it stands on."""
    reply = ask(f"changes/{facts.number}/revisions/{patchset or facts.patchset}/related")
    return [
        Relative(
            each["_change_number"],
            Sha(each["commit"]["commit"]),
            each["_revision_number"],
            each["_current_revision_number"],
            each.get("status", "NEW"),
        )
        for each in reply["changes"]
        if "_change_number" in each
    ]


def descendants(relatives: Sequence[Relative], number: int) -> list[int]:
    """Return those of `relatives` that are open and stand on change `number`."""
    above = []
    for each in relatives:
        if each.number == number:
            break
        if each.status == "NEW":
            above.append(each.number)
    return above


def _on(facts: ChangeFacts, below: Standing, parent: Relative) -> Standing:
    """Return the standing of `facts` on `parent`, which itself stands `below`."""
    above = (*below.above, parent.number)
    depends = below.relations.depends_on
    outdated = parent.current != parent.patchset
    against: tuple[str, ...] = ()
    match parent.status:
        case "NEW":
            depends = (*depends, parent.number)
            if outdated:
                against = (f"its parent {parent.number} is at patch set {parent.current} by now; this was made on {parent.patchset}",)
        case "ABANDONED":
            against = (f"its parent {parent.number} is abandoned",)
        case "MERGED" if outdated and facts.merge not in _MAKES_NEW_COMMITS:
            against = (f"its parent {parent.number} was merged as patch set {parent.current}; this was made on {parent.patchset}",)
        case _:
            pass
    return Standing(Relations(depends, against), above)


def _word(status: ChangeStatus) -> str:
    return {ChangeStatus.OPEN: "NEW", ChangeStatus.MERGED: "MERGED", ChangeStatus.ABANDONED: "ABANDONED"}[status]
