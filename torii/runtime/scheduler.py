"""The thread that owns the gate: takes what happened, journals it, and hands out what follows. Everyone else posts to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from torii.errors import OperatorError
from torii.model.command import Command, StartBuild
from torii.model.event import Configured, Tick
from torii.model.pipeline import GateConfig
from torii.runtime.inbox import Inbox, Posting
from torii.runtime.journalled import Journal, JournalledGate
from torii.runtime.performer import Performer
from torii.runtime.ports import Dispatcher, Merger
from torii.store.lease import Lease

log = structlog.get_logger()

BATCH = 500
"""Events a transaction at most."""
_LONGEST_PAUSE = 30.0
"""Seconds between two looks at the clock at most: it may have been set."""
_PATIENCE = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the scheduler commands."""

    performer: Performer
    merger: Merger
    dispatcher: Dispatcher


class Scheduler:
    """Drives the gate. Needs the lease: nobody else schedules on this store meanwhile.

    `problem` is what keeps it from working at present, in words for an operator; empty when all is well.
    """

    def __init__(self, lease: Lease, journal: Journal, config: GateConfig, inbox: Inbox, clock: Callable[[], float] = time.time) -> None:
        self._lease = lease
        self._config = config
        self._inbox = inbox
        self._clock = clock
        self._journalled = JournalledGate(journal, clock)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._surroundings: Surroundings | None = None
        self.problem = ""

    def start(self, surroundings: Surroundings) -> None:
        """Take up what was left, then run until stopped. Raises `StoreError` when the store cannot be written."""
        assert self._lease.held, "a scheduler needs the lease of its store"
        self._surroundings = surroundings
        commands = self._journalled.take([Posting((Configured(self._config),))])
        gate = self._journalled.gate
        if gate.state.config != self._config:
            raise RuntimeError("the gate could not take this configuration in; the log says why")
        unanswered = gate.outstanding()
        builds = [command.request for command in unanswered if isinstance(command, StartBuild)]
        log.info("taking up", items=len(gate.state.items), unanswered=len(unanswered), builds=len(builds))
        surroundings.merger.collect(frozenset(gate.build_sets()))
        surroundings.performer.perform(commands)
        surroundings.performer.perform(command for command in unanswered if not isinstance(command, StartBuild))
        started_now = {command.request.id for command in commands if isinstance(command, StartBuild)}
        surroundings.dispatcher.reconcile([request for request in builds if request.id not in started_now])
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Finish the batch at work and write a snapshot. What happens from now on is found at the next start."""
        self._stopping.set()
        self._inbox.close()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if not self._thread.is_alive():
            try:
                self._journalled.snapshot()
            except OperatorError as error:
                log.warning("no snapshot written; the next start steps the journal instead", reason=str(error))

    def _run(self) -> None:
        while not self._stopping.is_set():
            postings = self._inbox.take(BATCH, self._pause())
            if not postings and self._due():
                postings = [Posting((Tick(),))]
            if postings:
                self._perform(self._take(postings))
                self._snapshot_if_due()

    def _due(self) -> bool:
        """Whether a timer is due, or the clock has jumped back and the gate must hear of it before any timer can be."""
        gate, now = self._journalled.gate, self._clock()
        due = gate.next_due()
        return due is not None and (due <= now or now < gate.state.now)

    def _pause(self) -> float:
        if self._due():
            return 0.0
        due = self._journalled.gate.next_due()
        return _LONGEST_PAUSE if due is None else min(_LONGEST_PAUSE, max(0.0, due - self._clock()))

    def _take(self, postings: Sequence[Posting]) -> list[Command]:
        """Take `postings` in, however long the store refuses: nothing that happened is dropped, and nothing follows unrecorded."""
        attempt = 0
        while True:
            try:
                commands = self._journalled.take(postings)
            except OperatorError as error:
                self.problem = f"nothing can be recorded, so nothing is done: {error}"
                log.error("the store refuses", reason=str(error), waiting=len(postings))
                if self._stopping.wait(_PATIENCE[min(attempt, len(_PATIENCE) - 1)]):
                    return []
                attempt += 1
            else:
                self.problem = ""
                return commands

    def _snapshot_if_due(self) -> None:
        try:
            self._journalled.snapshot_if_due()
        except OperatorError as error:
            log.warning("no snapshot written; a start now would step the journal instead", reason=str(error))

    def _perform(self, commands: Sequence[Command]) -> None:
        assert self._surroundings is not None
        self._surroundings.performer.perform(commands)
