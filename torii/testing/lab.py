"""The gate between fakes. Commands are performed at once or later, answers arrive in order or not: whoever holds the lab decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from torii.gate import Gate
from torii.gate.state import State
from torii.model.build import BuildRequest, Result
from torii.model.command import Command, DropStaging, Merge, Report, StartBuild, StopBuild, Submit
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Configured, Event, Tick
from torii.model.ids import BuildId
from torii.model.pipeline import GateConfig
from torii.model.view import Decision, ItemView
from torii.store.codec import decode, encode
from torii.testing.forge import Forge


def replayed(journal: Iterable[tuple[float, Event]]) -> Gate:
    """Return a gate that has stepped through all of `journal`."""
    gate = Gate()
    for at, event in journal:
        gate.step(event, at)
    gate.drain()
    return gate


@dataclass(slots=True)
class HeldBuild:
    """A build that was asked for and runs until told how to end. `answers` is what was said of it."""

    request: BuildRequest
    starts: int = 1
    result: Result | None = None
    stopped: str = ""


@dataclass
class Lab:
    """The gate, a forge, and builds that wait to be ended. `pending` are the answers on their way to the gate."""

    config: GateConfig
    forge: Forge = field(default_factory=Forge)
    gate: Gate = field(default_factory=Gate)
    now: float = 1_000_000.0
    pending: list[Event] = field(default_factory=list)
    builds: dict[BuildId, HeldBuild] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    items: dict[str, ItemView] = field(default_factory=dict)
    journal: list[tuple[float, Event]] = field(default_factory=list)
    unperformed: list[Command] = field(default_factory=list)
    unregistered: set[str] = field(default_factory=set)
    """Jobs that no worker knows: their builds stall."""
    watch: Callable[[Command], None] | None = None
    """Called after each command that was performed."""

    def __post_init__(self) -> None:
        self.feed(Configured(self.config))

    def feed(self, event: Event) -> None:
        """Journal `event`, step the gate, and perform what follows."""
        self.journal.append((self.now, event))
        commands = self.gate.step(event, self.now)
        self._take_records()
        self.unperformed.extend(commands)
        self.perform()

    def _take_records(self) -> None:
        records = self.gate.drain()
        self.decisions.extend(records.decisions)
        self.items.update((item.id, item) for item in records.items)

    def perform(self) -> None:
        """Perform the commands that are waiting for it."""
        self.forge.expect(command for command in self.unperformed if isinstance(command, Submit))
        while self.unperformed:
            command = self.unperformed.pop(0)
            self._perform(command)
            if self.watch is not None:
                self.watch(command)

    def _perform(self, command: Command) -> None:
        match command:
            case Merge():
                self.pending.extend(self.forge.stage(command))
            case Report():
                self.pending.extend(self.forge.report(command))
            case Submit():
                self.pending.extend(self.forge.submit(command))
            case DropStaging():
                self.forge.drop(command)
            case StartBuild(request):
                self._start(request)
            case StopBuild(build, reason):
                held = self.builds.get(build)
                if held is not None and held.result is None:
                    held.stopped = reason
                    self.end(build, Result.CANCELED)
                else:
                    self.pending.append(BuildDone(build, Result.CANCELED, None, reason))

    def _start(self, request: BuildRequest) -> None:
        held = self.builds.get(request.id)
        if held is None:
            self.builds[request.id] = HeldBuild(request)
            if request.job.name in self.unregistered:
                self.pending.append(BuildStalled(request.id, f"no worker has registered build:{request.job.name}"))
            else:
                self.pending.append(BuildStarted(request.id, "fake"))
        elif held.result is not None:
            self.pending.append(BuildDone(request.id, held.result, 1.0))
        elif request.job.name in self.unregistered:
            self.pending.append(BuildStalled(request.id, f"no worker has registered build:{request.job.name}"))

    def end(self, build: BuildId, result: Result, detail: str = "") -> None:
        """End a held build; the answer is on its way."""
        held = self.builds[build]
        held.result = result
        self.pending.append(BuildDone(build, result, 1.0, detail))

    def register(self, job: str) -> None:
        """Let a worker come that knows `job`."""
        self.unregistered.discard(job)
        for held in self.running():
            if held.request.job.name == job:
                self.pending += [BuildStalled(held.request.id, ""), BuildStarted(held.request.id, "fake")]

    def running(self) -> list[HeldBuild]:
        """Return the builds that were asked for and have not ended, oldest first."""
        return [held for held in self.builds.values() if held.result is None]

    def settle(self, limit: int = 100_000) -> None:
        """Deliver every answer, and what follows, until nothing is on its way."""
        for _ in range(limit):
            if not self.pending:
                return
            self.feed(self.pending.pop(0))
        raise AssertionError(f"not settled after {limit} steps")

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.feed(Tick())

    def restart(self, from_journal: bool = False) -> None:
        """Kill and start again: answers on their way are lost, as are commands not yet performed; what was journalled is not."""
        self.pending.clear()
        self.unperformed.clear()
        if from_journal:
            self.gate = replayed(self.journal)
        else:
            self.gate = Gate(decode(State, encode(self.gate.state)))
        self.feed(Configured(self.config))
        self.unperformed.extend(self.gate.outstanding())
        self.perform()
