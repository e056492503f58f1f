"""The life of a build set: its merge is answered, its builds start, end, get lost and are tried again."""

from __future__ import annotations

from torii.gate import jobgraph, keeping, words
from torii.gate.backoff import backoff
from torii.gate.conclusion import turn_down
from torii.gate.intake import advance_standing_on, learn_tip
from torii.gate.line import advance, advance_alone, ask_merge
from torii.gate.state import Build, BuildPhase, BuildSet, Item, ItemPhase, SetPhase
from torii.gate.world import World
from torii.model.build import BuildRequest, Result
from torii.model.change import BranchState, Subject
from torii.model.command import DropStaging, StageBase, StartBuild
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Conflict, MergeDone, MergeUnavailable, Staged
from torii.model.ids import BuildId, BuildSetId
from torii.model.job import ConfigProblem
from torii.model.pipeline import Manager

# -- merges


def merge_done(world: World, event: MergeDone) -> None:
    """A merge was answered. An answer that nobody waits for leaves refs to delete, and nothing else."""
    build_set = world.sets.get(event.build_set)
    if build_set is None or build_set.phase is not SetPhase.MERGING:
        if isinstance(event.outcome, Staged) and build_set is None:
            world.commands.append(DropStaging(tuple((one.project, one.ref) for one in event.outcome.branches)))
        return
    item = world.state.items[build_set.item]
    match event.outcome:
        case Staged() as staged:
            news = _staged(world, item, build_set, staged)
        case Conflict(reason, files, change):
            news = False
            build_set.phase = SetPhase.CONFLICT
            with_whom = f" with {change}" if change else ""
            where = f" in {words.listed(files)}" if files else f": {reason}"
            build_set.reason = f"merge conflict{with_whom}{where} {words.ground(build_set, item.subject.branch)}"
            _stand_on_parent(world, item, build_set)
            world.decide(item, build_set.reason)
        case MergeUnavailable(reason):
            news = False
            _unavailable(world, item, build_set, reason)
    if news:
        advance_standing_on(world, item.subject.project, item.subject.branch)
    look_again(world, item)


def look_again(world: World, item: Item) -> None:
    """Have the queue of `item` look again, or the item itself where it stands alone. It may have left already."""
    if item.phase is ItemPhase.LEFT:
        return
    if world.spec_of(item).manager is Manager.INDEPENDENT:
        advance_alone(world, item)
    else:
        advance(world, world.queue_of(item))


def _stand_on_parent(world: World, item: Item, conflicting: BuildSet) -> None:
    """Mergers go on without a state that conflicts: those asked for on top of it now stand on what it stood on."""
    for other in world.tested_behind(item):
        for build_set in other.build_sets:
            if build_set.phase is SetPhase.MERGING and item.subject.id in {change for change, _ in build_set.changes}:
                build_set.changes = tuple(pair for pair in build_set.changes if pair[0] != item.subject.id)
                if build_set.parent == conflicting.id:
                    build_set.parent, build_set.state = conflicting.parent, conflicting.state


def _unavailable(world: World, item: Item, build_set: BuildSet, reason: str) -> None:
    build_set.merge_attempts += 1
    config = world.state.config
    if build_set.merge_attempts >= config.merge_attempts:
        build_set.phase = SetPhase.UNAVAILABLE
        build_set.reason = f"could not be merged for testing after {build_set.merge_attempts} attempts: {reason}"
        world.decide(item, build_set.reason)
        return
    build_set.phase, build_set.state = SetPhase.PLANNED, ()
    delay = backoff(config.merge_retry, build_set.merge_attempts)
    world.remind(f"merge {build_set.id}", delay)
    world.decide(item, f"could not be merged for testing (attempt {build_set.merge_attempts}, next in {delay:.0f} s): {reason}")


def merge_due(world: World, number: BuildSetId) -> None:
    """It is time to ask once more for a merge that could not be tried."""
    build_set = world.sets.get(number)
    if build_set is None or build_set.phase is not SetPhase.PLANNED:
        return
    item = world.state.items[build_set.item]
    parent = world.sets.get(build_set.parent) if build_set.parent else None
    if build_set.parent is None or (parent is not None and parent.staged):
        ask_merge(world, [(item, build_set)])
    else:
        look_again(world, item)


def _staged(world: World, item: Item, build_set: BuildSet, staged: Staged) -> bool:
    """Take the staged state, choose its jobs and start them. Returns whether it taught a new tip of the item's branch."""
    build_set.phase, build_set.staged = SetPhase.BUILDING, staged.branches
    own = build_set.own
    ground = [base for base in _ground(world, build_set) if world.holds(item.pipeline, base)]
    inherited = {(base.project, base.branch): base for base in ground}
    before = inherited.get((own.project, own.branch))
    build_set.onto = before.commit if before else own.base
    mine = tuple(change for change, _ in build_set.changes)
    for one in staged.branches:
        inherited[one.project, one.branch] = StageBase(one.project, one.branch, one.commit, one.base, mine)
    build_set.state = tuple(inherited.values())
    _choose_jobs(world, item, build_set, staged)
    if isinstance(item.subject, BranchState):
        return False
    return before is None and learn_tip(world, own.project, own.branch, own.base, build_set.asked_at)


def _ground(world: World, build_set: BuildSet) -> tuple[StageBase, ...]:
    """Return the state that `build_set` was merged on, () for the branch tips.

    Where what it stands on merged while it was being merged, either may be: the merger saw the tip from before that, or a later one.
    """
    parent = world.sets.get(build_set.parent) if build_set.parent else None
    if parent is not None:
        return parent.state
    own = build_set.own
    of_own = [base for base in build_set.state if (base.project, base.branch) == (own.project, own.branch)]
    return build_set.state if all(base.tip == own.base for base in of_own) else ()


def _choose_jobs(world: World, item: Item, build_set: BuildSet, staged: Staged) -> None:
    if staged.config is None:
        _without_config(item.subject, build_set, staged)
        world.decide(item, build_set.reason)
        return
    selection = jobgraph.select(staged, item.pipeline, item.subject, world.spec_of(item).own_jobs)
    if selection is None:
        build_set.phase = SetPhase.MISSING
        build_set.reason = f"torii.yml names no jobs for pipeline {item.pipeline}"
        if world.spec_of(item).merges:
            build_set.phase = SetPhase.BROKEN
            build_set.problems = (_problem(build_set.reason, f"write `{item.pipeline}: []` under `pipelines` to merge without builds"),)
        world.decide(item, build_set.reason)
        return
    if wrong := keeping.misnamed(world, item, selection):
        turn_down(world, item, build_set, wrong)
        return
    for said in selection.instead:
        world.decide(item, said)
    build_set.reason = "; ".join(selection.left_out) or f"{item.pipeline} has no jobs"
    world.set_builds(build_set, keeping.builds_of(world, item, build_set, selection))
    if build_set.kept:
        world.decide(item, build_set.kept)
    if names := [build.job.name for build in build_set.builds if build.kept is None]:
        world.decide(item, f"building {words.listed(names, 8)} {words.ground(build_set)}")
        run_graph(world, item, build_set)


def _without_config(subject: Subject, build_set: BuildSet, staged: Staged) -> None:
    if staged.problems:
        build_set.phase, build_set.problems = SetPhase.BROKEN, staged.problems
        build_set.reason = f"torii.yml is wrong: {staged.problems[0]}"
    elif isinstance(subject, BranchState):
        build_set.phase, build_set.reason = SetPhase.MISSING, "the branch has no torii.yml"
    else:
        build_set.phase = SetPhase.BROKEN
        build_set.reason = "there is no torii.yml in the merged state, so nothing says what to run"
        build_set.problems = (_problem(build_set.reason, "add one; `torii validate` checks it"),)


def _problem(message: str, suggestion: str) -> ConfigProblem:
    return ConfigProblem("torii.yml", 1, 1, "", message, suggestion)


# -- builds


def request_of(world: World, item: Item, build_set: BuildSet, build: Build) -> BuildRequest:
    """Return what a backend needs to run `build`."""
    subject, own = item.subject, build_set.own
    return BuildRequest(
        id=build.id,
        build_set=build_set.id,
        job=build.job,
        synced=build.synced,
        pipeline=item.pipeline,
        project=subject.project,
        branch=subject.branch,
        change=subject.id,
        patchset=subject.patchset,
        changes=build_set.changes,
        ref=own.ref,
        commit=own.commit,
        precedence=world.spec_of(item).precedence,
        old=subject.old if isinstance(subject, BranchState) else None,
        new=subject.commit if isinstance(subject, BranchState) else None,
    )


def run_graph(world: World, item: Item, build_set: BuildSet) -> None:
    """Start every build whose needs are met, skip every one whose needs cannot be."""
    while moved := list(jobgraph.moves(build_set)):
        for move in moved:
            build = move.build
            if isinstance(move, jobgraph.Skip):
                world.finish_build(build_set, build, Result.SKIPPED, move.reason)
                continue
            build.phase, build.requested_at = BuildPhase.QUEUED, world.state.now
            world.commands.append(StartBuild(request_of(world, item, build_set, build)))
            world.touch_build(build_set, build)


def build_started(world: World, event: BuildStarted) -> None:
    """A worker took the build."""
    found = world.builds.get(event.build)
    if found is None or found[1].phase is BuildPhase.DONE:
        return
    build_set, build = found
    item = world.state.items[build_set.item]
    if build.phase is BuildPhase.RUNNING and None not in (build.number, event.number) and build.number != event.number:
        where = f" on {event.node}" if event.node else ""
        world.decide(item, f"{build.job.name} was lost where it ran and has been begun anew{where}, as number {event.number}")
    elif build.phase is BuildPhase.QUEUED and (build.stalled or item.reason == _can_start(build)):
        world.decide(item, f"{build.job.name} has started")  # or the item would go on saying why it does not
    build.phase, build.node, build.url, build.number = BuildPhase.RUNNING, event.node, event.url or build.url, event.number
    build.started_at, build.stalled = world.state.now, ""
    world.cancel_reminder(f"stall {build.id}")
    world.remind(f"overrun {build.id}", build.job.timeout + world.state.config.build_grace)
    world.touch_build(build_set, build)


def build_stalled(world: World, event: BuildStalled) -> None:
    """The build is asked for, but nothing can run it at present; or it was begun, and nobody can say at present what becomes of it."""
    found = world.builds.get(event.build)
    if found is None or found[1].phase not in (BuildPhase.QUEUED, BuildPhase.RUNNING):
        return
    build_set, build = found
    if build.phase is BuildPhase.RUNNING:
        _out_of_sight(world, build_set, build, event.reason)
        return
    timer = f"stall {build.id}"
    if not event.reason or event.away:
        world.cancel_reminder(timer)
    elif timer not in world.state.timers:
        world.remind(timer, world.state.config.unregistered_limit)
    build.stalled = event.reason
    world.touch_build(build_set, build)
    item = world.state.items[build_set.item]
    world.decide(item, f"{build.job.name} cannot start: {event.reason}" if event.reason else _can_start(build))


def _can_start(build: Build) -> str:
    return f"{build.job.name} can start now"


def _out_of_sight(world: World, build_set: BuildSet, build: Build, reason: str) -> None:
    """Whoever runs the build cannot be asked, for `reason` (empty: it can again). It is waited for, however long that takes."""
    if build.stalled == reason:
        return
    build.stalled = reason
    world.touch_build(build_set, build)
    item = world.state.items[build_set.item]
    said = f"what becomes of {build.job.name} cannot be seen at present: {reason}" if reason else f"{build.job.name} can be seen again"
    world.decide(item, said)


def stalled_too_long(world: World, number: BuildId) -> None:
    """Nobody could run the build within the limit: that is its result."""
    found = world.builds.get(number)
    if found is None or not found[1].stalled or found[1].phase is not BuildPhase.QUEUED:
        return
    build_set, build = found
    world.end_build(build_set, build, Result.UNREGISTERED, f"{build.stalled} (for {world.state.config.unregistered_limit:.0f} s)")
    _after_build(world, build_set)


def overrun(world: World, number: BuildId) -> None:
    """The build should have ended long ago, and nothing was heard of it: taken for lost."""
    found = world.builds.get(number)
    if found is None or found[1].phase is not BuildPhase.RUNNING:
        return
    build_set, build = found
    if build.stalled:
        world.remind(f"overrun {build.id}", world.state.config.build_grace)
        return
    world.end_build(
        build_set, build, Result.LOST, f"no word of it {build.job.timeout + world.state.config.build_grace:.0f} s after it started"
    )
    _retry_or_go_on(world, build_set, build)


def listen_anew(world: World) -> None:
    """A process has started. What its builds did while there was none is about to be heard of: no timer may come before that."""
    for build_set, build in world.builds.values():
        if build.phase is BuildPhase.RUNNING:
            name = f"overrun {build.id}"
            world.remind(name, max(world.state.timers.get(name, 0.0) - world.state.now, world.state.config.build_grace))
        if build.stalled:
            build.stalled = ""
            world.cancel_reminder(f"stall {build.id}")
            world.touch_build(build_set, build)
    for build_set in world.sets.values():
        if build_set.phase is SetPhase.MERGING:  # it is asked for once more
            subject = world.state.items[build_set.item].subject
            build_set.asked_at = world.tip(subject.project, subject.branch)


def build_done(world: World, event: BuildDone) -> None:
    """A build ended."""
    world.state.stopping.pop(event.build, None)
    found = world.builds.get(event.build)
    if found is None or found[1].phase is BuildPhase.DONE:
        return
    build_set, build = found
    build.duration, build.tests, build.url = event.duration, event.tests, event.url or build.url
    build.comments = event.comments
    # Nobody here cancelled it (else it were over already): somebody ended it by hand where it ran.
    result = Result.ABORTED if event.result is Result.CANCELED else event.result
    world.finish_build(build_set, build, result, event.detail)
    _retry_or_go_on(world, build_set, build)


def _retry_or_go_on(world: World, build_set: BuildSet, build: Build) -> None:
    if build.result is Result.LOST and (again := jobgraph.next_attempt(build_set, build)) is not None:
        world.set_builds(build_set, [again if one is build else one for one in build_set.builds])
        item = world.state.items[build_set.item]
        why = f": {build.detail}" if build.detail else ""
        world.decide(item, f"{build.job.name} was lost and runs again (attempt {again.attempt} of {build.job.attempts}){why}")
    _after_build(world, build_set)


def _after_build(world: World, build_set: BuildSet) -> None:
    item = world.state.items[build_set.item]
    failed_before = build_set.failed
    run_graph(world, item, build_set)
    world.touch(item)
    if build_set.failed:
        ahead = item.ahead is not None and world.spec_of(item).manager is not Manager.INDEPENDENT
        waits = "; reported once everything ahead of it has merged or left" if ahead else ""
        if not build_set.complete or ahead or not failed_before:
            world.decide(item, f"{words.failure(build_set)}{waits}")
        look_again(world, item)
    elif build_set.complete:
        if item.ahead is not None and world.spec_of(item).manager is not Manager.INDEPENDENT:
            world.decide(item, f"passed {words.ground(build_set)}; waits for what is ahead of it to merge or leave")
        look_again(world, item)
