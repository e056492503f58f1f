"""What the runtime asks of the adapters around the gate. The docstrings are the contract; one contract suite holds every backend to it.

No method here raises for what the outside does: what happens comes back as an event, through the `Post` that the adapter was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torii.model.build import BuildRequest, FileComment, Result, TestSummary
from torii.model.command import DropStaging, Merge, Report, Submit
from torii.model.event import Event
from torii.model.ids import BuildId, ProjectName


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a source has read, to be kept in the same transaction as the events read so far. `state` is JSON text, its own affair."""

    source: str
    state: str


class Post(Protocol):
    """Hands events to the gate. May be called from any thread; returns at once. `cursor` is committed with `events`, or neither is."""

    def __call__(self, events: Sequence[Event], cursor: Cursor | None = None) -> None: ...


class Source(Protocol):
    """One connection to a place where changes live (a git server, a Gerrit)."""

    @property
    def name(self) -> str:
        """The connection's name in `server.yml`."""

    def start(self, cursor: Cursor | None) -> None:
        """Begin to listen, from `cursor` on: whatever happened since it was taken is found, each thing once."""

    def wake(self, project: ProjectName | None = None) -> None:
        """Look now, at `project` or at all: somebody says that something happened."""

    def report(self, reports: Sequence[Report]) -> None:
        """Deliver `reports`. Each is answered by one `ReportDone`; delivered once per key, however often asked.

        One that could not be delivered is asked for again later, unless its answer is final.
        """

    def submit(self, submit: Submit) -> None:
        """Re-read the change and its branch, then merge exactly the tested commit or nothing. Answered by one `SubmitDone`."""

    def stop(self, timeout: float) -> None:
        """Stop listening and finish or drop what is under way, within `timeout` seconds."""


@runtime_checkable
class TakesWebhooks(Protocol):
    """A source that can be told over HTTP what happened."""

    def take_webhook(self, secret: str, body: bytes) -> None:
        """Take in one request, and return at once: what follows comes as events. From any thread, and as often as the outside likes.

        Raises `torii.errors.WebhookSecretError` unless `secret` is the right one, before it looks at `body`; `WebhookBodyError` where
        that is no event.
        """


@runtime_checkable
class TellsHealth(Protocol):
    """A source that can say how it is."""

    def health(self) -> str:
        """Return `ok`, or in words what is wrong and since when. From any thread; returns at once."""


@dataclass(frozen=True, slots=True)
class Health:
    """How Torii is. `problem` is why it cannot work at present, empty while it can; `sources` what each connection says, by name."""

    problem: str = ""
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def degraded(self) -> tuple[tuple[str, str], ...]:
        """The sources that are not well."""
        return tuple((name, words) for name, words in self.sources if words != "ok")


class Merger(Protocol):
    """Makes speculative merges."""

    def merge(self, merge: Merge) -> None:
        """Answered by one `MergeDone` a stage, in order."""

    def drop(self, drop: DropStaging) -> None:
        """Delete staging refs, some time soon."""

    def collect(self, keep: frozenset[str]) -> None:
        """Delete this instance's staging refs that belong to no build set of `keep`: a crash's leftovers."""

    def stop(self, timeout: float) -> None: ...


class Dispatcher(Protocol):
    """Starts builds and tells what became of them.

    A build that was started is answered by `BuildStarted`, if it begins at all, and by exactly one `BuildDone`, whatever breaks in
    between; a build that broke with the infrastructure is answered with `Result.LOST`. A second `BuildStarted` with another number says
    that whoever ran it was lost and somebody else, a Jenkins that came back say, has begun it anew.
    """

    def start(self, request: BuildRequest) -> None:
        """Start the build, or adopt it where one with its id runs already or has ended. Idempotent per id."""

    def stop_build(self, build: BuildId, reason: str) -> None:
        """Ask for the end of `build`; its answer still comes. One that is over is let be; one that is unknown may run on some worker."""

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        """After a start: find out what became of each of `expected`, and answer for it; start those nobody has heard of."""

    def stop(self, timeout: float) -> None:
        """Let go of everything within `timeout` seconds. Builds on workers of their own go on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an ended build left behind. `duration` is in seconds; `artifacts` are paths relative to the build's own."""

    result: Result
    duration: float | None = None
    detail: str = ""
    tests: TestSummary | None = None
    artifacts: tuple[str, ...] = ()
    url: str | None = None
    comments: tuple[FileComment, ...] = ()


class Results(Protocol):
    """Where the outcome, the console log and the artifacts of builds are found."""

    def outcome(self, build: BuildId) -> Outcome | None:
        """Return how `build` ended, or None while it has not (or nobody knows)."""

    def url(self, build: BuildId) -> str:
        """Return the address of the build's page, which shows its log while it runs and after."""
