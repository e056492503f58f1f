"""A Gerrit as a source of changes: hints come by stream, webhook or clock, one thread looks where they point, others report and submit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from torii.config.settings import EventsBy, GerritConnection, ProjectSettings
from torii.errors import WebhookBodyError, WebhookSecretError
from torii.git import Mirror, Remote
from torii.git.credentials import credentials_of
from torii.git.mirror import mirror_path
from torii.model.command import Report, Submit
from torii.model.event import ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import ProjectName
from torii.model.pipeline import PipelineSpec
from torii.runtime.ports import Cursor, Post
from torii.sources.gerrit.commits import CommitReader
from torii.sources.gerrit.cursor import Progress, load
from torii.sources.gerrit.errands import Errands
from torii.sources.gerrit.errors import WebhookError
from torii.sources.gerrit.facts import number_of
from torii.sources.gerrit.hints import RESYNC, Hint
from torii.sources.gerrit.identity import Identity, Watch
from torii.sources.gerrit.landed import LandedStates
from torii.sources.gerrit.listener import Listener, Tell
from torii.sources.gerrit.news import News
from torii.sources.gerrit.people import asks_for_files, asks_for_groups, label_names
from torii.sources.gerrit.reporter import Reporter
from torii.sources.gerrit.rest import GerritRest
from torii.sources.gerrit.stream import EventStream
from torii.sources.gerrit.submit import GerritSubmitter
from torii.sources.gerrit.watchdog import Pulse, Watchdog, Watched
from torii.sources.gerrit.webhooks import hints_of_body, is_secret

log = structlog.get_logger()

_STUCK = 10.0
"""How many of its time limits a call of Gerrit may take until nobody believes in it any more: far more than any call ever takes."""


class GerritSource:
    """The source for `projects`, all on `connection`. `mirrors` is where their mirrors are, `compose` makes a report's text.

    `pipelines` say which labels are Torii's own, and what is to be known of a change. The thread that calls never waits. `patience`
    multiplies the pauses between attempts. Raises OperatorError where a secret cannot be read.
    """

    def __init__(
        self,
        connection: GerritConnection,
        projects: Sequence[ProjectSettings],
        mirrors: Path,
        post: Post,
        compose: Callable[[Report], str],
        pipelines: Sequence[PipelineSpec] = (),
        patience: float = 1.0,
    ) -> None:
        self._connection = connection
        self._post = post
        self._stopping = threading.Event()
        self._names = {ProjectName(settings.path or settings.name): settings.name for settings in projects}
        self._rest = GerritRest(connection, patience)
        self._pulse = Pulse()
        self._reading = _PulsingRest(connection, self._pulse, patience)
        self._watch = Watch(
            connection=connection.name,
            url=connection.url,
            names=self._names,
            labels=label_names(pipelines),
            ignore=connection.ignore,
            first_look=connection.first_look,
            files=asks_for_files(pipelines),
            groups=asks_for_groups(pipelines),
        )
        self._identity = Identity(self._watch, self._rest)
        self._listener = Listener(connection.name, self._open_news, connection.catch_up, post, self._pulse, patience)
        self._watchdog = Watchdog(connection.name, [self._watched()])
        self._stream: EventStream | None = None
        if connection.events in (EventsBy.STREAM, EventsBy.BOTH):
            self._stream = EventStream(connection, self._hinted, self._up, patience)
        self._theirs = {ours: name for name, ours in self._names.items()}
        self._reporter = Reporter(self._rest, lambda report: compose(_renamed(report, self._names)), self._stopping, patience)
        states = _states(connection, projects, mirrors, self._rest)
        submitter = GerritSubmitter(self._rest, states, self._identity.rules, self._stopping, patience)
        self._errands = Errands(connection.name, self._reporter, submitter, post, self._tried, self._stopping)

    @property
    def name(self) -> str:
        return self._connection.name

    def start(self, cursor: Cursor | None) -> None:
        """Begin to listen. Raises UnreadableGerritCursorError for a cursor of another making."""
        if cursor is not None:
            load(cursor.state)
        self._listener.start(cursor.state if cursor is not None else None)
        if self._stream is not None:
            self._stream.start()
        self._watchdog.start()

    def wake(self, project: ProjectName | None = None) -> None:
        """Look now at all that happened: Gerrit tells of all projects at once."""
        if project is None or project in self._theirs:
            self._listener.add([RESYNC])

    def take_webhook(self, secret: str, body: bytes) -> None:
        """Take in one request of Gerrit's webhooks plug-in. See `torii.runtime.ports.TakesWebhooks`."""
        listens = self._connection.events in (EventsBy.WEBHOOKS, EventsBy.BOTH)
        if not listens or not is_secret(self._connection, secret):
            raise WebhookSecretError(f"the connection {self.name!r} takes no webhooks with this secret")
        try:
            hint = hints_of_body(body)
        except WebhookError as error:
            raise WebhookBodyError(str(error)) from None
        if hint is not None:
            self._hinted([hint])

    def health(self) -> str:
        """Return `ok`, or in words what is wrong."""
        problems = [*self._troubles(), *([] if (words := self._reporter.health()) == "ok" else [words])]
        problems += [f"{project}: {words}" for project, words in self._listener.project_problems().items()]
        return "; ".join(dict.fromkeys(problems)) or "ok"

    def project_health(self) -> Mapping[ProjectName, str]:
        """Return the state of each project in words: `ok`, or what is wrong with it, or with Gerrit as a whole."""
        problems = self._troubles()
        own = self._listener.project_problems()
        return {project: "; ".join([*problems, *([own[project]] if project in own else [])]) or "ok" for project in self._names.values()}

    def _troubles(self) -> list[str]:
        stream = self._stream.health() if self._stream is not None else "ok"
        return [*self._watchdog.problems(), *self._listener.problems(), *([stream] if stream != "ok" else [])]

    def report(self, reports: Sequence[Report]) -> None:
        gone = f"is not a project of {self.name} any more"
        self._errands.report([_renamed(report, self._theirs) for report in reports if report.subject.project in self._theirs])
        if others := [report for report in reports if report.subject.project not in self._theirs]:
            self._post([ReportDone(report.key, f"{report.subject.project} {gone}", final=True) for report in others])

    def submit(self, submit: Submit) -> None:
        project = submit.change.project
        if project in self._theirs:
            self._errands.submit(replace(submit, change=replace(submit.change, project=self._theirs[project])))
        else:
            self._post([SubmitDone(submit.build_set, SubmitUnavailable(f"{project} is not a project of {self.name} any more"))])

    def stop(self, timeout: float) -> None:
        """Stop. What is under way is dropped: it is asked for again, or found again, after the next start."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        self._listener.close()
        self._rest.stop()
        self._reading.stop()

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        ended = [self._watchdog.stop(left()), self._stream.stop(left()) if self._stream is not None else True]
        ended += [self._listener.stop(left()), self._errands.close(left())]
        if not all(ended):
            log.warning("source.stopped_in_the_middle", source=self.name)

    # -- hints

    def _hinted(self, hints: Iterable[Hint]) -> None:
        self._listener.add(hint for hint in hints if hint.resync or hint.project in self._names)

    def _up(self) -> None:
        self._listener.add([RESYNC])

    def _open_news(self, state: str | None, post: Tell) -> News:
        progress = load(state) if state is not None else Progress()
        return News(self._watch, self._reading, self._identity, post, self._listener.add, progress)

    def _watched(self) -> Watched:
        limit = max(60.0, _STUCK * self._connection.timeout)
        listener = self._listener
        return Watched("the thread that reads changes", listener.alive, self._pulse, limit, listener.revive)

    def _tried(self, submits: Iterable[Submit]) -> None:
        for change in (submit.change for submit in submits):
            self._listener.add([Hint(change.project, change=number_of(change.id)), Hint(change.project, branch=change.branch)])


class _PulsingRest(GerritRest):
    """A REST interface of one thread, whose every answer shows that the thread gets on."""

    def __init__(self, connection: GerritConnection, pulse: Pulse, patience: float) -> None:
        super().__init__(connection, patience)
        self._pulse = pulse

    def get(self, path: str, params: Sequence[tuple[str, str]] = ()) -> Any:
        try:
            return super().get(path, params)
        finally:
            self._pulse.beat()


def _renamed(report: Report, names: Mapping[ProjectName, ProjectName]) -> Report:
    """Return `report` with its project called as in `names`: Gerrit may know it by another name than the gate does."""
    return replace(report, subject=replace(report.subject, project=names[report.subject.project]))


def _states(
    connection: GerritConnection, projects: Sequence[ProjectSettings], mirrors: Path, rest: GerritRest
) -> dict[ProjectName, LandedStates]:
    credentials = credentials_of(connection)
    states = {}
    for settings in projects:
        name = ProjectName(settings.path or settings.name)
        remote = Remote(settings.url, credentials, connection.timeout)
        states[name] = LandedStates(remote, Mirror(mirrors / mirror_path(Path(), settings.name).name), CommitReader(rest, name).read)
    return states
