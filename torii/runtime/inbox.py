"""Where every thread leaves what happened, and the gate's thread takes it from. Nothing is dropped and nobody waits to post."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from torii.model.event import Event
from torii.runtime.ports import Cursor


@dataclass(frozen=True, slots=True)
class Posting:
    """Events that belong together, and how far their source had read when it posted them: taken in together or not at all."""

    events: tuple[Event, ...]
    cursor: Cursor | None = None


class Inbox:
    """An unbounded queue of postings with one reader. It is itself the `Post` that adapters are given."""

    def __init__(self) -> None:
        self._postings: deque[Posting] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def __call__(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        """Leave `events` for the gate."""
        with self._changed:
            self._postings.append(Posting(tuple(events), cursor))
            self._changed.notify()

    def take(self, limit: int, timeout: float | None) -> list[Posting]:
        """Return postings of up to about `limit` events, oldest first; wait at most `timeout` seconds for the first, then return none."""
        with self._changed:
            self._changed.wait_for(lambda: self._postings or self._closed, timeout)
            taken: list[Posting] = []
            count = 0
            while self._postings and count < limit:
                posting = self._postings.popleft()
                count += len(posting.events)
                taken.append(posting)
            return taken

    def close(self) -> None:
        """Wake the reader for good: `take` no longer waits."""
        with self._changed:
            self._closed = True
            self._changed.notify()
