"""Reads changes: one by itself as fresh as can be, many with one query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from torii.model.ids import ProjectName
from torii.sources.gerrit.errors import GerritError, GerritRefusedError, GerritReplyTooLargeError, GerritUnavailableError
from torii.sources.gerrit.facts import FILES, OPTIONS, ChangeFacts, Message, StrangeChangeError, facts_of, with_remarks
from torii.sources.gerrit.rest import GerritRest, quote

log = structlog.get_logger()

AT_ONCE = 50
"""Changes a query."""

_NOT_FOUND = 404
_NOT_US = (401, 403)
_INTERNAL = 500


@dataclass(slots=True)
class Reading:
    """What was read: the changes that are there by number, and the numbers of those that are not, or not for Torii to see.

    One that is there but cannot be understood, or is of a project that is not ours, is in neither. `broken` are those that Gerrit itself
    cannot show, and its words. Those found `alone` are as fresh as can be; of the others Gerrit's index told.
    """

    found: dict[int, ChangeFacts] = field(default_factory=dict)
    alone: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    broken: dict[int, str] = field(default_factory=dict)


class ChangeReader:
    """Reads changes of the projects that Gerrit calls `names`; those of others are left out. One thread's own."""

    def __init__(self, rest: GerritRest, names: Iterable[ProjectName], files: bool) -> None:
        self._rest = rest
        self._names = frozenset(names)
        self.options = (*OPTIONS, FILES) if files else OPTIONS
        self._params = [("o", option) for option in self.options]

    def read(self, wanted: Mapping[int, ProjectName | None]) -> Reading:
        """Return what Gerrit says of the changes `wanted`, given with their projects where these are known. Raises GerritError."""
        reading = Reading()
        numbers = list(wanted)
        for first in range(0, len(numbers), AT_ONCE):
            self._read(numbers[first : first + AT_ONCE], wanted, reading)
        return reading

    def facts(self, infos: Iterable[Mapping[str, Any]]) -> dict[int, ChangeFacts]:
        """Return what `infos` (ChangeInfo) say of changes of our projects; a change that cannot be understood is logged and left out."""
        found = {}
        for info in infos:
            try:
                facts = facts_of(info)
            except StrangeChangeError as error:
                log.error("gerrit.change_strange", connection=self._rest.name, reason=str(error))
                continue
            if facts.project in self._names:
                found[facts.number] = facts
        return found

    def with_remarks(self, facts: ChangeFacts, needed: Callable[[Message], bool]) -> ChangeFacts:
        """Return `facts` with the patch set comments of its messages, where one that is `needed` has any. Raises GerritError."""
        if not any(message.remarks and needed(message) for message in facts.messages):
            return facts
        return with_remarks(facts, self._rest.get(f"changes/{quote(facts.project)}~{facts.number}/comments"))

    def _read(self, numbers: Sequence[int], wanted: Mapping[int, ProjectName | None], reading: Reading) -> None:
        if len(numbers) > 1:
            try:
                reading.found |= self._query(numbers)
            except GerritReplyTooLargeError:
                half = len(numbers) // 2
                self._read(numbers[:half], wanted, reading)
                self._read(numbers[half:], wanted, reading)
                return
            except GerritRefusedError as error:
                log.warning("gerrit.query_refused", connection=self._rest.name, changes=len(numbers), reason=str(error))
        for number in numbers:
            if number not in reading.found:
                self._read_one(number, wanted[number], reading)

    def _query(self, numbers: Sequence[int]) -> dict[int, ChangeFacts]:
        query = " OR ".join(f"change:{number}" for number in numbers)
        reply = self._rest.get("changes/", [("q", query), *self._params, ("n", str(len(numbers)))])
        return self.facts(info for info in reply if isinstance(info, Mapping))

    def _read_one(self, number: int, project: ProjectName | None, reading: Reading) -> None:
        name = f"{quote(project)}~{number}" if project else str(number)
        try:
            info = self._rest.get(f"changes/{name}", self._params)
        except GerritRefusedError as error:
            if error.status in _NOT_US:
                raise
            if error.status == _NOT_FOUND:
                reading.missing.add(number)
            else:
                self._leave_out(number, error, reading)
            return
        except GerritReplyTooLargeError as error:
            self._leave_out(number, error, reading)
            return
        except GerritUnavailableError as error:
            # Gerrit says of a damaged change what it says of a trouble of its own; but a query leaves that one out, and is answered.
            if error.status != _INTERNAL or self._query([number]):
                raise
            self._leave_out(number, error, reading)
            return
        facts = self.facts([info] if isinstance(info, Mapping) else [])
        reading.found |= facts
        reading.alone |= facts.keys()

    def _leave_out(self, number: int, error: GerritError, reading: Reading) -> None:
        """Give up on a change of which nothing can be had: asked for again and again it would keep the others from being told."""
        log.error("gerrit.change_broken", connection=self._rest.name, change=number, reason=str(error))
        reading.broken[number] = str(error)
