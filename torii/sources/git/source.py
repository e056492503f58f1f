"""A plain git server as a source of changes: it is polled, told of results by notes, and merged into by pushes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import structlog

from torii.config.cache import ConfigCache
from torii.config.settings import GitConnection, ProjectSettings
from torii.git import RefMissingError, RemoteUnavailableError
from torii.model.command import Report, Submit
from torii.model.event import ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import ProjectName, Sha
from torii.runtime.ports import Cursor, Post
from torii.sources.git.derive import Landing, Look, Plan, advance, plan, resolve_all
from torii.sources.git.known import KnownProject, dump, load
from torii.sources.git.landings import LandingBook
from torii.sources.git.notes import NoteWriter
from torii.sources.git.poller import Poller
from torii.sources.git.reading import find, needed, read
from torii.sources.git.refs import GATE, REVIEW, Ignored, parse_ls_remote, sort_refs
from torii.sources.git.repository import Repository, open_repository
from torii.sources.git.run import RunSubmitter, runs
from torii.sources.git.submit import Submitter
from torii.sources.lanes import Lanes

log = structlog.get_logger()

_FETCHES = 5
"""How often a look fetches again because the remote moved meanwhile, before the next look goes on."""

_SHOWN = 5


class GitSource:
    """The source for `projects`, all on `connection`. `mirrors` is where their mirrors are, `compose` makes a report's text.

    The thread that calls never waits: looks, reports and submits have threads of their own, each project its own. `patience` multiplies
    the pauses between the attempts at a report or a submit.
    """

    def __init__(
        self,
        connection: GitConnection,
        projects: Sequence[ProjectSettings],
        mirrors: Path,
        post: Post,
        compose: Callable[[Report], str],
        patience: float = 1.0,
    ) -> None:
        self._name = connection.name
        self._post = post
        self._stopping = threading.Event()
        self._repositories = {settings.name: open_repository(connection, settings, mirrors) for settings in projects}
        self._configs = ConfigCache()
        self._landings = LandingBook(mirrors / ".landings")
        self._lock = threading.Lock()
        self._known: dict[ProjectName, KnownProject] = {}
        self._seen: dict[ProjectName, bytes] = {}
        self._ignored: dict[ProjectName, tuple[Ignored, ...]] = {}
        self._told: set[tuple[ProjectName, Ignored]] = set()
        self._writers = {name: NoteWriter(each, compose, self._stopping, patience) for name, each in self._repositories.items()}
        self._submitters = {name: self._submitter(name, each, patience) for name, each in self._repositories.items()}
        self._reports: Lanes[ProjectName, Report] = Lanes(f"report-{self._name}", self._deliver)
        self._submits: Lanes[ProjectName, Submit] = Lanes(f"submit-{self._name}", self._carry_out)
        self._poller = Poller(self._name, self._repositories, self._look, connection.poll)

    @property
    def name(self) -> str:
        return self._name

    def start(self, cursor: Cursor | None) -> None:
        """Begin to poll. Raises UnreadableCursorError for a cursor of another making."""
        self._known = resolve_all(load(cursor.state)) if cursor is not None else {}
        self._poller.start()

    def wake(self, project: ProjectName | None = None) -> None:
        self._poller.wake(project)

    def health(self) -> str:
        """Return `ok`, or in words what is wrong with which project."""
        return "; ".join(f"{project}: {words}" for project, words in self._poller.problems().items()) or "ok"

    def project_health(self) -> Mapping[ProjectName, str]:
        """Return the state of each project in words: `ok`, or what is wrong with it or left alone in it."""
        return self._poller.health()

    def report(self, reports: Sequence[Report]) -> None:
        by_project: dict[ProjectName, list[Report]] = {}
        for report in reports:
            by_project.setdefault(report.subject.project, []).append(report)
        for project, mine in by_project.items():
            if project in self._repositories:
                self._reports.add(project, mine)
            else:
                self._post([ReportDone(each.key, f"{project} is not a project of {self._name} any more", final=True) for each in mine])

    def submit(self, submit: Submit) -> None:
        project = submit.change.project
        if project in self._repositories:
            self._submits.add(project, [submit])
        else:
            reason = f"{project} is not a project of {self._name} any more"
            self._post([SubmitDone(submit.build_set, SubmitUnavailable(reason))])

    def stop(self, timeout: float) -> None:
        """Stop. Git commands that do not end in time are left to `torii.git.kill_running`, which ends those of the whole process."""
        deadline = time.monotonic() + timeout
        self._stopping.set()
        ended = [
            self._poller.stop(max(0.0, deadline - time.monotonic())),
            self._submits.close(max(0.0, deadline - time.monotonic())),
            self._reports.close(max(0.0, deadline - time.monotonic())),
        ]
        if not all(ended):
            log.warning("source.stopped_in_the_middle", source=self._name)

    def _submitter(self, name: ProjectName, repository: Repository, patience: float) -> RunSubmitter:
        def record(change: str, landing: Landing) -> None:
            self._landings.record(name, change, landing)

        return RunSubmitter(repository, Submitter(repository, record, self._stopping, patience), record)

    def _look(self, project: ProjectName) -> str:
        """Find out what happened to `project` since the last look and post it; return what to say of its state."""
        repository = self._repositories[project]
        output = repository.remote.heads()
        if self._seen.get(project) != output:
            self._read(repository, output)
            self._seen[project] = output
        return _describe(self._ignored.get(project, ()))

    def _read(self, repository: Repository, output: bytes) -> None:
        project = repository.project
        refs = parse_ls_remote(output)
        for _ in range(_FETCHES):
            layout = sort_refs(refs)
            landings = self._landings.of(project)
            with self._lock:
                known = self._known.get(project)
            wanted = plan(known, layout, landings)
            here = find(repository.mirror, needed(wanted))
            missing = [ref for ref, sha in wanted.refs.items() if sha not in here]
            if not missing:
                break
            moved = self._fetch(repository, wanted, missing)
            refs = {ref: sha for ref, sha in {**refs, **moved}.items() if sha is not None}
        else:
            raise RemoteUnavailableError(f"{repository.remote.shown} moves faster than it can be fetched")
        reading = read(repository.mirror, project, wanted, here, self._configs)
        self._ignored[project] = layout.ignored
        self._tell(project)
        with self._lock:
            before = self._known
            self._known, events = advance(before, Look(self._name, project, layout, reading, landings))
            if events or self._known[project] != before.get(project):
                self._post(events, Cursor(self._name, dump(self._known)))
        for event in events:
            log.info("source.event", source=self._name, key=event.key)

    def _fetch(self, repository: Repository, wanted: Plan, missing: Sequence[str]) -> dict[str, Sha | None]:
        """Bring the commits of the refs `missing` into the mirror; return those that were elsewhere by the time they were fetched."""
        # Branches live long: the mirror remembers them, so that later fetches transfer only what is new.
        track = [ref for ref in missing if not ref.startswith((REVIEW, GATE))]
        try:
            found = repository.remote.fetch(repository.mirror, [ref for ref in missing if ref not in track], track=track)
        except RefMissingError as error:
            return dict.fromkeys(error.refs, None)
        return {ref: sha for ref, sha in found.items() if wanted.refs[ref] != sha}

    def _tell(self, project: ProjectName) -> None:
        for each in self._ignored[project]:
            if (project, each) not in self._told:
                self._told.add((project, each))
                log.warning("source.ref_ignored", source=self._name, project=project, ref=each.ref, reason=each.reason)

    def _deliver(self, project: ProjectName, reports: Sequence[Report]) -> None:
        try:
            answers = self._writers[project].deliver(reports)
        except Exception as error:
            log.exception("source.report_failed", source=self._name, project=project)
            answers = [ReportDone(report.key, f"{type(error).__name__}: {error}") for report in reports]
        # What a stop cut short is asked for again after the next start.
        done = [answer for answer in answers if not (answer.error and self._stopping.is_set())]
        if done:
            self._post(done)
        for answer in done:
            if answer.error:
                log.warning("source.report_undelivered", source=self._name, project=project, key=answer.key, reason=answer.error)

    def _carry_out(self, project: ProjectName, submits: Sequence[Submit]) -> None:
        for run in runs(submits):
            if self._stopping.is_set():
                return
            try:
                outcomes = self._submitters[project].submit(run)
            except Exception as error:
                log.exception("source.submit_failed", source=self._name, changes=[submit.change.id for submit in run])
                outcomes = [SubmitUnavailable(f"{type(error).__name__}: {error}")] * len(run)
            answers = [SubmitDone(submit.build_set, outcome) for submit, outcome in zip(run, outcomes, strict=True)]
            for submit, outcome in zip(run, outcomes, strict=True):
                log.info("source.submitted", source=self._name, change=submit.change.id, outcome=type(outcome).__name__)
            # What a stop cut short is asked for again after the next start.
            if done := [answer for answer in answers if not (isinstance(answer.outcome, SubmitUnavailable) and self._stopping.is_set())]:
                self._post(done)
            self._poller.wake(project)


def _describe(ignored: Sequence[Ignored]) -> str:
    if not ignored:
        return "ok"
    shown = "; ".join(f"{each.ref}: {each.reason}" for each in ignored[:_SHOWN])
    return f"ok, but left alone: {shown}" + (f"; and {len(ignored) - _SHOWN} more" if len(ignored) > _SHOWN else "")
