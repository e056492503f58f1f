"""How things stand at one moment: what the demo shows and waits for, read from the store as any page would."""

from __future__ import annotations

import time
from dataclasses import dataclass

from torii.cli.stays import Stay, active_stays, past_stays
from torii.model.view import Decision
from torii.store.reader import StoreReader

DECISIONS = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`active` are the stays in queues, by pipeline, queue and place; `past` those that ended, the newest first.

    `decisions` are the newest, in the order in which they were made. `at` is seconds since the epoch.
    """

    at: float
    active: tuple[Stay, ...] = ()
    past: tuple[Stay, ...] = ()
    decisions: tuple[Decision, ...] = ()

    def stay(self, change: str, pipeline: str) -> Stay | None:
        """Return the newest stay of `change` in `pipeline`, or None."""
        mine = [stay for stay in (*self.active, *self.past) if (stay.item.change, stay.item.pipeline) == (change, pipeline)]
        return max(mine, key=lambda stay: stay.item.enqueued_at, default=None)

    def ended(self, change: str, pipeline: str) -> bool:
        """Return whether `change` has been in `pipeline` and has left it."""
        stay = self.stay(change, pipeline)
        return stay is not None and stay.item.left_at is not None


def read_snapshot(store: StoreReader) -> Snapshot:
    """Return how things stand now. Raises StoreError."""
    ended = [item for item in store.items() if item.left_at is not None]
    return Snapshot(time.time(), active_stays(store), past_stays(store, ended), store.decisions_of(limit=DECISIONS))
