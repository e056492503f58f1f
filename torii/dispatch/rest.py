"""Builds over Jenkins' REST API alone, for a Jenkins without the Gearman plug-in. One thread owns what is known of each build.

A build is asked for by one POST, known again by its TORII_UUID, and followed by looking: at all that runs and waits in a Jenkins at once,
every few seconds. Where the answer to the POST got lost, Jenkins is asked for the build before it is asked for again. A build goes to one
of its project's controllers, chosen by its id: whoever asks again asks the same one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import structlog

from torii.dispatch.away import reason_of
from torii.dispatch.definitions import Library
from torii.dispatch.description import description
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.jenkins_jobs import JenkinsJobs, Place
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.pace import Pace
from torii.dispatch.rest_journey import Journey, Sight, Stage, held_up
from torii.dispatch.rest_questions import cancel, end, job_names, parameters
from torii.dispatch.rest_roster import Roster
from torii.dispatch.rest_watch import Watch
from torii.errors import OperatorError
from torii.jenkins import Build, JenkinsInvalidError, JenkinsMissingError, JenkinsUnavailableError, Queued
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildDone, BuildStarted
from torii.model.ids import BuildId, ProjectName
from torii.results.run import Run, Waiting
from torii.runtime.ports import Outcome, Post, Results

log = structlog.get_logger()

_STOPS = 5
_STOP_PAUSE = 5.0
_SOON = 0.25
"""Seconds after which a build that was just asked for is looked for; one of an idle Jenkins has begun by then."""
_ODD = 5
"""So many times a job is put right and refused again before its build is given up."""
_SLOWEST = 10
_STANDING = (Stage.QUEUED, Stage.RUNNING)


class RestDispatcher:
    """`torii.runtime.ports.Dispatcher` on the Jenkins controllers of `farm`, which must have some for every project that is asked for.

    `staging` has the URL, without credentials, from which builds of a project fetch.
    """

    def __init__(
        self,
        farm: JenkinsFarm,
        post: Post,
        library: Library,
        results: Results,
        staging: Mapping[ProjectName, str],
        pace: Pace | None = None,
    ) -> None:
        self._farm, self._library, self._results, self._staging = farm, library, results, staging
        self._pace = pace or Pace()
        self._box = Mailbox("dispatch-rest")
        self._desks = {name: Desk(controller) for name, controller in farm.controllers.items()}
        self._roster = Roster(self._box, self._desks, post, results, self._over)
        self._jobs = JenkinsJobs(self._desks, library, farm.instance, self, self._pace)
        self._watches = {
            name: Watch(desk, self._box, desk.controller.settings.poll, self._is_wanted, self._seen, self._blind)
            for name, desk in self._desks.items()
        }
        self._unseen: dict[BuildId, set[str]] = {}
        self._box.start()
        for desk in self._desks.values():
            desk.start()
        self._jobs.start()

    # The port. Each call is carried out on the mailbox's thread.

    def start(self, request: BuildRequest) -> None:
        self._box.post(partial(self._start, request))

    def stop_build(self, build: BuildId, reason: str) -> None:
        self._box.post(partial(self._stop_build, build, reason))

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        for request in expected:
            self._box.post(partial(self._find_again, request))

    def stop(self, timeout: float) -> None:
        share = timeout / (len(self._desks) + 2)
        self._box.stop(share)
        self._jobs.stop(share)
        for desk in self._desks.values():
            desk.stop(share)

    # What `JenkinsJobs` tells, on its thread.

    def brought(self, build: BuildId, place: Place) -> None:
        self._on(build, lambda journey: self._ask(journey, place))

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        self._on(build, lambda journey: self._roster.finish(journey, Result.NOT_BUILT if users_fault else Result.LOST, reason))

    def stalled(self, build: BuildId, reason: str) -> None:
        self._on(build, lambda journey: self._roster.trouble(journey, reason))

    def jobs_changed(self) -> None:
        """Somebody else, such as a sync, has written jobs in a Jenkins: what is known of them is looked up again. From any thread."""
        self._jobs.forget()

    # Everything below is on the mailbox's thread. First: how a build begins.

    def _start(self, request: BuildRequest) -> None:
        journey = self._roster.begin(request, self._choose(request))
        if journey is not None:
            self._prepare(journey)

    def _choose(self, request: BuildRequest) -> str:
        """Return the controller that is to run `request`: always the same one."""
        names = sorted(self._farm.projects[request.project])
        return names[zlib.crc32(request.id.encode()) % len(names)]

    def _over(self, journey: Journey) -> None:
        """It was answered for."""
        self._unseen.pop(journey.id, None)
        self._jobs.release(journey.id)
        self._farm.gatherer.drop(journey.id)

    def _prepare(self, journey: Journey) -> None:
        journey.enter(Stage.PREPARING)
        place = self._jobs.lookup(journey.request)
        if place is not None and self._jobs.has(journey.controller, place):
            self._ask(journey, place)
        else:
            self._jobs.ensure(journey.request, (journey.controller,))

    def _ask(self, journey: Journey, place: Place) -> None:
        """Ask for the build: once, since who knows what becomes of a POST whose answer gets lost."""
        request = journey.request
        journey.place = place
        try:
            given = parameters(request, self._staging.get(request.project, ""), self._results.url(request.id))
        except ValueError as error:
            self._roster.finish(journey, Result.NOT_BUILT, str(error))
            return
        journey.enter(Stage.ASKING)
        controller = self._farm.controllers[journey.controller]
        self._roster.put(journey, partial(controller.start, place.name, given), self._waits, self._not_taken)

    def _waits(self, journey: Journey, item: int) -> None:
        self._roster.trouble(journey, "")
        journey.refused = 0
        journey.item = item
        journey.enter(Stage.QUEUED)
        if journey.stop_reason is not None:
            self._end_it(journey)
        else:
            self._watches[journey.controller].hasten(_SOON)

    def _not_taken(self, journey: Journey, error: OperatorError) -> None:
        if journey.stop_reason is not None and not isinstance(error, JenkinsUnavailableError):
            self._roster.finish(journey, Result.CANCELED, "")
        elif isinstance(error, JenkinsUnavailableError):
            self._roster.trouble(journey, reason_of(error))
            self._search(journey, [journey.controller])  # it may have been taken all the same
        elif isinstance(error, JenkinsMissingError | JenkinsInvalidError):
            self._put_right(journey, error)
        else:
            self._roster.trouble(journey, reason_of(error))
            journey.refused += 1
            self._roster.later(journey, self._pace.retry * min(_SLOWEST, 2 ** min(journey.refused, 10)), self._prepare)

    def _put_right(self, journey: Journey, error: OperatorError) -> None:
        """The job is not there, or disabled, or takes no such parameters: somebody altered it by hand."""
        assert journey.place is not None
        journey.odd += 1
        if journey.odd > _ODD:
            self._roster.finish(journey, Result.LOST, f"the Jenkins {journey.controller} does not take the build: {error}")
            return
        log.info("dispatch.job_odd", jenkins=journey.controller, job=journey.place.name, reason=str(error))
        self._jobs.suspect(journey.place)
        self._jobs.release(journey.id)
        self._roster.later(journey, 0.0 if journey.odd == 1 else self._pace.retry, self._prepare)

    # How a build is found again.

    def _find_again(self, request: BuildRequest) -> None:
        """Take up a build that another life of this process asked for, or meant to: first by a look, which is one for many."""
        journey = self._roster.begin(request, self._choose(request))
        if journey is None:
            return
        journey.enter(Stage.SEARCHING)
        self._unseen[journey.id] = set(self._farm.projects[request.project])
        for name in self._unseen[journey.id]:
            self._watches[name].hasten(0.0)

    def _search(self, journey: Journey, controllers: Sequence[str]) -> None:
        """Ask for the build by its id, under each name that its job may have."""
        journey.enter(Stage.SEARCHING)
        if journey.place is not None:
            self._search_under([journey.place.name], controllers, journey)
            return
        names = partial(job_names, self._library, journey.request)
        searching = partial(self._search_under, controllers=controllers)
        self._roster.put(journey, names, lambda known, found: searching(found, journey=known), lambda known, _: self._prepare(known))

    def _search_under(self, names: Sequence[str], controllers: Sequence[str], journey: Journey) -> None:
        turn = journey.turn

        def told(found: Run | Waiting | None, over: bool) -> None:
            self._box.post(partial(self._found, journey, turn, found, over, tuple(names[1:]), tuple(controllers)))

        troubled = partial(self._roster.say, journey, turn)
        self._farm.gatherer.find(journey.id, names[0], controllers, told, troubled)

    def _found(
        self, journey: Journey, turn: int, found: Run | Waiting | None, over: bool, left: Sequence[str], controllers: Sequence[str]
    ) -> None:
        if not self._roster.holds(journey, turn):
            return
        self._roster.trouble(journey, "")
        match found:
            case Run():
                journey.controller = found.controller
                self._runs(journey, found)
                if over and self._roster.holds(journey, journey.turn):
                    self._harvest(journey)
            case Waiting():
                journey.controller = found.controller
                self._waits(journey, found.item.id)
            case None if left:
                self._search_under(left, controllers, journey)
            case None if journey.stop_reason is not None:
                self._roster.finish(journey, Result.CANCELED, "")
            case None:
                self._prepare(journey)

    # What is seen of a build in its Jenkins.

    def _is_wanted(self, name: str) -> bool:
        """Whether there are builds of which a look at the Jenkins `name` would tell."""
        return any(
            (journey.controller == name and journey.stage in _STANDING) or name in self._unseen.get(journey.id, ())
            for journey in self._roster.journeys.values()
        )

    def _seen(self, name: str, sight: Sight) -> None:
        for journey in list(self._roster.journeys.values()):
            if journey.since > sight.at:
                continue  # what is known of it is newer
            build, item = sight.running.get(journey.id), sight.queue.get(journey.id)
            if name in self._unseen.get(journey.id, ()):
                self._seen_at_first(journey, name, build, item)
            elif journey.controller != name:
                continue
            elif journey.stage is Stage.QUEUED:
                self._seen_waiting(journey, build, item, sight.deserted)
            elif journey.stage is Stage.RUNNING:
                self._roster.trouble(journey, "")
                if build is None:
                    self._harvest(journey)
                elif not journey.announced:
                    self._announce(journey, _run(journey, build))

    def _seen_at_first(self, journey: Journey, name: str, build: Build | None, item: Queued | None) -> None:
        unseen = self._unseen[journey.id]
        unseen.discard(name)
        if build is not None or item is not None or not unseen:
            del self._unseen[journey.id]
        if build is not None:
            journey.controller = name
            self._runs(journey, _run(journey, build))
        elif item is not None:
            journey.controller = name
            self._waits(journey, item.id)
        elif not unseen:
            self._search(journey, sorted(self._farm.projects[journey.request.project]))

    def _seen_waiting(self, journey: Journey, build: Build | None, item: Queued | None, deserted: bool) -> None:
        if build is not None:
            self._runs(journey, _run(journey, build))
        elif item is not None:
            self._roster.trouble(journey, held_up(item, journey.controller, deserted))
        else:
            controller = self._farm.controllers[journey.controller]
            self._roster.put(journey, partial(controller.queued, journey.item), self._left, self._unclear)

    def _left(self, journey: Journey, item: Queued | None) -> None:
        """It neither waits nor runs: it has begun, and ended perhaps, between two looks; or somebody took it out of the queue."""
        if item is None:
            self._search(journey, [journey.controller])
        elif item.cancelled:
            self._roster.finish(journey, Result.LOST, "" if journey.stop_reason is not None else "it was taken out of Jenkins' queue")
        elif item.number is not None:
            self._runs(journey, Run(journey.id, journey.controller, item.job, item.number))
            self._watches[journey.controller].hasten(_SOON)
        else:
            self._watches[journey.controller].hasten(_SOON)

    def _unclear(self, journey: Journey, error: OperatorError) -> None:
        self._roster.trouble(journey, reason_of(error))

    def _blind(self, name: str, error: OperatorError) -> None:
        for journey in list(self._roster.journeys.values()):
            if name in self._unseen.get(journey.id, ()) or (journey.controller == name and journey.stage in _STANDING):
                self._roster.trouble(journey, reason_of(error))

    def _runs(self, journey: Journey, run: Run) -> None:
        """It has begun. That is told once its node is known: by a look, or when it has ended."""
        journey.run = run
        journey.enter(Stage.RUNNING)
        self._roster.trouble(journey, "")
        copied = journey.place.copy if journey.place is not None else not journey.request.synced
        self._farm.gatherer.follow(run, journey.request.job, copy=True if copied else None)
        if run.node and not journey.announced:
            self._announce(journey, run)
        self._watches[journey.controller].hasten()
        if journey.stop_reason is not None:
            self._end_it(journey)

    def _announce(self, journey: Journey, run: Run) -> None:
        journey.announced = True
        page = self._results.url(journey.id)
        self._roster.tell(BuildStarted(journey.id, node=run.node, number=run.number, url=run.url or page))
        describing = partial(self._farm.controllers[run.controller].describe, run.job, run.number, description(journey.request, page))
        self._desks[run.controller].ask(describing, _ignore, partial(_not_described, journey.id))

    def _harvest(self, journey: Journey) -> None:
        run = journey.run
        assert run is not None
        journey.enter(Stage.HARVESTED)
        if journey.announced:
            self._gather(journey, run)
        else:  # it began and ended between two looks
            controller = self._farm.controllers[run.controller]
            self._roster.put(journey, partial(controller.build, run.job, run.number), self._learnt, self._not_learnt)

    def _learnt(self, journey: Journey, build: Build | None) -> None:
        """Tell where a build ran that no look has seen, or only that it did where Jenkins does not know it any more."""
        run = journey.run
        assert run is not None
        self._roster.trouble(journey, "")
        self._announce(journey, run if build is None else _run(journey, build))
        self._gather(journey, run)

    def _not_learnt(self, journey: Journey, error: OperatorError) -> None:
        if not isinstance(error, JenkinsUnavailableError):
            self._learnt(journey, None)
            return
        self._roster.trouble(journey, reason_of(error))
        if journey.stop_reason is not None:
            self._roster.finish(journey, Result.CANCELED, "")
        else:
            self._roster.later(journey, self._pace.retry, self._harvest)

    def _gather(self, journey: Journey, run: Run) -> None:
        turn = journey.turn

        def told(outcome: Outcome | None) -> None:
            self._box.post(partial(self._harvested, journey, turn, outcome))

        self._farm.gatherer.finish(run, None, told, partial(self._roster.say, journey, turn))

    def _harvested(self, journey: Journey, turn: int, outcome: Outcome | None) -> None:
        if not self._roster.holds(journey, turn):
            return
        if outcome is None:
            reason = f"{journey.run} is no longer to be found: it was deleted, or Jenkins was killed in it"
            self._roster.finish(journey, Result.LOST, reason)
        else:
            self._roster.finish(journey, outcome.result, "", outcome)

    # How a build is stopped.

    def _stop_build(self, build: BuildId, reason: str) -> None:
        journey = self._roster.journeys.get(build)
        if journey is None:
            if not self._roster.has_ended(build):  # of another life of this process
                self._roster.remember(build)
                for name, desk in self._desks.items():
                    desk.ask(partial(end, desk.controller, build), _ignore, partial(_not_stopped, name, build))
                self._roster.tell(BuildDone(build, Result.CANCELED, detail=reason))
            return
        if journey.stop_reason is not None:
            return
        journey.stop_reason = reason
        if journey.stage is Stage.PREPARING or (journey.stage is Stage.HARVESTED and journey.stalled):
            self._roster.finish(journey, Result.CANCELED, "")
        else:
            self._end_it(journey)

    def _end_it(self, journey: Journey) -> None:
        """Take the next step towards the end of a build that is to be stopped; repeated until it has ended, or given up."""
        journey.stops += 1
        if journey.stops > _STOPS:
            self._roster.finish(journey, Result.CANCELED, f"{journey.stop_reason}; the Jenkins {journey.controller} did not end it")
            return
        controller = self._farm.controllers[journey.controller]
        if journey.stage is Stage.QUEUED:
            self._roster.put(journey, partial(cancel, controller, journey.item), self._left, self._unclear)
        elif journey.stage is Stage.RUNNING and journey.run is not None:
            stopping = partial(controller.stop, journey.run.job, journey.run.number)
            self._roster.put(journey, stopping, lambda known, _: self._watches[known.controller].hasten(_SOON), self._unclear)
        self._box.later(_STOP_PAUSE, partial(self._insist, journey, journey.stops))

    def _insist(self, journey: Journey, stops: int) -> None:
        if self._roster.holds(journey, journey.turn) and journey.stops == stops:
            self._end_it(journey)

    def _on(self, build: BuildId, act: Callable[[Journey], None]) -> None:
        """Have `act` done with a build whose job is being brought. From any thread."""

        def do() -> None:
            journey = self._roster.journeys.get(build)
            if journey is not None and journey.stage is Stage.PREPARING:
                act(journey)

        self._box.post(do)


def _run(journey: Journey, build: Build) -> Run:
    return Run(journey.id, journey.controller, build.job, build.number, build.url, build.node)


def _ignore(_: object) -> None:
    """There is nobody who waits for the answer."""


def _not_described(build: BuildId, error: OperatorError) -> None:
    log.info("dispatch.not_described", build=build, reason=str(error))


def _not_stopped(name: str, build: BuildId, error: OperatorError) -> None:
    log.warning("dispatch.not_stopped", jenkins=name, build=build, reason=str(error))
