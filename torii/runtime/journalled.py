"""The gate with its memory on disk: every event is in the journal before anything follows from it. `kill -9` is an ordinary event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from torii.errors import OperatorError
from torii.gate import SNAPSHOT_FORMAT, Gate
from torii.gate.state import State
from torii.model.command import Command
from torii.model.event import Event
from torii.model.ids import ChangeId
from torii.model.view import Decision, Records
from torii.runtime.inbox import Posting
from torii.runtime.ports import Cursor
from torii.store.codec import decode, encode
from torii.store.journal import Recovery

log = structlog.get_logger()

SNAPSHOT_EVERY = 1000
"""Events between snapshots: a restart steps at most so many anew."""


class UnreadableSnapshotError(OperatorError):
    """A snapshot was written by a newer Torii."""


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
        """Step through `postings`, commit, and return the commands that follow. Raises `StoreError` when nothing was committed.

        An event that the gate cannot take (a bug, then) is left out and put on record; the rest goes on without it.
        """
        now = self._clock()
        if self._ahead_of_disk:
            self.reload()
        try:
            return self._commit(postings, now)
        except OperatorError:
            raise
        except Exception:
            log.exception("the gate could not take a batch of events; taking them one by one")
            self.reload()
            return [command for posting in postings for command in self._one_by_one(posting, now)]

    def _one_by_one(self, posting: Posting, now: float) -> list[Command]:
        try:
            return self._commit([posting], now)
        except OperatorError:
            raise
        except Exception as error:
            log.exception("the gate could not take an event; it is left out", events=[type(event).__name__ for event in posting.events])
            self.reload()
            text = f"Torii could not take this in, which is a bug in Torii: {type(error).__name__}: {error}"
            decisions = tuple(Decision(now, change, None, None, text) for change in _changes(posting))
            self._journal.append((), Records(decisions=decisions), [posting.cursor] if posting.cursor else [])
            return []

    def _commit(self, postings: Sequence[Posting], now: float) -> list[Command]:
        self._ahead_of_disk = True
        entries = [(now, event) for posting in postings for event in posting.events]
        commands = [command for at, event in entries for command in self.gate.step(event, at)]
        cursors = {posting.cursor.source: posting.cursor for posting in postings if posting.cursor}
        self._seq = self._journal.append(entries, self.gate.drain(), list(cursors.values()))
        self._since_snapshot += len(entries)
        self._ahead_of_disk = False
        return commands

    def snapshot_if_due(self) -> None:
        """Write a snapshot when enough has happened since the last. The more there is to write, the rarer."""
        if self._since_snapshot >= max(SNAPSHOT_EVERY, 2 * len(self.gate.state.items)):
            self.snapshot()

    def snapshot(self) -> None:
        """Write a snapshot now, so that the next start need not step what came before."""
        if self._since_snapshot:
            self._journal.save_snapshot(self._seq, SNAPSHOT_FORMAT, encode(self.gate.state))
            self._since_snapshot = 0


def _changes(posting: Posting) -> set[ChangeId]:
    changes = [getattr(event, "change", None) for event in posting.events]
    return {getattr(change, "id", change) for change in changes if change is not None}
