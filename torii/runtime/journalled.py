"""The gate with its memory on disk: every event is in the journal before anything follows from it. `kill -9` is an ordinary event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import structlog

from torii.errors import OperatorError
from torii.gate import SNAPSHOT_FORMAT, Gate
from torii.gate.state import Item, State
from torii.model.command import Command
from torii.model.event import BranchMoved, Event
from torii.model.ids import ChangeId
from torii.model.view import Decision, Records
from torii.runtime.inbox import Posting
from torii.runtime.ports import Cursor
from torii.store.codec import decode, encode
from torii.store.journal import Recovery

log = structlog.get_logger()

SNAPSHOT_EVERY = 1000
"""Events between snapshots at least."""


class UnreadableSnapshotError(OperatorError):
    """A snapshot was written by a newer Torii."""


def snapshot_after(items: int) -> int:
    """Return how many events a restart may have to step anew: more where there are more `items` to write, so that none costs more."""
    return max(SNAPSHOT_EVERY, items)


class Journal(Protocol):
    """What is asked of the store here."""

    def append(self, entries: Sequence[tuple[float, Event]], records: Records = ..., cursors: Sequence[Cursor] = ...) -> int:
        """Commit all of it in one transaction, or nothing; return the last event's number."""

    def save_snapshot(self, seq: int, format: int, body: str) -> None:  # noqa: A002 - the word for it
        """Keep a snapshot of the state after event `seq`."""

    def load(self) -> Recovery:
        """Return the newest snapshot and the events after it."""


class JournalledGate:
    """Steps the gate and commits what it was told and what it decided. Used from one thread."""

    def __init__(self, journal: Journal, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._clock = clock
        self._since_snapshot = 0
        self._seq = 0
        self._ahead_of_disk = False
        self._unperformed: list[Command] = []  # committed, but not handed out: the store refused what came after
        self.gate = Gate()
        self.reload()

    def reload(self) -> int:
        """Go back to what is on disk; return how many events were stepped anew. Raises `UnreadableSnapshotError`, `StoreError`."""
        self._ahead_of_disk = True
        recovery = self._journal.load()
        self.gate, self._seq, count = Gate(), 0, 0
        if recovery.snapshot is not None:
            seq, number, body = recovery.snapshot
            if number > SNAPSHOT_FORMAT:
                raise UnreadableSnapshotError(
                    f"the state was written by a newer Torii (snapshot format {number}, this one reads up to {SNAPSHOT_FORMAT}); "
                    "install that version, or a newer one"
                )
            self.gate, self._seq = Gate(decode(State, body)), seq
        for seq, at, event in recovery.events:
            self.gate.step(event, at)
            self._seq, count = seq, count + 1
        self.gate.drain()
        self._since_snapshot = count
        self._ahead_of_disk = False
        return count

    def take(self, postings: Sequence[Posting]) -> list[Command]:
        """Step through `postings`, commit, and return the commands that follow.

        Raises `OperatorError` where the store did not take all of it: then the same call is to be repeated. An event that the gate cannot
        take (a bug, then) is left out and put on record; the rest goes on without it.
        """
        now = self._clock()
        if self._ahead_of_disk:
            self.reload()
        try:
            self._unperformed += self._commit(postings, now)
        except OperatorError:
            raise
        except Exception:
            log.exception("the gate could not take a batch of events; taking them one by one")
            self.reload()
            for posting in postings:
                self._unperformed += self._sifted(posting, now)
        commands, self._unperformed = self._unperformed, []
        return commands

    def _sifted(self, posting: Posting, now: float) -> list[Command]:
        """Commit `posting` without the events that the gate cannot take."""
        fit: list[Event] = []
        faults: list[Decision] = []
        for event in posting.events:
            try:
                self._ahead_of_disk = True
                self.gate.step(event, now)
                fit.append(event)
            except Exception as error:
                log.exception("the gate could not take an event; it is left out", kind=type(event).__name__)
                self.reload()
                faults += [self._fault(event, error, now)]
                for earlier in fit:
                    self.gate.step(earlier, now)
        self.reload()
        return self._commit([Posting(tuple(fit), posting.cursor)], now, tuple(faults))

    def _fault(self, event: Event, error: Exception, now: float) -> Decision:
        text = f"Torii could not take in {type(event).__name__}, which is a bug in Torii: {type(error).__name__}: {error}"
        change, item = _concerned(self.gate.state, event)
        return Decision(now, change, item.pipeline if item else None, item.id if item else None, text)

    def _commit(self, postings: Sequence[Posting], now: float, faults: tuple[Decision, ...] = ()) -> list[Command]:
        self._ahead_of_disk = True
        entries = [(now, event) for posting in postings for event in posting.events]
        commands = [command for at, event in entries for command in self.gate.step(event, at)]
        cursors = {posting.cursor.source: posting.cursor for posting in postings if posting.cursor}
        records = self.gate.drain()
        records = replace(records, decisions=(*records.decisions, *faults)) if faults else records
        self._seq = self._journal.append(entries, records, list(cursors.values()))
        self._since_snapshot += len(entries)
        self._ahead_of_disk = False
        return commands

    def snapshot_if_due(self) -> None:
        """Write a snapshot when enough has happened since the last."""
        if self._since_snapshot >= snapshot_after(len(self.gate.state.items)):
            self.snapshot()

    def snapshot(self) -> None:
        """Write a snapshot now, so that the next start need not step what came before."""
        if self._since_snapshot and not self._ahead_of_disk:
            self._journal.save_snapshot(self._seq, SNAPSHOT_FORMAT, encode(self.gate.state))
            self._since_snapshot = 0


def _concerned(state: State, event: Event) -> tuple[ChangeId, Item | None]:
    """Return the change that `event` is about, and its item where it is about one."""
    change = getattr(event, "change", None)
    if change is not None:
        return getattr(change, "id", change), None
    if isinstance(event, BranchMoved):
        return ChangeId(f"{event.project}@{event.branch}"), None
    wanted, build = getattr(event, "build_set", None), getattr(event, "build", None)
    for item in state.items.values():
        for build_set in item.build_sets:
            if build_set.id == wanted or any(one.id == build for one in build_set.builds):
                return item.subject.id, item
    return ChangeId(""), None
