"""Which jobs a build set runs, and which of its builds come next: the job graph of one speculative state."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from torii.gate.state import Build, BuildPhase, BuildSet
from torii.model.build import Result
from torii.model.change import BranchState, Subject
from torii.model.event import Staged
from torii.model.glob import matches
from torii.model.ids import BuildId, BuildSetId, PipelineName
from torii.model.job import JobDefinition

_BUILDS = uuid.UUID("6f0f2a5c-6a0b-5c6e-9d57-3f1f6f2f9b11")
"""The name space of build ids: a build id is a pure function of its build set, job and attempt."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The jobs of a build set, each with whether the branch's own `torii.yml` defines it just so; `left_out` says why others do not run.

    `instead` says which run as the branch has them, not as the change has, or not at all before the change has landed.
    """

    jobs: tuple[tuple[JobDefinition, bool], ...]
    left_out: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


def select(staged: Staged, pipeline: PipelineName, subject: Subject, own_jobs: bool = True) -> Selection | None:
    """Return the jobs that `pipeline` runs for `subject`; None where the merged `torii.yml` does not name the pipeline.

    A job that the change itself alters or adds runs whatever its `files` say: it is tested by its own edit. Without `own_jobs` it runs as
    the branch has it, or not at all.
    """
    wanted = staged.config.jobs_of(pipeline) if staged.config else None
    if wanted is None:
        return None
    tip = {job.name: job for job in staged.tip_config.jobs} if staged.tip_config else {}
    jobs, left_out, instead = [], [], []
    for asked in wanted:
        job, synced = asked, tip.get(asked.name) == asked
        if not synced and not own_jobs and not isinstance(subject, BranchState):
            before = tip.get(asked.name)
            if before is None:
                words = f"{asked.name} does not run: {pipeline} runs no job that a change adds before that has landed"
                left_out.append(words)
                instead.append(words)
                continue
            instead.append(f"{asked.name} runs as {subject.branch} has it: {pipeline} does not run a job as a change alters it")
            job, synced = before, True
        if job.branches and not matches(job.branches, subject.branch):
            left_out.append(f"{job.name} does not run on branch {subject.branch}")
        elif job.files and synced and not _touches(job, staged, subject):
            left_out.append(f"{job.name} is not concerned: no changed file matches {', '.join(job.files)}")
        else:
            jobs.append((job, synced))
    return replace(_close(jobs, left_out), instead=tuple(instead))


def _touches(job: JobDefinition, staged: Staged, subject: Subject) -> bool:
    if isinstance(subject, BranchState) and not staged.files:
        return True  # what a branch's move altered is not always known; running too much is the safe side
    return any(matches(job.files, path) for path in staged.files)


def _close(jobs: list[tuple[JobDefinition, bool]], left_out: list[str]) -> Selection:
    """Leave out what needs, hard, a job that does not run here."""
    while True:
        names = {job.name for job, _ in jobs}
        lacking = {job.name: need.job for job, _ in jobs for need in job.needs if not need.soft and need.job not in names}
        if not lacking:
            return Selection(tuple(jobs), tuple(left_out))
        left_out.extend(f"{name} does not run because {need}, which it needs, does not" for name, need in lacking.items())
        jobs = [(job, synced) for job, synced in jobs if job.name not in lacking]


def first_build(build_set: BuildSetId, job: JobDefinition, synced: bool, attempt: int = 1) -> Build:
    """Return attempt `attempt` at `job`, not yet asked for."""
    return Build(BuildId(str(uuid.uuid5(_BUILDS, f"{build_set}/{job.name}/{attempt}"))), job, synced, attempt)


def next_attempt(build_set: BuildSet, lost: Build) -> Build | None:
    """Return the build that replaces `lost`, or None when its job's attempts are used up."""
    if lost.attempt >= lost.job.attempts:
        return None
    return first_build(build_set.id, lost.job, lost.synced, lost.attempt + 1)


@dataclass(frozen=True, slots=True)
class Ready:
    """Everything this build needs is there."""

    build: Build


@dataclass(frozen=True, slots=True)
class Skip:
    """What this build needs will never be there."""

    build: Build
    reason: str


def moves(build_set: BuildSet) -> Iterator[Ready | Skip]:
    """Yield what can be said now of each waiting build. Apply it and ask again until nothing is yielded."""
    builds = {build.job.name: build for build in build_set.builds}
    for build in build_set.builds:
        if build.phase is not BuildPhase.WAITING:
            continue
        needed = [(need, builds[need.job]) for need in build.job.needs if need.job in builds]
        failed = [other for need, other in needed if not need.soft and _over(other) and other.result is not Result.SUCCESS]
        if failed:
            yield Skip(build, f"needs {failed[0].job.name}, which ended {_word(failed[0])}")
        elif all(_over(other) for _, other in needed):
            yield Ready(build)


def _over(build: Build) -> bool:
    return build.phase is BuildPhase.DONE


def _word(build: Build) -> str:
    return build.result.value if build.result else "without result"
