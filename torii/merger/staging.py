"""One merge request, from what it needs fetched to what it wants pushed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torii.git import (
    GitError,
    Pushed,
    PushOutcome,
    RefUpdate,
    RemoteUnavailableError,
    UnsafeNameError,
    check_branch,
    check_ref,
    check_sha,
)
from torii.merger.answer import ConfigFile, StageAnswer, StagedState
from torii.merger.gathering import Gathered, Needs, gather
from torii.merger.merging import Clash, Merging
from torii.merger.modes import Identity, Modes, Tip
from torii.merger.objects import Entry, Objects
from torii.merger.places import Place
from torii.merger.states import BranchStack
from torii.model.build import StagedBranch
from torii.model.command import Merge, Stage, StageBase, StageChange
from torii.model.event import Conflict, MergeUnavailable
from torii.model.ids import BuildSetId, ChangeId, ProjectName, Sha

CONFIG_NAME = "torii.yml"
CONFIG_LIMIT = 1 << 20
"""Bytes of a `torii.yml`. A larger one is not read."""

Branch = tuple[ProjectName, str]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A project's place, and what merges there."""

    place: Place
    merging: Merging


class UnavailableError(Exception):
    """A stage cannot be tried; the message says why. Never leaves this package."""


class Staging:
    """Makes the states that `merge` asks for. `workshop` gives that of a project, None for an unknown one."""

    def __init__(self, merge: Merge, workshop: Callable[[ProjectName], Workshop | None], identity: Identity) -> None:
        self._merge = merge
        self._workshop = workshop
        self._identity = identity
        self._bases = {(base.project, base.branch): base for base in merge.base}
        self._refused: dict[BuildSetId, str] = {}
        self._gathered: dict[ProjectName, Gathered | str] = {}
        self._stacks: dict[Branch, BranchStack] = {}
        # What most stages of a request share is read once.
        self._configs: dict[Entry | None, ConfigFile] = {}
        self._tip_configs: dict[Sha, ConfigFile] = {}

    def run(self, made: Callable[[StageAnswer], None]) -> tuple[StageAnswer, ...]:
        """Return one answer a stage, in order. Refs are pushed when it returns; `made` is told of each stage before that."""
        self._gather()
        answers: list[StageAnswer] = []
        stopped = ""
        for stage in self._merge.stages:
            # The states behind one that could not be tried would stand on the wrong ground, so they cannot be tried either.
            outcome = MergeUnavailable(stopped) if stopped else self._try(stage)
            if isinstance(outcome, MergeUnavailable) and not stopped:
                stopped = f"the state ahead could not be tried: {outcome.reason}"
            answers.append(StageAnswer(stage.build_set, outcome))
            made(answers[-1])
        return self._pushed(answers)

    # -- fetching

    def _gather(self) -> None:
        needs: dict[ProjectName, Needs] = {}
        for stage in self._merge.stages:
            try:
                self._check(stage)
            except UnsafeNameError as error:
                self._refused[stage.build_set] = str(error)
                continue
            for change in stage.changes:
                needs.setdefault(change.project, Needs()).changes[change.commit] = change.ref
                self._need_branch(needs[change.project], (change.project, change.branch))
            self._need_branch(needs.setdefault(stage.project, Needs()), (stage.project, stage.branch))
        for project, wanted in needs.items():
            self._gathered[project] = self._gather_project(project, wanted)

    def _check(self, stage: Stage) -> None:
        check_ref(self._ref(stage, stage.branch))
        for change in stage.changes:
            check_branch(change.branch)
            check_ref(change.ref)
            check_sha(change.commit)
        for base in self._merge.base:
            check_branch(base.branch)
            check_sha(base.commit)
            check_sha(base.tip)

    def _need_branch(self, needs: Needs, branch: Branch) -> None:
        if base := self._bases.get(branch):
            needs.bases[base.commit] = base.branch
            needs.bases[base.tip] = base.branch
        else:
            needs.branches.add(branch[1])

    def _gather_project(self, project: ProjectName, needs: Needs) -> Gathered | str:
        workshop = self._workshop(project)
        if workshop is None:
            return f"this merger's server.yml has no project {project}"
        try:
            return gather(workshop.place, workshop.merging.objects, needs, self._merge.pipeline)
        except GitError as error:
            return str(error)

    # -- merging

    def _try(self, stage: Stage) -> StagedState | Conflict | MergeUnavailable:
        if stage.build_set in self._refused:
            return MergeUnavailable(self._refused[stage.build_set])
        try:
            return self._make(stage)
        except (UnavailableError, GitError, UnsafeNameError) as error:
            return MergeUnavailable(str(error))

    def _make(self, stage: Stage) -> StagedState | Conflict:
        own = (stage.project, stage.branch)
        made: dict[Branch, BranchStack] = {}
        files: tuple[str, ...] | None = None
        for change in stage.changes:
            branch = (change.project, change.branch)
            before = made.get(branch) or self._stack(branch)
            after = self._add(before, change)
            if isinstance(after, Conflict):
                return after
            made[branch] = after
            assert after.top is not None
            files = tuple(sorted(after.top.files))
        made[own] = made.pop(own) if own in made else self._stack(own)  # its own is the last
        if files is None:
            files = self._files_of_state(stage.project, made[own], stage.since)
        branches = tuple(self._staged(stage, branch, stack) for branch, stack in made.items())
        workshop = self._known(stage.project)
        answer = StagedState(
            branches,
            tuple(printable(path) for path in files),
            self._config(workshop, made[own].now.tree),
            self._tip_config(workshop, made[own].base),
        )
        self._stacks |= made
        return answer

    def _add(self, stack: BranchStack, change: StageChange) -> BranchStack | Conflict:
        workshop = self._known(change.project)
        if reason := self._facts(change.project).lacking.get(change.commit):
            raise UnavailableError(reason)
        modes = Modes(workshop.place.mirror, workshop.merging, self._identity)
        taken = [layer.commit for layer in stack.layers()]
        now = modes.apply(change.mode, stack.now, change.commit, change.branch, taken)
        objects = workshop.merging.objects
        if isinstance(now, Clash):
            return Conflict(now.reason, tuple(printable(path) for path in now.files), self._culprit(workshop, stack, change, now))
        files = objects.changed(stack.now.tree, now.tree)
        workshop.merging.attributes.follow(stack.now.tree, now.tree, files)
        return stack.with_change(change.change, change.commit, now, files)

    def _culprit(self, workshop: Workshop, stack: BranchStack, change: StageChange, clash: Clash) -> ChangeId | None:
        merging, mirror = workshop.merging, workshop.place.mirror
        if not clash.files:
            return None

        def clashes(commit: Sha) -> bool:
            return isinstance(merging.merge(commit, merging.objects.commit(commit).tree, change.commit), Clash)

        return stack.culprit(clash.files, clashes, mirror, merging.objects)

    def _stack(self, branch: Branch) -> BranchStack:
        if branch in self._stacks:
            return self._stacks[branch]
        project, name = branch
        facts, objects = self._facts(project), self._known(project).merging.objects
        if base := self._bases.get(branch):
            return self._standing_on(base, facts)
        if name not in facts.tips:
            raise UnavailableError(f"{self._known(project).place.origin.shown} has no branch {name}")
        tip = facts.tips[name]
        ground = Tip(tip, objects.commit(tip).tree)
        return BranchStack(tip, ground, ground)

    def _standing_on(self, base: StageBase, facts: Gathered) -> BranchStack:
        for commit in (base.commit, base.tip):
            if reason := facts.lacking.get(commit):
                raise UnavailableError(reason)
        ground = Tip(base.commit, self._known(base.project).merging.objects.commit(base.commit).tree)
        return BranchStack(base.tip, ground, ground, base.changes)

    def _files_of_state(self, project: ProjectName, stack: BranchStack, since: Sha | None) -> tuple[str, ...]:
        # A state that has landed, with nothing merged. Where the commit it came from is gone, nothing is known of what it altered.
        objects = self._known(project).merging.objects
        if since is None or not objects.has(since):
            return ()
        return objects.changed(objects.commit(since).tree, stack.now.tree)

    def _staged(self, stage: Stage, branch: Branch, stack: BranchStack) -> StagedBranch:
        project, name = branch
        return StagedBranch(project, name, stack.base, stack.now.commit, stack.now.tree, self._ref(stage, name))

    def _ref(self, stage: Stage, branch: str) -> str:
        return check_ref(f"refs/staging/{self._merge.pipeline}/{stage.build_set}/{branch}")

    def _tip_config(self, workshop: Workshop, tip: Sha) -> ConfigFile:
        if tip not in self._tip_configs:
            self._tip_configs[tip] = self._config(workshop, workshop.merging.objects.commit(tip).tree)
        return self._tip_configs[tip]

    def _config(self, workshop: Workshop, tree: Sha) -> ConfigFile:
        objects = workshop.merging.objects
        entry = objects.entry(tree, CONFIG_NAME.encode())
        if entry not in self._configs:
            self._configs[entry] = self._read_config(objects, entry)
        return self._configs[entry]

    def _read_config(self, objects: Objects, entry: Entry | None) -> ConfigFile:
        if entry is None:
            return ConfigFile()
        if entry.mode not in (0o100644, 0o100755, 0o100664):
            return ConfigFile(problem=f"{CONFIG_NAME} must be a plain file, not a link, a folder or a submodule")
        content = objects.read(entry.sha, "blob", CONFIG_LIMIT)
        return ConfigFile(content) if content is not None else ConfigFile(problem=f"{CONFIG_NAME} is larger than 1 MiB")

    def _known(self, project: ProjectName) -> Workshop:
        workshop = self._workshop(project)
        if workshop is None:
            raise UnavailableError(f"this merger's server.yml has no project {project}")
        return workshop

    def _facts(self, project: ProjectName) -> Gathered:
        facts = self._gathered[project]
        if isinstance(facts, str):
            raise UnavailableError(facts)
        return facts

    # -- pushing

    def _pushed(self, answers: list[StageAnswer]) -> tuple[StageAnswer, ...]:
        updates: dict[ProjectName, list[RefUpdate]] = {}
        for answer in answers:
            if isinstance(answer.outcome, StagedState):
                for one in answer.outcome.branches:
                    updates.setdefault(one.project, []).append(RefUpdate(one.ref, one.commit))
        problems: dict[tuple[ProjectName, str], str] = {}
        for project, wanted in updates.items():
            problems |= {(project, ref): reason for ref, reason in push_staging(self._known(project).place, wanted).items()}
        return tuple(_after_push(answers, problems))


def push_staging(place: Place, updates: list[RefUpdate]) -> dict[str, str]:
    """Push `updates`, moving refs that are there already with something else. Returns, for each ref that was not pushed, why."""
    try:
        outcomes = place.staging.push(place.mirror, updates)
        if again := [update for update in updates if not isinstance(outcomes[update.ref], Pushed)]:
            # The same build set was staged before, on another tip. Its ref moves, but only from what it is seen to be at.
            there = place.staging.ls_remote([update.ref for update in again])
            moves = [RefUpdate(each.ref, each.new, there[each.ref], rewind=True) for each in again if each.ref in there]
            outcomes |= place.staging.push(place.mirror, moves)
    except RemoteUnavailableError as error:
        return {update.ref: str(error) for update in updates}
    return {ref: reason for ref, outcome in outcomes.items() if (reason := _refusal(place, ref, outcome))}


def _refusal(place: Place, ref: str, outcome: PushOutcome) -> str:
    return "" if isinstance(outcome, Pushed) else f"{place.staging.shown} refused {ref}: {outcome.reason}"


def _after_push(answers: list[StageAnswer], problems: dict[tuple[ProjectName, str], str]) -> list[StageAnswer]:
    stopped = ""
    final = []
    for answer in answers:
        if isinstance(answer.outcome, StagedState) and not stopped:
            stopped = next((problems[key] for one in answer.outcome.branches if (key := (one.project, one.ref)) in problems), "")
        final.append(StageAnswer(answer.build_set, MergeUnavailable(stopped)) if stopped else answer)
    return final


def printable(path: str) -> str:
    """Return `path` with each byte that is not UTF-8 written as an escape, so that it can be shown, stored and matched."""
    return path.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="backslashreplace")
