"""What must hold of the gate at every step, whatever happens around it (section 4 of the design). Each check raises `Violation`."""

from __future__ import annotations

from torii.gate.state import BuildPhase, ItemPhase, Queue, SetPhase, State
from torii.model.build import BuildSummary, Result
from torii.model.change import Change, ChangeStatus
from torii.model.command import Command, Report, Submit, Verdict
from torii.model.ids import BuildSetId, ChangeId, PipelineName, Sha
from torii.testing.forge import tree_id
from torii.testing.lab import HeldBuild, Lab


class Violation(AssertionError):  # noqa: N818 - what was violated is an invariant, the error is the gate's
    """An invariant does not hold."""


def require(holds: bool, message: str) -> None:
    """Raise `Violation` with `message` unless it `holds`."""
    if not holds:
        raise Violation(message)


class Watch:
    """Looks at a lab: at each command as it is performed, and at the whole after each step."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._reports: dict[BuildSetId, Verdict] = {}
        self._tickets: dict[str, int] = {}
        self._landed = 0
        lab.watch = self.performed

    # -- commands

    def performed(self, command: Command) -> None:
        """Check a command that was just performed."""
        match command:
            case Submit():
                self._submitted()
            case Report():
                self._reported(command)

    def _submitted(self) -> None:
        """Check what has landed since this was last looked at; most submits land one change, some all that merge together."""
        landings = self.lab.forge.landings
        for place in range(self._landed, len(landings)):
            submit, commit = landings[place]
            self._check_landing(submit, commit, [one.change.id for one, _ in landings[:place]])
        self._landed = len(landings)

    def _check_landing(self, submit: Submit, commit: Sha, before: list[ChangeId]) -> None:
        """1: what lands is what passed; 2: in order, and not without what it depends on."""
        forge, change = self.lab.forge, submit.change
        require(forge.twins or commit == submit.commit, f"{change.id}: another commit landed than was to be submitted")
        require(tree_id(forge.commits[commit]) == submit.tree, f"{change.id}: another tree landed than was to be submitted")
        latest: dict[str, HeldBuild] = {}
        for held in self.lab.builds.values():
            if held.request.build_set == submit.build_set:
                latest[held.request.job.name] = held
        for held in latest.values():
            require(held.request.commit == submit.commit, f"{change.id}: {held.request.job.name} built another commit than landed")
            passed = held.result is Result.SUCCESS or not held.request.job.voting
            require(passed, f"{change.id} landed though {held.request.job.name} ended {held.result}")
        for dependency in forge.submissions[change.id].change.depends_on:
            require(dependency in before, f"{change.id} landed without {dependency}")
        item = self.lab.items[submit.build_set.rpartition(".")[0]]
        for partner in change.together:
            require(partner in forge.merged or self._passed(partner, item.pipeline), f"{change.id} landed before {partner} had passed")
        key = f"{item.pipeline} {item.queue}"
        require(item.position is None or item.position > self._tickets.get(key, 0), f"{change.id} overtook what was ahead of it")
        self._tickets[key] = item.position or self._tickets.get(key, 0)

    def _passed(self, change: ChangeId, pipeline: PipelineName) -> bool:
        """Return whether `change` is being merged, or was reported to have passed."""
        items = [one for one in self.lab.items.values() if (one.change, one.pipeline) == (change, pipeline)]
        told = [one for one in self.lab.forge.reports.values() if (one.subject.id, one.pipeline) == (change, pipeline)]
        return any(one.state == "submitting" for one in items) or any(one.verdict is Verdict.SUCCESS for one in told)

    def _reported(self, report: Report) -> None:
        """3: one report a build set; 4: never one of an old patch set's builds."""
        for build in report.builds:
            held = self.lab.builds.get(build.id)
            if held is not None and held.request.build_set != report.key.rpartition(":")[0]:
                self._kept(report, build, held)
        if report.verdict in (Verdict.START, Verdict.DEQUEUED):
            return
        name = BuildSetId(report.key.rpartition(":")[0])
        before = self._reports.get(name)
        again = before in (None, report.verdict) or (before is Verdict.SUCCESS and report.verdict is Verdict.NOT_MERGED)
        require(again, f"{name} was reported {before} and then {report.verdict}")
        self._reports[name] = report.verdict

    def _kept(self, report: Report, build: BuildSummary, held: HeldBuild) -> None:
        """4: a result of another build set is that of the same change on the same tree, and what it came to."""
        commits, tested = self.lab.forge.commits, self.lab.items[report.item].commit
        require(held.request.change == report.subject.id, f"{report.key} shows a build of another change")
        require(tested is not None and commits[held.request.commit] == commits[tested], f"{report.key} shows a build of another tree")
        require(held.result is build.result, f"{report.key} says that {build.job} ended {build.result}, which ended {held.result}")

    # -- the whole

    def check(self) -> None:
        """Check the state after a step."""
        state = self.lab.gate.state
        self._check_queues(state)
        self._check_build_sets(state)
        self._check_builds(state)

    def _check_queues(self, state: State) -> None:
        count = 0
        for queue in state.queues.values():
            seen, number, ahead = 0, queue.head, None
            while number is not None:
                item = state.items[number]
                require(item.ahead == ahead, f"{item.id} does not know what is ahead of it")
                require(item.phase is not ItemPhase.LEFT, f"{item.id} left but stands in {queue.name}")
                seen, ahead, number = seen + 1, number, item.behind
            require((queue.tail, queue.length) == (ahead, seen), f"{queue.name} has lost its tail or its count")
            count += seen
            self._check_units(state, queue)
        require(count == len(state.items), "an item is in no queue")

    def _check_units(self, state: State, queue: Queue) -> None:
        """What merges together stands one behind the other."""
        number = queue.head
        while number is not None:
            item = state.items[number]
            after = [one for one in item.together[item.together.index(number) + 1 :] if one in state.items] if item.together else []
            require(not after or item.behind == after[0], f"{number} stands apart from {after[:1]}, which it merges together with")
            number = item.behind

    def _check_build_sets(self, state: State) -> None:
        alive = {build_set.id: item for item in state.items.values() for build_set in item.build_sets}
        for item in state.items.values():
            known = state.changes.get(item.subject.id)
            if isinstance(item.subject, Change) and known is not None and not item.ending:
                require(known.patchset == item.subject.patchset, f"{item.id} is about an old patch set")
            for build_set in item.build_sets:
                if build_set.parent is not None and build_set.id != item.chosen:  # else its answer tells whether that has landed
                    require(build_set.parent in alive, f"{build_set.id} stands on {build_set.parent}, which is gone")
                    require(alive[build_set.parent].ticket < item.ticket, f"{build_set.id} stands on what is behind it")

    def _check_builds(self, state: State) -> None:
        """4: what runs is wanted; and nothing that is wanted was never asked for."""
        wanted = {
            build.id
            for item in state.items.values()
            for build_set in item.build_sets
            for build in build_set.builds
            if build.phase in (BuildPhase.QUEUED, BuildPhase.RUNNING)
        }
        running = {held.request.id for held in self.lab.running()}
        if not self.lab.unperformed:
            require(running <= wanted, f"{running - wanted} run though nobody wants them")
            require(wanted <= self.lab.builds.keys(), f"{wanted - self.lab.builds.keys()} were never started")

    # -- the end

    def check_rest(self) -> None:
        """Check that nothing is left once everything was answered. 3 and 5: each item was reported, or left with a reason."""
        state = self.lab.gate.state
        stuck = {item.id: (item.subject.id, item.reason) for item in state.items.values()}
        require(not stuck, f"still there though everything was answered: {stuck}")
        require(not state.reports, f"not answered: {list(state.reports)}")
        require(not state.stopping, f"not stopped: {list(state.stopping)}")
        for item in self.lab.items.values():
            require(item.outcome != "" and item.reason != "", f"{item.id} left without outcome or reason")
        merging = [one for one in state.items.values() for two in one.build_sets if two.phase is SetPhase.MERGING]
        require(not merging, "a merge was never answered")
        for change in self.open_and_approved():
            self._check_answered(change)

    def _check_answered(self, change: Change) -> None:
        """3: an approved change was gated at just this patch set, waits at the door, or was told why not."""
        gated = [item for item in self.lab.items.values() if (item.change, item.pipeline) == (change.id, "gate")]
        held = f"gate {change.id}" in self.lab.gate.state.held
        noted = [one for one in self.lab.decisions if (one.change, one.pipeline, one.item) == (change.id, "gate", None)]
        answered = held or any(item.patchset == change.patchset for item in gated) or bool(noted)
        require(answered, f"{change.id} was approved, and nothing is on record about it")
        submissions = self.lab.forge.submissions
        needs = [one for one in change.depends_on if submissions[one].change.status is not ChangeStatus.MERGED]
        require(
            not held or bool(needs) or change.id in self.lab.forge.topics,
            f"{change.id} waits at the door, though all that it depends on has merged",
        )

    def open_and_approved(self) -> list[Change]:
        """Return the changes that wait to be merged."""
        submissions = self.lab.forge.submissions.values()
        return [one.change for one in submissions if one.change.approved and one.change.status is ChangeStatus.OPEN]
