"""What a sync found and did, in one Jenkins and in all, in words and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torii.jobs.apply import Done
from torii.jobs.plan import Deed, Plan, Step

_WORDS = {Deed.MAKE: ("make", "made"), Deed.CHANGE: ("change", "changed"), Deed.REMOVE: ("remove", "removed")}
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Report:
    """One Jenkins. `plan` is None where it could not be looked at, for the reason `problem`. `done` is empty where only a plan was wanted.

    `diffs` are unified diffs of jobs to change, by name. `written` says what was written into files, where that was all that was wanted.
    """

    name: str
    url: str
    plan: Plan | None = None
    lacking: Sequence[str] = ()
    done: Sequence[Done] | None = None
    diffs: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    folder: str = ""
    written: str = ""

    @property
    def failed(self) -> list[Done]:
        return [done for done in self.done or () if done.problem]

    @property
    def away(self) -> bool:
        """Whether the Jenkins could not be looked at, or went away in the middle."""
        return bool(self.problem) or any(done.away for done in self.failed)

    @property
    def amiss(self) -> bool:
        """Whether a job is not as it should be, and will not be by itself."""
        return bool(self.failed or (self.plan and self.plan.clashes))

    def lines(self) -> Iterator[str]:
        """Yield what there is to say."""
        yield f"{self.name} ({self.url}{f', folder {self.folder}' if self.folder else ''}):"
        if self.problem or self.plan is None:
            yield f"  FAILED   {self.problem}"
            return
        yield from (f"  note     {words}" for words in (*self.lacking, *self.plan.notes))
        yield from (f"  CLASH    {words}" for words in self.plan.clashes)
        if self.done is None:
            yield from self._planned(self.plan)
        else:
            yield from (f"  {_WORDS[done.step.deed][1]:<8} {done.step.name}" for done in self.done if not done.problem)
            yield from (f"  FAILED   to {_WORDS[done.step.deed][0]} {done.problem}" for done in self.failed)
        if self.plan.unused:
            named = ", ".join(step.name for step in self.plan.unused[:_SHOWN])
            more = f" and {len(self.plan.unused) - _SHOWN} more" if len(self.plan.unused) > _SHOWN else ""
            them = "it" if len(self.plan.unused) == 1 else "them"
            yield f"  unused   {named}{more}: made by Torii, and nothing names {them} any more; --prune removes {them}"
        yield f"  {self.written or self._summary(self.plan)}"

    def _planned(self, plan: Plan) -> Iterator[str]:
        for step in plan.steps:
            yield f"  {_WORDS[step.deed][0]:<8} {step.name}: {step.reason}"
            yield from (f"    {line}" for line in self.diffs.get(step.name, "").splitlines())

    def _summary(self, plan: Plan) -> str:
        words = []
        for deed, (infinitive, past) in _WORDS.items():
            if self.done is None:
                count = plan.count(deed)
                words += [f"{count} to {infinitive}"] if count else []
            else:
                count = sum(done.step.deed is deed and not done.problem for done in self.done)
                words += [f"{count} {past}"] if count else []
        words += [f"{len(self.failed)} failed"] if self.failed else []
        words += [f"{len(plan.clashes)} with names that are taken"] if plan.clashes else []
        return ", ".join([*words, f"{len(plan.unchanged)} right as they are"])

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        said: dict[str, Any] = {"url": self.url, "folder": self.folder, "problem": self.problem or None}
        if self.plan is None:
            return said
        if self.written:
            return said | {"written": self.written, "notes": list(self.lacking)}
        for deed, (infinitive, past) in _WORDS.items():
            if self.done is None:
                said[infinitive] = [self._step(step) for step in self.plan.steps if step.deed is deed]
            else:
                said[past] = [done.step.name for done in self.done if done.step.deed is deed and not done.problem]
        if self.done is not None:
            said["failed"] = [{"name": done.step.name, "reason": done.problem} for done in self.failed]
        return said | {
            "unchanged": len(self.plan.unchanged),
            "unused": [step.name for step in self.plan.unused],
            "clashes": list(self.plan.clashes),
            "notes": list(self.plan.notes),
            "lacking": list(self.lacking),
        }

    def _step(self, step: Step) -> dict[str, Any]:
        said = {"name": step.name, "project": step.mark.project, "branch": step.mark.branch, "job": step.mark.job, "reason": step.reason}
        return said | ({"diff": self.diffs[step.name]} if step.name in self.diffs else {})
