"""Results that outlive their build set: while a change is open, the same job on the same trees is not run twice unless it is asked for.

A trivial rebase or another message leaves the merged trees as they were, and so is answered at once. Only pipelines that test each change
alone keep results: what a queue merges was tested there and then.
"""

from __future__ import annotations

import difflib

from torii.gate import words
from torii.gate.jobgraph import Selection, first_build
from torii.gate.state import Build, BuildPhase, BuildSet, Item, KeptResults, Origin, SetPhase
from torii.gate.world import World
from torii.model.build import Result
from torii.model.change import Change
from torii.model.glob import GlobError, matches
from torii.model.ids import ProjectName, Sha
from torii.model.job import JobDefinition
from torii.model.pipeline import Manager

_TELLING = (Result.SUCCESS, Result.FAILURE, Result.UNSTABLE)
"""Results that are the change's own doing. The others may come out another way the next time."""


def remember(world: World, item: Item, build_set: BuildSet) -> None:
    """Keep the results of a complete `build_set` for the change's next one."""
    if _keeps(world, item) and build_set.phase is SetPhase.BUILDING:
        of_change = world.state.kept.setdefault(item.subject.id, {})
        of_change[item.pipeline] = KeptResults(item.subject.patchset, _trees(build_set), list(build_set.builds))


def forget_kept(world: World) -> None:
    """Forget what is kept for pipelines that are no more, or that keep nothing as they are configured now."""
    for change, kept in list(world.state.kept.items()):
        for name in list(kept):
            if (spec := world.pipelines.get(name)) is None or spec.manager is not Manager.INDEPENDENT:
                del kept[name]
        if not kept:
            del world.state.kept[change]


def builds_of(world: World, item: Item, build_set: BuildSet, selection: Selection) -> list[Build]:
    """Return the builds of a staged set: those whose result is kept are over already. `build_set.kept` then says so."""
    kept = world.state.kept.get(item.subject.id, {}).get(item.pipeline) if _keeps(world, item) else None
    fresh = [first_build(build_set.id, job, synced) for job, synced in selection.jobs]
    if kept is None or kept.trees != _trees(build_set):
        return fresh
    results = {build.job.name: build for build in kept.builds if build.result in _TELLING}
    builds = [_kept(build, results.get(build.job.name), kept.patchset) if _may_keep(item, build.job) else build for build in fresh]
    names = [build.job.name for build in builds if build.kept is not None]
    if names:
        same = kept.patchset == item.subject.patchset
        of = "when it was last tested" if same else f"that of patch set {words.short(kept.patchset)}"
        which = "results" if len(names) == len(builds) else f"results of {words.listed(names)}"
        build_set.kept = f"the tree is the same as {of}: {which} kept"
    return builds


def misnamed(world: World, item: Item, selection: Selection) -> str:
    """Return what is wrong with the jobs that `item` was asked to run anew, in words; empty if each of them runs."""
    if not item.anew or not _keeps(world, item):
        return ""
    running = [job.name for job, _ in selection.jobs]
    return "; ".join(
        _no_such(name, item, running, selection.left_out) for name in item.anew if not any(_named(name, one) for one in running)
    )


def _no_such(name: str, item: Item, running: list[str], left_out: tuple[str, ...]) -> str:
    for reason in left_out:
        if reason.startswith(f"{name} "):
            return reason
    near = difflib.get_close_matches(name, running, 3)
    if near:
        return f"{item.pipeline} has no job {name}; did you mean {words.either(near)}?"
    return f"{item.pipeline} has no job {name}; it has {words.listed(running, 8)}"


def _keeps(world: World, item: Item) -> bool:
    return world.spec_of(item).manager is Manager.INDEPENDENT and isinstance(item.subject, Change)


def _trees(build_set: BuildSet) -> tuple[tuple[ProjectName, str, Sha], ...]:
    return tuple((one.project, one.branch, one.tree) for one in build_set.staged)


def _may_keep(item: Item, job: JobDefinition) -> bool:
    return item.anew is None or (item.anew != () and not any(_named(name, job.name) for name in item.anew))


def _named(name: str, job: str) -> bool:
    """Return whether somebody who wrote `name` means `job`; `unit-*` means all whose names begin so."""
    if name == job:
        return True
    try:
        return matches((name,), job)
    except GlobError:
        return False


def _kept(fresh: Build, old: Build | None, patchset: str) -> Build:
    if old is None or old.job != fresh.job:
        return fresh
    fresh.phase, fresh.result, fresh.detail = BuildPhase.DONE, old.result, old.detail
    fresh.tests, fresh.comments, fresh.url, fresh.node = old.tests, old.comments, old.url, old.node
    fresh.started_at, fresh.ended_at, fresh.duration = old.started_at, old.ended_at, old.duration
    fresh.kept = old.kept or Origin(old.id, patchset)
    return fresh
