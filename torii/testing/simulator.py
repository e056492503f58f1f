"""A random walk through everything that can happen around a gate: changes, failures, restarts, lost, repeated and reordered answers.

The walk is a function of its seed, so that one that found a fault can be walked again: `simulate(seed=17)`.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torii.gate.state import tip_key
from torii.model.build import Result
from torii.model.change import ChangeStatus
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Dequeue, Event, MergeDone, ReportDone, SubmitDone
from torii.model.ids import ChangeId, PipelineName, ProjectName
from torii.model.pipeline import GateConfig, Manager, ProjectSpec, Window
from torii.testing.invariants import Violation, Watch, require
from torii.testing.lab import Lab, replayed
from torii.testing.story import story_config, with_recheck

TORII_YML = """\
queue: together
jobs:
  unit: {run: make unit}
  slow: {run: make slow, needs: [unit]}
  lint: {run: make lint, voting: false}
pipelines: {check: [unit, lint], gate: [unit, slow], post: [lint]}
"""
ALONE_YML = "jobs: {unit: {run: make, attempts: 2}}\npipelines: {check: [unit], gate: [unit], post: []}\n"
BROKEN_YML = "jobs: {unit: {runs: make}}\n"

APP, LIB, TOOL = ProjectName("app"), ProjectName("lib"), ProjectName("tool")
_ANSWERS = (BuildDone, BuildStarted, BuildStalled, MergeDone, SubmitDone, ReportDone)
_RESULTS = [Result.SUCCESS] * 14 + [Result.FAILURE] * 3 + [Result.LOST, Result.TIMED_OUT, Result.UNSTABLE]


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a walk has seen."""

    steps: int
    changes: int
    merged: int
    reports: int
    builds: int
    restarts: int


class Walk:
    """One random walk. `steps` are things that happen; the gate's own steps are a few times as many."""

    def __init__(self, seed: int, config: GateConfig | None = None, *, twins: bool = False) -> None:
        self.random = random.Random(seed)
        projects = tuple(ProjectSpec(name) for name in (APP, LIB, TOOL))
        self.lab = Lab(config or with_recheck(story_config(projects=projects)))
        self.lab.forge.twins = twins
        self.watch = Watch(self.lab)
        self.restarts = 0
        self._changes = 0
        for project, text in ((APP, TORII_YML), (LIB, TORII_YML), (TOOL, ALONE_YML)):
            for branch in ("main", "stable"):
                self.lab.feed(self.lab.forge.create_branch(project, branch, {"torii.yml": text}))
        self._doings: Sequence[tuple[int, Callable[[], None]]] = (
            (10, self._push),
            (14, self._approve),
            (2, self._new_patchset),
            (2, self._unapprove),
            (2, self._abandon),
            (1, self._restore),
            (1, self._recheck),
            (2, self._push_past),
            (40, self._deliver),
            (30, self._end_build),
            (2, self._repeat),
            (2, self._pass_time),
            (1, self._outage),
            (1, self._restart),
            (1, self._reconfigure),
            (1, self._dequeue),
            (1, self._workers),
            (1, self._another_queue),
            (1, self._set_back),
            (1, self._put_together),
        )

    def run(self, steps: int) -> Statistics:
        """Walk `steps` steps, checking after each, then let everything end and check the rest."""
        weights = [weight for weight, _ in self._doings]
        doings = [doing for _, doing in self._doings]
        for doing in self.random.choices(doings, weights, k=steps):
            doing()
            self.watch.check()
        self.end(steps)
        self.watch.check_rest()
        forge = self.lab.forge
        return Statistics(steps, self._changes, len(forge.merged), len(forge.reports), len(self.lab.builds), self.restarts)

    def end(self, steps: int) -> None:
        """Answer everything and pass every build, in a bounded number of steps."""
        self.lab.forge.away, self.lab.forge.merging = "", True
        for job in list(self.lab.unregistered):
            self.lab.register(job)
        for _ in range(40 * steps + 1000):
            if self.lab.pending:
                self.lab.feed(self.lab.pending.pop(0))
            elif running := self.lab.running():
                self.lab.end(running[0].request.id, Result.SUCCESS)
            elif self.lab.gate.state.timers:
                self.lab.pass_time(301)
            else:
                return
            self.watch.check()

    # -- people

    def _open(self) -> list[ChangeId]:
        submissions = self.lab.forge.submissions.values()
        return [one.change.id for one in submissions if one.change.status is ChangeStatus.OPEN]

    def _files(self, change: ChangeId) -> dict[str, str]:
        roll = self.random.random()
        if roll < 0.25:
            return {f"shared{self.random.randrange(4)}": f"{change} {self.random.random()}"}
        if roll < 0.29:
            return {"torii.yml": self.random.choice([BROKEN_YML, ALONE_YML, TORII_YML + f"# {change}\n"])}
        return {f"{change}.txt": str(self.random.random())}

    def _push(self) -> None:
        self._changes += 1
        project = self.random.choice([APP, APP, LIB, TOOL])
        branch = self.random.choice(["main", "main", "main", "stable"])
        change = ChangeId(f"{project}:{branch}/c{self._changes}")
        waiting = self._open()
        depends_on = (self.random.choice(waiting),) if waiting and self.random.random() < 0.2 else ()
        self._say(self.lab.forge.push_change(change, project, branch, self._files(change), depends_on))

    def _say(self, event: Event) -> None:
        """Sources speak in order: what one says is on its way at once, or (some of the time) heard at once."""
        self.lab.pending.append(event)

    def _some(self) -> ChangeId | None:
        waiting = self._open()
        return self.random.choice(waiting) if waiting else None

    def _approve(self) -> None:
        if change := self._some():
            self._say(self.lab.forge.approve(change))

    def _new_patchset(self) -> None:
        if change := self._some():
            one = self.lab.forge.submissions[change].change
            others = [other for other in self._open() if other != change]
            anew = (self.random.choice(others),) if others and self.random.random() < 0.5 else ()  # a cycle, now and then
            depends_on = one.depends_on if self.random.random() < 0.7 else anew
            files = self.lab.forge.submissions[change].files if self.random.random() < 0.4 else self._files(change)  # a rebase, say
            self._say(self.lab.forge.push_change(change, one.project, one.branch, files, depends_on))

    def _put_together(self) -> None:
        """Some changes get a topic, with which they merge together; or one has none any more."""
        waiting = self._open()
        some = self.random.sample(waiting, min(len(waiting), self.random.choice([1, 1, 1, 2, 3])))
        submissions = self.lab.forge.submissions
        some.sort(key=lambda change: len(submissions[change].change.depends_on))
        for event in self.lab.forge.put_together(*some):
            self._say(event)

    def _unapprove(self) -> None:
        if change := self._some():
            self._say(self.lab.forge.unapprove(change))

    def _abandon(self) -> None:
        if change := self._some():
            self._say(self.lab.forge.abandon(change))

    def _restore(self) -> None:
        gone = [one.change.id for one in self.lab.forge.submissions.values() if one.change.status is ChangeStatus.ABANDONED]
        if gone:
            self._say(self.lab.forge.restore(self.random.choice(gone)))

    def _recheck(self) -> None:
        if change := self._some():
            words = ["recheck", "recheck unit", "recheck lint, unit", "recheck what"]
            asked = self.random.random() < 0.5
            self._say(self.lab.forge.comment(change, self.random.choice(words)) if asked else self.lab.forge.recheck(change))

    def _push_past(self) -> None:
        self._say(self.lab.forge.push_branch(self.random.choice([APP, TOOL]), "main", {"hotfix": str(self.random.random())}))

    def _another_queue(self) -> None:
        """A branch says that it is gated in another queue, while changes stand in the one before."""
        text = self.random.choice([TORII_YML, TORII_YML.replace("together", "apart"), TORII_YML.replace("queue: together\n", "")])
        self._say(self.lab.forge.push_branch(self.random.choice([APP, LIB]), "main", {"torii.yml": text}))

    def _set_back(self) -> None:
        """Somebody sets a branch back by force."""
        project = self.random.choice([APP, LIB])
        known = self.lab.gate.state.tips.get(tip_key(project, "main"))
        if known is not None and known.past:
            self._say(self.lab.forge.set_back(project, "main", self.random.choice(known.past[-3:])))

    def _dequeue(self) -> None:
        if change := self._some():
            key = f"request-{len(self.lab.journal)}"
            self._say(Dequeue(change, self.random.choice([None, PipelineName("gate")]), "an operator", key))

    # -- answers

    def _deliver(self) -> None:
        """Deliver an answer: usually the oldest, sometimes another one. Sources and merges keep their own order."""
        pending = self.lab.pending
        if not pending:
            return
        index = 0
        if self.random.random() < 0.3:
            free = [number for number, event in enumerate(pending) if isinstance(event, (BuildDone, BuildStarted))]
            index = self.random.choice(free) if free else 0
        self.lab.feed(pending.pop(index))

    def _end_build(self) -> None:
        if running := self.lab.running():
            self.lab.end(self.random.choice(running).request.id, self.random.choice(_RESULTS))

    def _repeat(self) -> None:
        """Something is heard twice."""
        if self.lab.journal:
            event = self.random.choice(self.lab.journal[-50:])[1]
            if isinstance(event, (BuildDone, BuildStarted, MergeDone, SubmitDone)) or hasattr(event, "key"):
                self.lab.feed(event)

    def _pass_time(self) -> None:
        self.lab.pass_time(self.random.choice([-50.0, 1.0, 10.0, 400.0]))

    def _outage(self) -> None:
        self.lab.forge.merging = self.random.random() < 0.7
        self.lab.forge.news_first = self.random.random() < 0.5
        self.lab.forge.away = "" if self.lab.forge.away or self.random.random() < 0.5 else "the git server does not answer"

    def _workers(self) -> None:
        """Workers that know a job go, or come back."""
        if self.lab.unregistered:
            self.lab.register(self.random.choice(sorted(self.lab.unregistered)))
        else:
            self.lab.unregistered.add(self.random.choice(["unit", "slow", "lint"]))

    def _reconfigure(self) -> None:
        """Start again with pipelines that work in another way."""
        managers = {"check": (Manager.INDEPENDENT, Manager.DEPENDENT), "gate": (Manager.DEPENDENT, Manager.SERIAL)}
        others = (Manager.SUPERCEDENT, Manager.SERIAL, Manager.INDEPENDENT)
        pipelines = tuple(
            replace(
                spec,
                manager=self.random.choice(managers.get(spec.name, others)),
                window=self.random.choice([Window(), Window(initial=2, floor=1, ceiling=4)]),
            )
            for spec in self.lab.config.pipelines
        )
        self.lab.config = replace(self.lab.config, pipelines=pipelines)
        self._restart()

    def _restart(self) -> None:
        """Kill it: what was on its way is lost, but sources remember what they have not been heard on."""
        self.restarts += 1
        heard = [event for event in self.lab.pending if not isinstance(event, _ANSWERS)]
        if self.random.random() < 0.3:
            self.lab.unperformed = []
        from_journal = self.random.random() < 0.1 and len(self.lab.journal) < 400
        if from_journal:
            require(replayed(self.lab.journal).state == self.lab.gate.state, "the journal tells another story")
        self.lab.restart(from_journal)
        self.lab.pending.extend(heard)


def simulate(seed: int, steps: int = 300, *, twins: bool | None = None) -> Statistics:
    """Walk `steps` random steps from `seed`. Raises `torii.testing.invariants.Violation` at the first that breaks an invariant.

    `twins`: whether the git server merges by itself, making commits of its own; by default every other seed's does.
    """
    return Walk(seed, twins=seed % 2 == 1 if twins is None else twins).run(steps)


def main(arguments: Sequence[str]) -> int:
    """Walk from as many seeds, with as many steps each, as the arguments say; return 1 at the first violation."""
    seeds, steps = (int(argument) for argument in (*arguments, "100", "1000")[:2])
    for seed in range(seeds):
        try:
            statistics = simulate(seed, steps)
        except Violation as violation:
            sys.stderr.write(f"simulate(seed={seed}, steps={steps}): {violation}\n")
            return 1
        sys.stdout.write(f"{seed}: {statistics}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
