"""All builds that are on their way over REST, and the answers that are owed for them. All of it on the dispatcher's thread, but `say`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

import structlog

from torii.dispatch.away import Away
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.rest_journey import Journey, Stage
from torii.errors import OperatorError
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildDone, BuildStalled, Event
from torii.model.ids import BuildId
from torii.runtime.ports import Outcome, Post, Results

log = structlog.get_logger()

T = TypeVar("T")

_REMEMBERED = 10_000


class Roster:
    """`box` is the dispatcher's thread, `desks` are where Jenkinses are asked; `over` is called with each journey that was answered for."""

    def __init__(self, box: Mailbox, desks: Mapping[str, Desk], post: Post, results: Results, over: Callable[[Journey], None]) -> None:
        self._box, self._desks, self._post, self._results, self._over = box, desks, post, results, over
        self.journeys: dict[BuildId, Journey] = {}
        self._ended: OrderedDict[BuildId, None] = OrderedDict()

    def begin(self, request: BuildRequest, controller: str) -> Journey | None:
        """Return a journey for `request`, or None where it has one, or has ended."""
        if request.id in self.journeys or request.id in self._ended:
            return None
        journey = self.journeys[request.id] = Journey(request, controller)
        outcome = self._outcome(request.id)
        if outcome is None:
            return journey
        self.finish(journey, outcome.result, "", outcome)
        return None

    def holds(self, journey: Journey, turn: int) -> bool:
        """Whether the journey is under way, and where it was when `turn` was its turn."""
        return self.journeys.get(journey.id) is journey and journey.turn == turn

    # What is told.

    def tell(self, event: Event) -> None:
        self._post([event])

    def trouble(self, journey: Journey, reason: str) -> None:
        """Say why nothing goes on, if that is news."""
        if journey.stalled != reason:
            journey.stalled = reason
            self.tell(BuildStalled(journey.id, str(reason), isinstance(reason, Away)))

    def say(self, journey: Journey, turn: int, reason: str) -> None:
        """Have trouble told, from another thread. Nobody waits for what a build left that was to be stopped."""

        def do() -> None:
            if not self.holds(journey, turn):
                return
            if reason and journey.stop_reason is not None and journey.stage is Stage.HARVESTED:
                self.finish(journey, Result.CANCELED, "")
            else:
                self.trouble(journey, Away(reason) if reason else "")

        self._box.post(do)

    def finish(self, journey: Journey, result: Result, detail: str, outcome: Outcome | None = None) -> None:
        """Answer `BuildDone` and forget the build."""
        del self.journeys[journey.id]
        self.remember(journey.id)
        self._over(journey)
        url = self._results.url(journey.id) if journey.run is not None or outcome is not None else None
        outcome = outcome or Outcome(result)
        if journey.stop_reason is not None:
            result, detail = Result.CANCELED, detail or journey.stop_reason
        detail = detail or outcome.detail
        log.info("dispatch.build_done", build=journey.id, result=result.value, detail=detail)
        self.tell(BuildDone(journey.id, result, outcome.duration, detail, outcome.tests, outcome.url or url, outcome.comments))

    def has_ended(self, build: BuildId) -> bool:
        """Whether it was answered for lately."""
        return build in self._ended

    def remember(self, build: BuildId) -> None:
        """Count `build` as answered for."""
        self._ended[build] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    # What is asked of a Jenkins, and answered to whoever still wants to know.

    def put(
        self,
        journey: Journey,
        question: Callable[[], T],
        told: Callable[[Journey, T], None],
        failed: Callable[[Journey, OperatorError], None],
    ) -> None:
        """Have `question` asked at the journey's desk, and one of `told` and `failed` called if it still is where it was."""
        turn = journey.turn

        def do(answer: Callable[[], None]) -> None:
            if self.holds(journey, turn):
                answer()

        self._desks[journey.controller].ask(
            question,
            lambda answer: self._box.post(partial(do, partial(told, journey, answer))),
            lambda error: self._box.post(partial(do, partial(failed, journey, error))),
        )

    def later(self, journey: Journey, seconds: float, act: Callable[[Journey], None]) -> None:
        """Have `act` done after so many seconds, if the journey still is where it was."""
        turn = journey.turn

        def do() -> None:
            if self.holds(journey, turn):
                act(journey)

        self._box.later(seconds, do)

    def _outcome(self, build: BuildId) -> Outcome | None:
        try:
            return self._results.outcome(build)
        except Exception:
            log.exception("dispatch.outcome_unreadable", build=build)
            return None
