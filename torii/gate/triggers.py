"""What lets a change into a pipeline: which of its triggers an occurrence fires, and what was asked for besides."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

from torii.gate import words
from torii.gate.requirements import meets
from torii.model.change import Change
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.glob import matches
from torii.model.pipeline import Cause, PipelineSpec, Trigger

COMMAND = 500
"""Characters of a comment's line that may be a command. No line that is longer is one, so that matching costs little whatever is said."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Why a change comes in, in words, and which jobs are to be run anew: () all of them, None only those without a result."""

    why: str
    anew: tuple[str, ...] | None = None


def causes_of(event: ChangeUpdated, before: Change | None) -> Set[Cause]:
    """Return all that `event` is, `before` being the change as it was known (None: it was not).

    A change that was known without approval and has it now was approved, whatever the source calls it: a comment was resolved, say, or
    a vote was copied to a new patch set.
    """
    causes = {event.cause, *event.also}
    change = event.change
    if before is not None and change.approved and not (before.approved and before.patchset == change.patchset):
        causes.add(Cause.APPROVED)
    return causes


def entry(spec: PipelineSpec, event: ChangeUpdated, causes: Set[Cause], now: float) -> Entry | None:
    """Return why `event` lets its change into `spec`, None if it does not. Where it asks for jobs anew, that is the reason."""
    found: Entry | None = None
    for trigger in spec.triggers:
        if trigger.cause in causes and _fits(trigger, event, now):
            one = _entry(trigger, event)
            if one is not None and one.anew is not None:
                return one
            found = found or one
    return found


def fires_on_branch(spec: PipelineSpec, event: BranchMoved) -> bool:
    """Return whether a branch that moved enters `spec`. It has neither topic nor comment, and what it altered is not known."""
    return any(
        trigger.cause is Cause.BRANCH_UPDATED
        and matches(trigger.branches, event.branch)
        and _globbed(trigger.users, (event.by,))
        and not (trigger.comment or trigger.votes or trigger.topics or trigger.hashtags or trigger.groups)
        for trigger in spec.triggers
    )


def _fits(trigger: Trigger, event: ChangeUpdated, now: float) -> bool:
    change = event.change
    if trigger.votes and not any(meets(vote, rule, now) for vote in event.votes for rule in trigger.votes):
        return False
    if trigger.groups and not set(trigger.groups) & set(event.groups):
        return False
    return (
        matches(trigger.branches, change.branch)
        and _globbed(trigger.users, (event.by,))
        and _globbed(trigger.topics, (change.topic,))
        and _globbed(trigger.hashtags, change.hashtags)
        # Not every source says which files: testing too often is the safe side.
        and (event.files is None or _globbed(trigger.files, event.files))
    )


def _globbed(globs: tuple[str, ...], names: tuple[str, ...]) -> bool:
    return not globs or any(name and matches(globs, name) for name in names)


def _entry(trigger: Trigger, event: ChangeUpdated) -> Entry | None:
    if not trigger.comment:
        return Entry(words.cause(trigger.cause), () if trigger.cause is Cause.RECHECK else None)
    commands = [found for line in event.comment.splitlines() if (found := _command(trigger.comment, line.strip()))]
    if not commands:
        return None
    why = words.asked(event.by, commands[0].string)
    named = [_jobs(found) for found in commands]
    jobs = dict.fromkeys(job for names in named for job in names) if all(named) else ()
    return Entry(why, tuple(jobs))


def _command(expression: str, line: str) -> re.Match[str] | None:
    return compiled(expression).fullmatch(line) if line and len(line) <= COMMAND else None


def _jobs(found: re.Match[str]) -> list[str]:
    text = found["jobs"] if "jobs" in found.re.groupindex else None
    return [name for name in re.split(r"[\s,]+", text or "") if name]


@lru_cache(maxsize=256)
def compiled(expression: str) -> re.Pattern[str]:
    """Return the expression of a trigger's comments, which is checked when `server.yml` is read."""
    return re.compile(expression, re.IGNORECASE)
