"""Builds in Jenkins, through its Gearman plug-in: what the wire says is believed as far as it goes, and for the rest Jenkins' API is asked.

On the wire a lost worker looks like a failure, a Jenkins that was killed like silence, and a lost Gearman server takes results with it.
So a build has ended when what it left is in Torii's store; and none is submitted again, or called lost, before every controller that may
have it has been asked.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from torii.dispatch import wire
from torii.dispatch.description import description
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.flight import Flight, Phase
from torii.dispatch.jenkins_case import Case, node_of
from torii.dispatch.jenkins_chase import Chase
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.jenkins_jobs import JenkinsJobs, Place
from torii.dispatch.jenkins_lookout import Lookout
from torii.dispatch.jenkins_search import Search, Sighting
from torii.dispatch.listeners import StopListener
from torii.dispatch.tower import Tower
from torii.dispatch.whose import Whose
from torii.gearman.functions import describe_function, stop_function
from torii.jenkins import Build
from torii.model.build import Result
from torii.model.ids import BuildId, ProjectName
from torii.model.pipeline import Precedence
from torii.results.run import Run
from torii.runtime.ports import Outcome

if TYPE_CHECKING:
    from torii.dispatch.definitions import Definitions, Library

log = structlog.get_logger()

T = TypeVar("T")


class JenkinsBuilds:
    """`torii.dispatch.flight.Side` of the projects in `farm`."""

    def __init__(self, tower: Tower, definitions: Definitions, library: Library, farm: JenkinsFarm) -> None:
        self._tower = tower
        self._definitions = definitions
        self._farm = farm
        self._gatherer = farm.gatherer
        self._projects = {project: tuple(name for name in names if name in farm.controllers) for project, names in farm.projects.items()}
        used = {name for names in self._projects.values() for name in names}
        controllers = {name: controller for name, controller in farm.controllers.items() if name in used}
        self._desks = {name: Desk(controller) for name, controller in controllers.items()}
        self._jobs = JenkinsJobs(self._desks, library, farm.instance, self, tower.pace)
        self._search = Search(controllers, tower.post)
        self._chase = Chase(self._desks, tower.box, tower.pace.watch)
        self._lookout = Lookout(tower, definitions, self._desks, self._search, self._jobs, self)
        self._whose = Whose([controller.settings for controller in farm.controllers.values()])
        self._cases: dict[BuildId, Case] = {}

    def start(self) -> None:
        """Begin to ask Jenkins; called once the tower's thread runs."""
        for desk in self._desks.values():
            desk.start()
        self._search.start()
        self._jobs.start()

    def close(self, timeout: float) -> None:
        """Ask nothing more; waits up to `timeout` seconds in all."""
        share = timeout / (2 + len(self._desks))
        self._jobs.stop(share)
        self._search.stop(share)
        for desk in self._desks.values():
            desk.stop(share)

    def jobs_changed(self) -> None:
        """Believe no more of what was known of jobs."""
        self._jobs.forget()

    def runs(self, project: ProjectName) -> bool:
        """Whether builds of `project` are Jenkins'."""
        return bool(self._projects.get(project))

    def controllers(self, flight: Flight) -> Sequence[str]:
        """Return the names of those that may run `flight`."""
        return self._projects[flight.request.project]

    def case(self, flight: Flight) -> Case:
        """Return what is known of `flight` besides."""
        return self._cases.setdefault(flight.id, Case())

    # How a build begins.

    def prepare(self, flight: Flight) -> None:
        flight.phase, flight.waits = Phase.PREPARING, True
        self.case(flight).expects = False
        place = self._jobs.lookup(flight.request)
        if place is not None and place.controllers >= set(self.controllers(flight)):
            self._expect(flight, place)
        else:
            self._jobs.ensure(flight.request, self.controllers(flight))

    def brought(self, build: BuildId, place: Place) -> None:
        def do() -> None:
            flight = self._tower.find(build, phase=Phase.PREPARING)
            if flight is not None:
                self._expect(flight, place)

        self._tower.post(do)

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        def do() -> None:
            flight = self._tower.find(build, phase=Phase.PREPARING)
            if flight is not None:
                self._tower.finish(flight, Result.NOT_BUILT if users_fault else Result.LOST, reason)

        self._tower.post(do)

    def stalled(self, build: BuildId, reason: str) -> None:
        def do() -> None:
            case = self._cases.get(build)
            late = case is not None and case.place is not None and case.expects and self._definitions.is_registered(case.place.function)
            if not late:
                self._tower.stalled(build, reason)

        self._tower.post(do)

    def unregistered(self, build: BuildId) -> None:
        """Nobody has the build's function registered."""
        flight = self._tower.find(build)
        case = self._cases.get(build)
        if flight is not None and flight.waits and case is not None and case.place is not None:
            connected = self._definitions.sees_a_jenkins
            self._jobs.unregistered(flight.request, self.controllers(flight), case.place, connected)

    def registered(self, flight: Flight) -> None:
        """Some node has the build's function registered."""
        self._tower.stalled(flight.id, self._lookout.why_waiting(flight))

    def _expect(self, flight: Flight, place: Place) -> None:
        case = self.case(flight)
        case.place, case.expects = place, True
        if self._definitions.expect(flight.id, place.function):
            self.submit(flight, place.function)

    def submit(self, flight: Flight, function: str) -> None:
        case = self.case(flight)
        assert case.place is not None
        case.run, case.broken, case.word, case.away = None, False, None, 0
        self._tower.submit(flight, function, case.place.defaults)

    def started(self, flight: Flight, before: wire.Running | None) -> None:
        running, case = flight.running, self.case(flight)
        assert running is not None
        if before is not None and before.same(running):
            return
        if before is not None:
            log.warning("dispatch.run_again", build=flight.id, before=before.number, now=running.number, node=running.worker)
            flight.announced = False
            self._leave(case)
        case.began, case.broken, case.word, flight.missed = time.monotonic(), False, None, 0
        controller = self._whose.told_by(running, self.controllers(flight))
        if controller is not None:
            self._recognise(flight, controller, running.url)
        else:
            self.announce(flight)
            told = partial(self._recognised, flight.id, running.identity)
            self._search.ask(flight.id, running.name, self.controllers(flight), told)

    def _leave(self, case: Case) -> None:
        """Have an earlier run of the same build ended, should it go on: whoever ran it lost only its connection."""
        if case.run is not None:
            run, controller = case.run, self._farm.controllers[case.run.controller]
            case.run = None
            self._desks[run.controller].ask(
                lambda: controller.stop(run.job, run.number),
                lambda _: None,
                lambda error: log.info("dispatch.earlier_run_not_stopped", run=str(run), reason=str(error)),
            )

    def _recognised(self, build: BuildId, identity: tuple[str, str, int], sighting: Sighting | None, trouble: str) -> None:
        """Jenkins said which controller has a build, whose own address told nothing."""
        flight = self._tower.find(build)
        if flight is None or flight.running is None or flight.running.identity != identity or self.case(flight).run is not None:
            return
        if sighting is not None and isinstance(sighting.found, Build):
            self._whose.learn(flight.running, sighting.controller)
            self._recognise(flight, sighting.controller, flight.running.url or sighting.found.url)
        else:  # a sweep asks again
            log.info("dispatch.controller_unknown", build=build, manager=flight.running.manager, reason=trouble)

    def _recognise(self, flight: Flight, controller: str, url: str | None) -> None:
        running, case = flight.running, self.case(flight)
        assert running is not None
        where = url or self._whose.address(controller, running.name, running.number)
        case.run = Run(flight.id, controller, running.name, running.number, where)
        self.announce(flight, where)
        if wrong := self._what_is_wrong(case, controller, running):
            self._chase.end(flight.id, [controller])
            self.lose(flight, wrong)
            return
        self.follow(flight, case.run)
        self._describe(flight, running, case.run)

    def _what_is_wrong(self, case: Case, controller: str, running: wire.Running) -> str:
        """Return why what was begun is not the build that was asked for, empty where it is."""
        if not self._whose.is_the_job(controller, running):
            return (
                f"the Jenkins {controller} has two jobs called {running.name}, in different folders, and began the wrong one"
                f" ({running.url}): its Gearman plug-in cannot tell them apart; rename or remove the other"
            )
        if case.place is not None and not self._jobs.has(controller, case.place):
            return f"it began in the Jenkins {controller}, where its job could not be brought up to date before"
        return ""

    def follow(self, flight: Flight, run: Run) -> None:
        """Have what it writes brought from now on."""
        case = self.case(flight)
        copy = case.place.copy if case.place is not None else not flight.request.synced
        self._gatherer.follow(run, flight.request.job, copy=True if copy else None)

    def announce(self, flight: Flight, url: str | None = None) -> None:
        """Say that it runs, and where."""
        assert flight.running is not None
        self._tower.announce(flight, node_of(flight.running.worker), url)

    def _describe(self, flight: Flight, running: wire.Running, run: Run) -> None:
        if running.manager:
            text = description(flight.request, self._tower.results.url(flight.id))
            data = self._which(run, html_description=text)
            function, unique = describe_function(running.manager), f"describe-{flight.id}-{running.number}"
            self._tower.client.submit(function, data, unique, Precedence.LOW)

    # How a build ends.

    def complete(self, flight: Flight, data: bytes) -> None:
        said, case = wire.running(data), self.case(flight)
        if said is not None and flight.running is not None and not flight.running.same(said):
            before, flight.running = flight.running, said
            self.started(flight, before)
            if self._tower.find(flight.id) is None:
                return
        case.word = wire.result(data)
        if case.run is not None:
            self.harvest(flight, case.run)
        else:
            self._tower.drift(flight, 0.0)

    def harvest(self, flight: Flight, run: Run) -> None:
        """Have brought what the build left; it is answered for when that is in the store."""
        flight.phase, flight.waits = Phase.HARVESTED, False
        flight.turn += 1
        self._definitions.release(flight.id)
        told = partial(self._tell, flight.id, flight.turn, self._harvested)
        troubled = partial(self._tell, flight.id, flight.turn, self._not_harvested)
        self._gatherer.finish(run, self.case(flight).word, told, troubled)

    def _tell(self, build: BuildId, turn: int, hear: Callable[[Flight, T], None], said: T) -> None:
        """Bring to the tower's thread what the gatherer says, if the build still waits for it."""

        def do() -> None:
            flight = self._tower.find(build, turn, Phase.HARVESTED)
            if flight is not None:
                hear(flight, said)

        self._tower.post(do)

    def _not_harvested(self, flight: Flight, reason: str) -> None:
        if flight.stop_reason is not None and reason:
            self._tower.finish(flight, Result.CANCELED, "")  # nobody waits for what it left
        else:
            self._tower.troubled(flight, reason)

    def _harvested(self, flight: Flight, outcome: Outcome | None) -> None:
        if outcome is None:
            self.lose(flight, "Jenkins does not know the build any more: it, or its job, was deleted before its result was read")
        else:
            self._tower.finish(flight, outcome.result, "", outcome)

    def lose(self, flight: Flight, reason: str) -> None:
        """Answer that the infrastructure ended it."""
        self._gatherer.drop(flight.id)
        self._tower.finish(flight, Result.LOST, reason)

    def over(self, flight: Flight) -> None:
        self._definitions.release(flight.id)
        self._jobs.release(flight.id)
        self._cases.pop(flight.id, None)
        for handle in flight.stop_handles[:]:
            self._definitions.withdraw(handle)

    # How a build is found again of whose worker or server nothing is heard any more.

    def broke(self, flight: Flight, detail: str) -> None:
        if self._tower.ended_already(flight):
            return
        if flight.stop_reason is not None:
            self.give_up(flight)
        else:
            self._lookout.broke(flight, detail)

    def drift(self, flight: Flight) -> None:
        self._tower.drift(flight, 0.0)

    def reconnected(self, flight: Flight) -> None:
        self._tower.search(flight, 0.0)

    def look(self, flight: Flight) -> None:
        self._lookout.look(flight)

    def sweep(self) -> None:
        """Look after all that is said to run; now and then."""
        self._lookout.sweep()

    # How a build is stopped.

    def stop(self, flight: Flight) -> None:
        running, run = flight.running, self.case(flight).run
        on_the_wire = flight.phase is Phase.SUBMITTED and flight.stops <= 1
        if running is not None and running.manager and run is not None and on_the_wire:
            function, data = stop_function(running.manager), self._which(run)
            unique = f"stop-{flight.id}-{running.number}"
            self._tower.client.submit(function, data, unique, Precedence.HIGH, StopListener(flight.stop_handles))
        else:
            self._chase.end(flight.id, self.controllers(flight))

    def give_up(self, flight: Flight) -> None:
        if flight.attempt or flight.phase is Phase.ADRIFT:
            self._chase.end(flight.id, self.controllers(flight))
        self._gatherer.drop(flight.id)
        self._tower.finish(flight, Result.CANCELED, "")

    def cancelled(self, flight: Flight) -> None:
        self._chase.end(flight.id, self.controllers(flight))

    def late(self, flight: Flight, running: wire.Running | None) -> None:  # noqa: ARG002 - Jenkins is asked, whoever has it
        self._chase.end(flight.id, self.controllers(flight))

    def stop_everywhere(self, build: BuildId) -> None:
        """End a build of which nothing is known but that Jenkins may have it."""
        self._chase.end(build)

    def _which(self, run: Run, **more: str) -> bytes:
        """Return what `stop:` and `set_description:` of the plug-in take: there jobs go by their full names, unlike in what it says."""
        folder = self._farm.controllers[run.controller].settings.folder.strip("/")
        return json.dumps({"name": f"{folder}/{run.job}" if folder else run.job, "number": str(run.number), **more}).encode()
