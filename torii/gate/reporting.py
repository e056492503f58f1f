"""What the sources are told, until it is delivered."""

from __future__ import annotations

from dataclasses import replace

from torii.gate.backoff import backoff
from torii.gate.state import Build, BuildSet, Item
from torii.gate.world import World
from torii.model.build import BuildSummary, Result
from torii.model.command import Report, Verdict
from torii.model.event import ReportDone
from torii.model.pipeline import ReportRules

REPORT_ATTEMPTS = 20
"""How often a report is handed to its source, over more than an hour: a git server may be away for so long."""


def report(
    world: World,
    item: Item,
    verdict: Verdict,
    reason: str,
    build_set: BuildSet | None = None,
    votes: tuple[tuple[str, int], ...] | None = None,
) -> None:
    """Have the source told of `verdict`; the report stays outstanding until it is answered. `votes` None: those of the pipeline's rules."""
    rules = world.spec_of(item).report
    if verdict is Verdict.DEQUEUED and not rules.dequeued:
        return
    command = Report(
        key=f"{build_set.id if build_set else item.id}:{verdict.value}",
        item=item.id,
        pipeline=item.pipeline,
        subject=item.subject,
        verdict=verdict,
        reason=reason,
        builds=tuple(_summary(build) for build in build_set.builds) if build_set else (),
        problems=build_set.problems if build_set else (),
        votes=_votes(rules, verdict) if votes is None else votes,
    )
    _overrule(world, command)
    world.state.reports[command.key] = command
    world.commands.append(command)


def _overrule(world: World, newer: Report) -> None:
    """Take from reports that wait for their source the votes that `newer` casts anew: delivered late, they would stand instead of its."""
    labels = {label for label, _ in newer.votes}
    for key, older in world.state.reports.items():
        if older.subject.id == newer.subject.id and any(label in labels for label, _ in older.votes):
            votes = tuple((label, value) for label, value in older.votes if label not in labels)
            world.state.reports[key] = replace(older, votes=votes)


def _votes(rules: ReportRules, verdict: Verdict) -> tuple[tuple[str, int], ...]:
    if verdict in (Verdict.START, Verdict.DEQUEUED):
        return ()
    return rules.success if verdict is Verdict.SUCCESS else rules.failure


def _summary(build: Build) -> BuildSummary:
    return BuildSummary(
        id=build.kept.build if build.kept else build.id,  # the one that has a log
        job=build.job.name,
        result=build.result or Result.CANCELED,
        voting=build.job.voting,
        duration=build.duration,
        detail=build.detail,
        tests=build.tests,
        url=build.url,
        comments=build.comments,
    )


def report_done(world: World, event: ReportDone) -> None:
    """A report was delivered, or is tried again later, or never will be. That stops nothing, but is on record."""
    waiting = world.state.reports.get(event.key)
    if waiting is None:
        return
    attempts = world.state.report_attempts.get(event.key, 0) + 1
    if event.error and not event.final and attempts < REPORT_ATTEMPTS:
        world.state.report_attempts[event.key] = attempts
        world.remind(f"report {event.key}", backoff(world.state.config.merge_retry, attempts))
        if attempts == 1:
            world.note(waiting.subject.id, waiting.pipeline, f"its report could not be delivered yet, and is tried again: {event.error}")
        return
    del world.state.reports[event.key]
    world.state.report_attempts.pop(event.key, None)
    world.cancel_reminder(f"report {event.key}")
    if event.error:
        world.note(waiting.subject.id, waiting.pipeline, f"its report could not be delivered: {event.error}")


def report_due(world: World, key: str) -> None:
    """It is time to try again to deliver a report."""
    if key in world.state.reports:
        world.commands.append(once_more(world.state.reports[key]))


def once_more(waiting: Report) -> Report:
    """Return a report to be asked for again: whoever delivers it must look whether it was delivered already."""
    return replace(waiting, again=True)
