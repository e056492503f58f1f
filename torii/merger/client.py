"""The merger as the runtime sees it: requests go to whatever mergers Gearman knows, answers come back as events.

A request is repeated until it is answered or its time is up. That does no harm, since a merge asked for twice makes the same commits; so it
does not matter whether a merger died, a connection was lost or only an answer. One thread does all of it; callers never wait.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from torii.config.cache import ConfigCache
from torii.errors import ToriiError
from torii.gearman import Client, Listener, open_sealed, seal
from torii.merger import wire
from torii.merger.answer import ConfigFile, StageAnswer, StagedState
from torii.merger.refs import build_set_of
from torii.model.command import DropStaging, Merge
from torii.model.event import Conflict, MergeDone, MergeUnavailable, Staged
from torii.model.ids import ProjectName
from torii.model.job import ConfigProblem, ProjectConfig
from torii.model.pipeline import Precedence
from torii.runtime.ports import Post

log = structlog.get_logger()

_FIRST_PAUSE = 0.1
_LAST_PAUSE = 5.0
_ATTEMPTS = 8
"""A request that ended so many mergers is not given to another."""
_DROP_PAUSE = 0.3
"""Seconds in which refs to delete gather, so that many go in one push."""
_DROP_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Limits:
    """In seconds: how long a request may wait for a merger, and how long a merger may work on it. Then it could not be tried."""

    waiting: float = 300.0
    working: float = 300.0


@dataclass(slots=True)
class _Request:
    """A request under way. `ended` is told the answer, or why there is none."""

    function: str
    message: dict[str, Any]
    precedence: Precedence
    ended: Callable[[Mapping[str, Any] | None, str], None]
    deadline: float
    trouble: str = "no merger took it: is one running, and does it reach the Gearman server?"
    attempts: int = 0
    listening: _Ears | None = None

    @property
    def id(self) -> str:
        return str(self.message["id"])


@dataclass(order=True)
class _Timer:
    at: float
    number: int
    call: Callable[[], None] = field(compare=False)


class _Ears(Listener):
    """Hears what becomes of one attempt at a request, and has it looked at on the merger client's own thread."""

    def __init__(self, request: _Request, inbox: queue.SimpleQueue[Callable[[], None] | None], owner: GearmanMerger) -> None:
        self._request = request
        self._inbox = inbox
        self._owner = owner

    def status(self, numerator: str, denominator: str) -> None:  # noqa: ARG002  - that it comes says all
        self._tell(lambda: self._owner.taken(self._request))

    def complete(self, data: bytes) -> None:
        self._tell(lambda: self._owner.answered(self._request, data))

    def fail(self) -> None:
        self._tell(lambda: self._owner.failed(self._request, "a merger died with it"))

    def exception(self, data: bytes) -> None:
        reason = data.decode("utf-8", "replace")[:500]
        self._tell(lambda: self._owner.failed(self._request, reason))

    def lost(self) -> None:
        self._tell(lambda: self._owner.failed(self._request, "the Gearman server was lost"))

    def _tell(self, call: Callable[[], None]) -> None:
        # Only the latest attempt counts; what an earlier one still says is of no interest.
        self._inbox.put(lambda: call() if self._request.listening is self else None)


class GearmanMerger:
    """Has merges made by the mergers on `client`'s servers and posts what became of them. The port is torii.runtime.ports.Merger.

    `key` seals the requests; `instance` is this Torii's name in its build sets. `client` stays its owner's, who closes it.
    """

    def __init__(
        self, client: Client, key: bytes, post: Post, instance: str, *, limits: Limits | None = None, cache: ConfigCache | None = None
    ) -> None:
        self._client = client
        self._key = key
        self._post = post
        self._instance = instance
        self._limits = limits or Limits()
        self._cache = cache or ConfigCache()
        self._inbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._timers: list[_Timer] = []
        self._numbers = itertools.count()
        self._pending: dict[str, _Request] = {}
        self._drops: list[tuple[ProjectName, str]] = []
        self._asked: set[str] | None = set()
        self._thread = threading.Thread(target=self._run, name="merger-client", daemon=True)
        self._thread.start()

    # -- the port

    def merge(self, merge: Merge) -> None:
        """Answered by one `MergeDone` a stage, in order; a request that is under way already is not made twice."""
        self._inbox.put(lambda: self._merge(merge))

    def drop(self, drop: DropStaging) -> None:
        """Delete staging refs, some time soon."""
        self._inbox.put(lambda: self._drop(drop.refs))

    def collect(self, keep: frozenset[str]) -> None:
        """Delete this instance's staging refs that belong to no build set of `keep`, nor to one that was asked for since."""
        self._inbox.put(lambda: self._collect(keep))

    def stop(self, timeout: float) -> None:
        """Let go of everything under way, within `timeout` seconds. Refs still to be deleted are asked for once more, unheard."""
        self._inbox.put(None)
        self._thread.join(timeout)

    # -- the thread

    def _run(self) -> None:
        while True:
            call = self._next()
            if call is None:
                self._flush_drops()
                return
            try:
                call()
            except Exception:
                log.exception("merger.client_failed")

    def _next(self) -> Callable[[], None] | None:
        pause = self._timers[0].at - time.monotonic() if self._timers else None
        if pause is None or pause > 0:
            with contextlib.suppress(queue.Empty):
                return self._inbox.get(timeout=pause)
        return heapq.heappop(self._timers).call

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._timers, _Timer(time.monotonic() + delay, next(self._numbers), call))

    # -- requests

    def _ask(
        self,
        function: str,
        message: dict[str, Any],
        ended: Callable[[Mapping[str, Any] | None, str], None],
        precedence: Precedence = Precedence.LOW,
    ) -> None:
        request = _Request(function, message, precedence, ended, time.monotonic() + self._limits.waiting)
        if request.id in self._pending:
            return
        self._pending[request.id] = request
        self._submit(request)
        self._later(self._limits.waiting, lambda: self._check_time(request))

    def _submit(self, request: _Request) -> None:
        if self._pending.get(request.id) is not request:
            return
        request.attempts += 1
        request.listening = _Ears(request, self._inbox, self)
        self._client.submit(request.function, seal(self._key, request.message), request.id, request.precedence, request.listening)

    def _check_time(self, request: _Request) -> None:
        if self._pending.get(request.id) is not request:
            return
        left = request.deadline - time.monotonic()
        if left > 0:
            self._later(left, lambda: self._check_time(request))
        else:
            self._end(request, None, f"no answer from a merger in time: {request.trouble}")

    def taken(self, request: _Request) -> None:
        """A merger began to work on `request`."""
        request.deadline = time.monotonic() + self._limits.working
        request.trouble = f"one has worked on it for {self._limits.working:g} s"

    def failed(self, request: _Request, reason: str) -> None:
        """An attempt came to nothing: make another, later each time."""
        request.trouble = reason
        if request.attempts >= _ATTEMPTS:
            self._end(request, None, f"tried {request.attempts} times, the last time {reason}")
            return
        pause = min(_LAST_PAUSE, _FIRST_PAUSE * 2 ** (request.attempts - 1))
        log.warning("merger.asked_again", function=request.function, attempt=request.attempts, reason=reason, pause=pause)
        request.listening = None
        request.deadline = time.monotonic() + pause + self._limits.waiting
        self._later(pause, lambda: self._submit(request))

    def answered(self, request: _Request, data: bytes) -> None:
        """A merger answered `request`, if it is one of ours."""
        try:
            message = open_sealed(self._key, data)
        except ToriiError as error:
            self._end(request, None, str(error))
            return
        if "error" in message:
            self._end(request, None, str(message["error"]))
        elif message.get("id") != request.id:
            self._end(request, None, "a merger answered another question than it was asked")
        else:
            self._end(request, message, "")

    def _end(self, request: _Request, message: Mapping[str, Any] | None, trouble: str) -> None:
        if self._pending.get(request.id) is request:
            del self._pending[request.id]
            request.listening = None
            request.ended(message, trouble)

    # -- merges

    def _merge(self, merge: Merge) -> None:
        wanted = {str(stage.build_set) for stage in merge.stages}
        self._drops = [(project, ref) for project, ref in self._drops if build_set_of(ref) not in wanted]
        if self._asked is not None:
            self._asked |= wanted

        def ended(message: Mapping[str, Any] | None, trouble: str) -> None:
            self._post([MergeDone(answer.build_set, self._outcome(answer)) for answer in _answers(merge, message, trouble)])

        self._ask(wire.MERGE, wire.question("merge", merge), ended, merge.precedence)

    def _outcome(self, answer: StageAnswer) -> Staged | Conflict | MergeUnavailable:
        if not isinstance(answer.outcome, StagedState):
            return answer.outcome
        staged = answer.outcome
        config, problems = self._parse(staged.config)
        tip_config, _ = self._parse(staged.tip_config)
        return Staged(staged.branches, staged.files, config, problems, tip_config)

    def _parse(self, file: ConfigFile) -> tuple[ProjectConfig | None, tuple[ConfigProblem, ...]]:
        if file.problem:
            return None, (ConfigProblem("torii.yml", 1, 1, "", file.problem),)
        if file.content is None:
            return None, ()
        parsed = self._cache.parse(file.content)
        return (None, parsed) if isinstance(parsed, tuple) else (parsed, ())

    # -- staging refs

    def _drop(self, refs: wire.Refs) -> None:
        if not self._drops:
            self._later(_DROP_PAUSE, self._flush_drops)
        self._drops += refs

    def _flush_drops(self) -> None:
        refs, self._drops = self._drops, []
        for first in range(0, len(refs), _DROP_BATCH):
            self._ask(wire.DROP, wire.question("drop", tuple(refs[first : first + _DROP_BATCH])), _logged(wire.DROP))

    def _collect(self, keep: frozenset[str]) -> None:
        def ended(message: Mapping[str, Any] | None, trouble: str) -> None:
            if message is None:
                _logged(wire.COLLECT)(message, trouble)
                return
            # What was asked for meanwhile may have pushed its refs before they were listed.
            known, self._asked = keep | (self._asked or set()), None
            left = tuple((project, ref) for project, ref in wire.read_refs(message, "refs") if build_set_of(ref) not in known)
            if left:
                log.info("merger.collected", refs=len(left))
                self._drop(left)

        if self._asked is None:
            self._asked = set()
        self._ask(wire.COLLECT, wire.question("collect", self._instance), ended)


def _answers(merge: Merge, message: Mapping[str, Any] | None, trouble: str) -> tuple[StageAnswer, ...]:
    if message is not None:
        try:
            answers = wire.read_merge_answer(message)
        except wire.MalformedMessageError as error:
            trouble = str(error)
        else:
            if [answer.build_set for answer in answers] == [stage.build_set for stage in merge.stages]:
                return answers
            trouble = "a merger answered for other build sets than it was asked for"
    return tuple(StageAnswer(stage.build_set, MergeUnavailable(trouble)) for stage in merge.stages)


def _logged(function: str) -> Callable[[Mapping[str, Any] | None, str], None]:
    def ended(message: Mapping[str, Any] | None, trouble: str) -> None:
        if message is None:
            log.warning("merger.request_given_up", function=function, reason=trouble)

    return ended
