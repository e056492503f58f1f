"""What the Gearman client calls when something is heard of a job: each passes it to the dispatcher's thread and returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from torii.dispatch import wire
from torii.dispatch.flight import Flight
from torii.gearman import JobHandle, Listener
from torii.model.ids import BuildId

Act = Callable[[Flight], None]


class Hearer(Protocol):
    """The dispatcher, as its listeners see it."""

    def heard(self, build: BuildId, attempt: int, act: Act, otherwise: Callable[[], None] | None = None) -> None: ...
    def created(self, flight: Flight, handle: JobHandle) -> None: ...
    def data(self, flight: Flight, data: bytes) -> None: ...
    def complete(self, flight: Flight, data: bytes) -> None: ...
    def broke(self, flight: Flight, detail: str) -> None: ...
    def lost(self, flight: Flight) -> None: ...
    def withdraw(self, flight: Flight) -> None: ...
    def late(self, build: BuildId, running: wire.Running | None, over: bool) -> None: ...


class BuildListener(Listener):
    """Hears of one submit of one build."""

    def __init__(self, hearer: Hearer, build: BuildId, attempt: int) -> None:
        self._hearer, self._build, self._attempt = hearer, build, attempt

    def created(self, handle: JobHandle) -> None:
        self._hear(lambda flight: self._hearer.created(flight, handle))

    def data(self, data: bytes) -> None:
        late = partial(self._hearer.late, self._build, wire.running(data), False)
        self._hear(lambda flight: self._hearer.data(flight, data), late)

    def complete(self, data: bytes) -> None:
        self._hear(lambda flight: self._hearer.complete(flight, data))

    def fail(self) -> None:
        self._broke("")

    def exception(self, data: bytes) -> None:
        self._broke(wire.detail(data))

    def lost(self) -> None:
        self._hear(self._hearer.lost)

    def _broke(self, detail: str) -> None:
        late = partial(self._hearer.late, self._build, None, True)
        self._hear(lambda flight: self._hearer.broke(flight, detail), late)

    def _hear(self, act: Act, otherwise: Callable[[], None] | None = None) -> None:
        self._hearer.heard(self._build, self._attempt, act, otherwise)


class StopListener(Listener):
    """Hears of a request to stop. Its answer says only that it was heard; the build's own end tells the rest.

    The handle is in `open_` for as long as the request waits to be answered.
    """

    def __init__(self, open_: list[JobHandle]) -> None:
        self._open = open_
        self._handle: JobHandle | None = None

    def created(self, handle: JobHandle) -> None:
        self._handle = handle
        self._open.append(handle)

    def complete(self, data: bytes) -> None:  # noqa: ARG002
        self._over()

    def fail(self) -> None:
        self._over()

    def exception(self, data: bytes) -> None:  # noqa: ARG002
        self._over()

    def lost(self) -> None:
        self._over()

    def _over(self) -> None:
        if self._handle in self._open:
            self._open.remove(self._handle)
