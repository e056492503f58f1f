"""Finds out what became of a build in Jenkins of whose worker, or server, nothing is heard any more.

WORK_FAIL says as much as silence: Jenkins may run the build on, may have ended it, or has never begun it. Only Jenkins itself can tell.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from torii.dispatch import wire
from torii.dispatch.away import Away
from torii.dispatch.definitions import Definitions
from torii.dispatch.flight import Flight, Phase
from torii.dispatch.jenkins_case import node_of
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.jenkins_jobs import JenkinsJobs, Place
from torii.dispatch.jenkins_rounds import Rounds
from torii.dispatch.jenkins_search import Search, Sighting
from torii.dispatch.tower import Tower
from torii.dispatch.verdict import taken_for_lost
from torii.jenkins import Build, Queued
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.results.run import Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torii.dispatch.jenkins_builds import JenkinsBuilds

log = structlog.get_logger()


class Lookout:
    """Part of `builds`; on the tower's thread, all of it."""

    def __init__(
        self, tower: Tower, definitions: Definitions, desks: Mapping[str, Desk], search: Search, jobs: JenkinsJobs, builds: JenkinsBuilds
    ) -> None:
        self._tower = tower
        self._definitions = definitions
        self._search = search
        self._jobs = jobs
        self._builds = builds
        self._rounds = Rounds(desks, tower, self)

    def sweep(self) -> None:
        """Look after all that is said to run; now and then."""
        self._rounds.sweep()

    def is_jenkins(self, flight: Flight) -> bool:
        """Whether `flight` is one of those looked after here."""
        return flight.side is self._builds

    def run_of(self, flight: Flight) -> Run | None:
        """Return where `flight` runs, as far as is known."""
        return self._builds.case(flight).run

    def runs_in(self, flight: Flight, controller: str) -> bool:
        """Whether `flight` is to be looked for in `controller`: it runs there, or it is not known where."""
        run = self._builds.case(flight).run
        return run.controller == controller if run is not None else controller in self._builds.controllers(flight)

    def why_waiting(self, flight: Flight) -> str:
        """Return why a flight whose function is registered does not start all the same; empty where it only waits for its turn."""
        names = self._builds.controllers(flight)
        if flight.phase is not Phase.SUBMITTED or not self._rounds.quiet.issuperset(names):
            return ""
        who = " and ".join(f"the Jenkins {name}" for name in names)
        return Away(
            f"{who} {'is' if len(names) == 1 else 'are'} quieting down: no builds start until that is cancelled, or after the restart"
        )

    def drift(self, flight: Flight) -> None:
        """Begin to search for it."""
        self._builds.drift(flight)

    def broke(self, flight: Flight, detail: str) -> None:
        """Its worker refused it or was lost, which on the wire is the same."""
        case = self._builds.case(flight)
        case.broken, case.words = True, detail
        case.ran = time.monotonic() - case.began if flight.running is not None else None
        if flight.running is None and case.place is not None:
            self._jobs.suspect(case.place)
        self._tower.drift(flight, 0.0)

    def seen(self, flight: Flight) -> None:
        """It is where it should be."""
        self._builds.case(flight).away = 0
        self._tower.troubled(flight, "")

    def silent(self, flight: Flight) -> None:
        """Its Jenkins does not run it any more and nothing was heard of that: a C gearmand keeps quiet about a worker that was lost."""
        case = self._builds.case(flight)
        case.broken, case.words, case.ran = True, "", None
        self._tower.hearer.withdraw(flight)
        self._tower.drift(flight, 0.0)

    def look(self, flight: Flight) -> None:
        """Ask where it is; what is answered decides."""
        case = self._builds.case(flight)
        job = case.run.job if case.run is not None else case.place.name if case.place is not None else ""
        told = partial(self._found, flight.id, flight.turn)
        if job:
            self._search.ask(flight.id, job, self._builds.controllers(flight), told)
        else:
            self._jobs.name(flight.request, partial(self._named, flight.id, flight.turn))

    def _named(self, build: BuildId, turn: int, place: Place | None) -> None:
        """Another life of this process may have started the build: this is what its job is called."""

        def do() -> None:
            flight = self._tower.find(build, turn, Phase.ADRIFT)
            if flight is None:
                return
            if place is None:
                self._builds.prepare(flight)  # which says what is wrong with the job
                return
            self._builds.case(flight).place = place
            self.look(flight)

        self._tower.post(do)

    def _found(self, build: BuildId, turn: int, sighting: Sighting | None, trouble: str) -> None:
        flight = self._tower.find(build, turn, Phase.ADRIFT)
        if flight is None or self._tower.ended_already(flight):
            return
        case = self._builds.case(flight)
        if sighting is None and trouble:
            self.outage(flight, trouble)
            case.away += 1
            self._tower.search(flight, min(10.0, 2.0 ** min(case.away - 1, 4)) * self._tower.pace.retry)
            return
        case.away = 0
        match sighting:
            case Sighting(controller, Build() as found):
                self._seen(flight, controller, found)
            case Sighting(_, Queued()):
                self._tower.search(flight, self._tower.pace.watch)
            case _:
                self._not_seen(flight)

    def _seen(self, flight: Flight, controller: str, found: Build) -> None:
        case = self._builds.case(flight)
        run = Run(flight.id, controller, found.job, found.number, found.url)
        if case.run is None or case.run.identity != run.identity:
            case.run = run
        if not found.running:
            self._ended(flight, case.run, found)
            return
        log.info("dispatch.adopted", build=flight.id, run=str(run))
        flight.phase, flight.waits = Phase.WATCHED, False
        self._definitions.release(flight.id)
        self._tower.troubled(flight, "")
        self._adopt(flight, case.run, found)
        self._rounds.watch()

    def outage(self, flight: Flight, reason: str) -> None:
        """The Jenkins that runs it, or ran it, cannot be asked."""
        case = self._builds.case(flight)
        if flight.phase is Phase.SUBMITTED:  # its end may be heard all the same
            case.away += 1
            if case.away > 1:
                self._tower.troubled(flight, Away(reason))
            return
        if case.run is not None and not flight.stalled and not (case.broken and flight.phase is Phase.ADRIFT):
            case.broken, case.ran = True, time.monotonic() - case.began if case.began else None
        self._tower.troubled(flight, Away(reason))

    def _adopt(self, flight: Flight, run: Run, found: Build) -> None:
        case = self._builds.case(flight)
        if not case.began or (flight.running is not None and flight.running.number != run.number):
            case.began = time.monotonic() - max(0.0, time.time() - found.started_at) if found.started_at is not None else 0.0
        if flight.running is None or flight.running.number != run.number:
            flight.running = wire.Running(run.job, run.number, "", found.node or run.controller, run.url or None)
            flight.announced = False
        self._builds.announce(flight, run.url or None)
        self._builds.follow(flight, run)

    def seen_running(self, flight: Flight, controller: str, found: Build) -> None:
        """Jenkins runs a flight whose start was not heard on the wire, or not understood. Its end may be."""
        case = self._builds.case(flight)
        case.run = Run(flight.id, controller, found.job, found.number, found.url)
        flight.waits = False
        self._definitions.release(flight.id)
        self._tower.troubled(flight, "")
        self._adopt(flight, case.run, found)
        if flight.stop_reason is not None:
            self._builds.stop(flight)

    def _ended(self, flight: Flight, run: Run, found: Build) -> None:
        case = self._builds.case(flight)
        node = node_of(flight.running.worker) if flight.running is not None else found.node
        if flight.stop_reason is None and case.broken and case.word is None and taken_for_lost(found, case.ran):
            how = f"the Jenkins {run.controller} ended its build {run.number} as {found.word or found.result}"
            self._builds.lose(flight, f"{node or 'its node'} or its Jenkins was lost while it ran the build: {how}")
            return
        case.word = case.word or found.result
        self._builds.harvest(flight, run)

    def _not_seen(self, flight: Flight) -> None:
        """All controllers have answered, and none knows it."""
        case, pace = self._builds.case(flight), self._tower.pace
        if case.word is not None:
            self._tower.finish(flight, case.word, "Jenkins told the result and then did not know the build any more")
        elif flight.stop_reason is not None:
            self._tower.finish(flight, Result.CANCELED, "")
        elif case.run is not None or flight.running is not None:
            node = flight.running.worker if flight.running is not None else ""
            what = f"{node_of(node) or 'its node'} or its Jenkins was lost while it ran the build"
            self._builds.lose(flight, f"{what}, and Jenkins does not know it any more")
        elif case.broken:
            words = case.words or "it was cancelled in Jenkins' queue, its job was deleted, or Jenkins was lost"
            self._builds.lose(flight, f"Jenkins gave the build up before it began: {words}")
        elif not self._tower.client.connected:
            if time.monotonic() - flight.adrift_at >= pace.settle:
                self._tower.troubled(flight, Away("no Gearman server can be reached"))
            self._tower.search(flight, pace.settle)  # or when there is one again
        else:
            # the same unique id: a server that has the job yet makes no second one of it
            log.info("dispatch.asked_again", build=flight.id)
            self._builds.prepare(flight)
