"""Looks at one Jenkins for as long as somebody wants to know what becomes of builds there."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.rest_journey import Sight, look
from torii.errors import OperatorError

_SLOWEST = 10.0
"""Seconds between looks at a Jenkins that does not answer."""


class Watch:
    """Has `desk` look every `poll` seconds while `wanted`. `seen` and `blind` are told, on the mailbox's thread, which alone calls this."""

    def __init__(
        self,
        desk: Desk,
        box: Mailbox,
        poll: float,
        wanted: Callable[[str], bool],
        seen: Callable[[str, Sight], None],
        blind: Callable[[str, OperatorError], None],
    ) -> None:
        self._desk, self._box, self._poll = desk, box, poll
        self._wanted, self._seen, self._blind = wanted, seen, blind
        self._turn = 0
        self._next: float | None = None
        self._asking = False
        self._again = False
        self._failed = 0

    def hasten(self, within: float | None = None) -> None:
        """Look within so many seconds, at the latest at the next regular time."""
        if self._asking:
            self._again = True
            return
        due = time.monotonic() + (self._poll if within is None else min(within, self._poll))
        if self._next is None or (due < self._next and not self._failed):
            self._plan(due)

    def _plan(self, due: float) -> None:
        self._turn += 1
        self._next = due
        self._box.later(max(0.0, due - time.monotonic()), partial(self._look, self._turn))

    def _look(self, turn: int) -> None:
        if turn != self._turn:
            return  # an earlier time was put in its place
        self._next = None
        if not self._wanted(self._desk.name):
            return
        self._asking, self._again = True, False
        self._desk.ask(
            partial(look, self._desk.controller),
            lambda sight: self._box.post(partial(self._answered, sight)),
            lambda error: self._box.post(partial(self._unanswered, error)),
        )

    def _answered(self, sight: Sight) -> None:
        self._asking, self._failed = False, 0
        again, self._again = self._again, False
        self._plan(time.monotonic() + (self._poll / 8 if again else self._poll))
        self._seen(self._desk.name, sight)

    def _unanswered(self, error: OperatorError) -> None:
        self._asking = False
        self._failed += 1
        self._plan(time.monotonic() + min(_SLOWEST, self._poll * 2 ** min(self._failed, 8)))
        self._blind(self._desk.name, error)
