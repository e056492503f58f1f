"""The scenario language: push, approve, end a build, and see what became of it. A gating story takes ten lines.

`Story` is the language; `PureStory` tells it to the gate between fakes. The real parts speak the same language (`torii.testing.real`),
so that one text runs on both. Every build is held until the story ends it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torii.config.server import gate_config, load_server
from torii.model.build import Result
from torii.model.command import Command, Report, Submit, Verdict
from torii.model.event import Event
from torii.model.ids import ChangeId, ProjectName
from torii.model.pipeline import Cause, GateConfig, ProjectSpec, Trigger
from torii.model.view import ItemView
from torii.testing.lab import HeldBuild, Lab

TORII_YML = """\
jobs:
  unit: {run: make unit}
  lint: {run: make lint, voting: false}
pipelines:
  check: [unit, lint]
  gate: [unit]
"""


class Story(ABC):
    """What can be told. A change is named by a word, such as `a`; its files default to one of its own, so that nothing clashes."""

    # -- what people do

    @abstractmethod
    def push(
        self, name: str, files: Mapping[str, str] | None = None, *, branch: str = "main", depends_on: Sequence[ChangeId] = ()
    ) -> ChangeId:
        """Push a change, or its next patch set."""

    @abstractmethod
    def approve(self, *names: str) -> tuple[ChangeId, ...]:
        """Approve changes, in this order; what was not pushed yet is pushed first."""

    @abstractmethod
    def unapprove(self, change: ChangeId) -> None: ...

    @abstractmethod
    def abandon(self, change: ChangeId) -> None: ...

    @abstractmethod
    def push_past_the_gate(self, files: Mapping[str, str], branch: str = "main") -> None: ...

    # -- what builds do

    @abstractmethod
    def finish(self, change: ChangeId, job: str, result: str = "SUCCESS", *, pipeline: str = "gate", crash_after: str = "") -> None:
        """End the running build of `job`. `crash_after`: kill Torii right after it performed the next command of that name."""

    @abstractmethod
    def running(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        """Return the jobs of `change` that run now, sorted."""

    @abstractmethod
    def finish_all(self, result: str = "SUCCESS") -> None:
        """End every running build with `result`, and those that follow from it, until none runs."""

    @abstractmethod
    def restart(self) -> None:
        """Kill Torii, and start it again."""

    # -- what became of it

    @property
    @abstractmethod
    def merged(self) -> list[ChangeId]:
        """What was merged, in order."""

    @abstractmethod
    def built_on(self, change: ChangeId, pipeline: str = "gate") -> tuple[ChangeId, ...]:
        """Return the changes that `change` is being tested on top of, in merge order."""

    @abstractmethod
    def why(self, change: ChangeId) -> str:
        """Return every decision about `change`, one a line, oldest first."""

    @abstractmethod
    def verdicts(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        """Return the verdicts reported on `change`, oldest first, without START."""

    def reported(self, change: ChangeId, pipeline: str = "gate") -> str:
        """Return the last verdict in capitals, such as `FAILURE`; empty if there is none."""
        return next(iter(self.verdicts(change, pipeline)[::-1]), "").upper()

    @abstractmethod
    def votes(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        """Return the votes cast on `change`, such as `+1`, oldest first."""


class Crash(Exception):  # noqa: N818 - an event of the story, not an error of Torii's
    """Torii was killed here."""


class PureStory(Story):
    """A story told to the gate between fakes. Everything that can be answered is answered at once."""

    project = ProjectName("app")

    def __init__(
        self,
        torii_yml: str = TORII_YML,
        *,
        branches: Sequence[str] = ("main",),
        unregistered_limit: float = 600.0,
        config: GateConfig | None = None,
    ) -> None:
        self.lab = Lab(replace(config or story_config(), unregistered_limit=unregistered_limit))
        for branch in branches:
            self._tell(self.lab.forge.create_branch(self.project, branch, {"torii.yml": torii_yml, "README": "hello"}))

    def _tell(self, event: Event) -> None:
        self.lab.feed(event)
        self.lab.settle()

    def push(
        self, name: str, files: Mapping[str, str] | None = None, *, branch: str = "main", depends_on: Sequence[ChangeId] = ()
    ) -> ChangeId:
        change = ChangeId(f"{self.project}:{branch}/{name}") if ":" not in name else ChangeId(name)
        number = len([one for one in self.lab.journal if getattr(getattr(one[1], "change", None), "id", None) == change])
        given = {f"{name}.txt": f"{name} {number}"} if files is None else files
        self._tell(self.lab.forge.push_change(change, self.project, branch, given, tuple(depends_on)))
        return change

    def _known(self, name: str) -> ChangeId:
        known = [change for change in self.lab.forge.submissions if change == name or change.endswith(f"/{name}")]
        return known[0] if known else self.push(name)

    def approve(self, *names: str) -> tuple[ChangeId, ...]:
        changes = tuple(self._known(name) for name in names)
        for change in changes:
            self._tell(self.lab.forge.approve(change))
        return changes

    def unapprove(self, change: ChangeId) -> None:
        self._tell(self.lab.forge.unapprove(change))

    def abandon(self, change: ChangeId) -> None:
        self._tell(self.lab.forge.abandon(change))

    def restore(self, change: ChangeId) -> None:
        self._tell(self.lab.forge.restore(change))

    def recheck(self, change: ChangeId) -> None:
        self._tell(self.lab.forge.recheck(change))

    def comment(self, change: ChangeId, text: str, by: str = "dev", also: tuple[Cause, ...] = ()) -> None:
        """Say `text` about a change, as on a review server; `also` is what that was besides."""
        self._tell(self.lab.forge.comment(change, text, by, also))

    def alter(self, change: ChangeId, cause: Cause, **fields: Any) -> None:
        """Give a change other values (topic, hashtags, approvals, ...), and have it told because of `cause`."""
        self._tell(self.lab.forge.alter(change, cause, **fields))

    def put_together(self, *changes: ChangeId) -> None:
        """Have these changes merge together, in this order, as a review server does with a whole topic."""
        for event in self.lab.forge.put_together(*changes):
            self._tell(event)

    def push_past_the_gate(self, files: Mapping[str, str], branch: str = "main") -> None:
        self._tell(self.lab.forge.push_branch(self.project, branch, files))

    def _held(self, change: ChangeId, pipeline: str) -> list[HeldBuild]:
        return [one for one in self.lab.running() if (one.request.change, one.request.pipeline) == (change, pipeline)]

    def running(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        return sorted(one.request.job.name for one in self._held(change, pipeline))

    def finish(self, change: ChangeId, job: str, result: str = "SUCCESS", *, pipeline: str = "gate", crash_after: str = "") -> None:
        held = [one for one in self._held(change, pipeline) if one.request.job.name == job]
        if not held:
            raise AssertionError(f"{job} of {change} does not run in {pipeline}; {self.running(change, pipeline)} do. {self.why(change)}")
        self.lab.end(held[0].request.id, Result(result))
        if not crash_after:
            self.lab.settle()
            return
        kinds = {"report": Report, "submit": Submit}

        def crash(command: Command) -> None:
            if isinstance(command, kinds[crash_after]):
                raise Crash

        self.lab.watch = crash
        try:
            self.lab.settle()
        except Crash:
            return
        finally:
            self.lab.watch = None
        raise AssertionError(f"no {crash_after} was performed")

    def finish_all(self, result: str = "SUCCESS") -> None:
        while running := self.lab.running():
            for held in running:
                if held.result is None:
                    self.lab.end(held.request.id, Result(result))
                    self.lab.settle()

    def restart(self) -> None:
        self.lab.restart()
        self.lab.settle()

    @property
    def merged(self) -> list[ChangeId]:
        return list(self.lab.forge.merged)

    def item(self, change: ChangeId, pipeline: str = "gate") -> ItemView:
        """Return the newest item of `change` in `pipeline`."""
        return [one for one in self.lab.items.values() if (one.change, one.pipeline) == (change, pipeline)][-1]

    def built_on(self, change: ChangeId, pipeline: str = "gate") -> tuple[ChangeId, ...]:
        return self.item(change, pipeline).built_on

    def why(self, change: ChangeId) -> str:
        return "\n".join(one.text for one in self.lab.decisions if one.change == change)

    def reports(self, change: ChangeId, pipeline: str = "gate") -> list[Report]:
        """Return the reports on `change`, oldest first, without START."""
        return [
            one
            for one in self.lab.forge.reports.values()
            if (one.subject.id, one.pipeline) == (change, pipeline) and one.verdict is not Verdict.START
        ]

    def verdicts(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        return [one.verdict.value for one in self.reports(change, pipeline)]

    def votes(self, change: ChangeId, pipeline: str = "gate") -> list[str]:
        return [f"{value:+d}" for one in self.reports(change, pipeline) for _, value in one.votes]

    def branch_builds(self) -> list[HeldBuild]:
        """Return the running builds of post-merge pipelines."""
        return [one for one in self.lab.running() if one.request.new is not None]

    def files(self, branch: str = "main") -> Mapping[str, str]:
        """Return what is on the branch now."""
        return self.lab.forge.commits[self.lab.forge.branches[self.project, branch]]


def with_recheck(config: GateConfig) -> GateConfig:
    """Return `config` with a check that listens to the comments `recheck` and `recheck JOB`."""
    trigger = Trigger(Cause.COMMENT_ADDED, comment=r"recheck(?:\s+(?P<jobs>.+))?")
    specs = [replace(spec, triggers=(*spec.triggers, trigger)) if spec.name == "check" else spec for spec in config.pipelines]
    return replace(config, pipelines=tuple(specs))


def story_config(projects: Sequence[ProjectSpec] = (ProjectSpec(ProjectName("app")),)) -> GateConfig:
    """Return the built-in pipelines, voting on Verified, for `projects`."""
    defaults = gate_config(load_server(None), "story")
    rules = [replace(spec.report, success=(("Verified", 1),), failure=(("Verified", -1),)) for spec in defaults.pipelines]
    pipelines = tuple(replace(spec, report=rule) for spec, rule in zip(defaults.pipelines, rules, strict=True))
    return replace(defaults, pipelines=pipelines, projects=tuple(projects))
