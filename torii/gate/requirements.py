"""What a pipeline requires of a change, and in which words a change lacks it."""

from __future__ import annotations

from collections.abc import Iterator

from torii.gate import words
from torii.model.change import Approval, Change
from torii.model.glob import matches
from torii.model.pipeline import ApprovalRule, PipelineSpec, Requirements


def unmet(spec: PipelineSpec, change: Change, entering: float) -> str:
    """Return, in words, the first requirement of `spec` that the change does not meet; empty if it meets all.

    `entering` is when it enters or did, in seconds since the epoch: the ages of votes are looked at as of then. So a change that is in
    never has to leave because a vote has aged.
    """
    return next(_lacks(spec.require, change, entering), "")


def met_later(spec: PipelineSpec, change: Change, now: float) -> float | None:
    """Return when `change`, which does not meet what `spec` requires, will meet it by the age of its votes alone; None if never."""
    rules = (*spec.require.approvals, *spec.require.reject)
    limits = [limit for rule in rules for limit in (rule.older_than, rule.newer_than) if limit is not None]
    # A vote is still new enough at the very limit: that it no longer counts shows a moment later.
    turns = sorted({vote.at + limit + late for vote in change.approvals for limit in limits for late in (0.0, 1.0)})
    return next((at for at in turns if at > now and not unmet(spec, change, at)), None)


def _lacks(require: Requirements, change: Change, entering: float) -> Iterator[str]:
    if require.approved and not change.approved:
        yield "; ".join(change.blockers) or "it is not approved"
    if require.wip is not None and change.wip is not require.wip:
        yield f"it is {'' if change.wip else 'not '}work in progress"
    if require.private is not None and change.private is not require.private:
        yield f"it is {'' if change.private else 'not '}private"
    for rule in require.approvals:
        if not any(meets(vote, rule, entering) for vote in change.approvals):
            yield f"no {words.vote(rule)}"
    for rule in require.reject:
        if any(meets(vote, rule, entering) for vote in change.approvals):
            yield f"a {words.vote(rule)}"
    yield from _misnamed(require, change)


def _misnamed(require: Requirements, change: Change) -> Iterator[str]:
    if require.topics and not _one_of(require.topics, change.topic):
        yield f"its topic is {change.topic or 'empty'}, not {words.either(require.topics)}"
    if require.hashtags and not any(_one_of(require.hashtags, tag) for tag in change.hashtags):
        yield f"it has no hashtag {words.either(require.hashtags)}"
    if require.owners and not _one_of(require.owners, change.owner):
        yield f"its owner is {change.owner or 'unknown'}, not {words.either(require.owners)}"
    if require.reject_topics and _one_of(require.reject_topics, change.topic):
        yield f"its topic is {change.topic}"
    for tag in change.hashtags:
        if require.reject_hashtags and _one_of(require.reject_hashtags, tag):
            yield f"it has the hashtag {tag}"
    if require.reject_owners and _one_of(require.reject_owners, change.owner):
        yield f"its owner is {change.owner}"


def _one_of(globs: tuple[str, ...], name: str) -> bool:
    return bool(name) and matches(globs, name)


def meets(vote: Approval, rule: ApprovalRule, at: float) -> bool:
    """Return whether `vote` is one that `rule` speaks of, its age as of `at` (seconds since the epoch)."""
    if vote.label != rule.label or not _enough(vote.value, rule.value):
        return False
    named = not (rule.users or rule.groups) or _one_of_users(rule, vote.by) or bool(set(rule.groups) & set(vote.groups))
    age = at - vote.at
    old = rule.older_than is None or age >= rule.older_than
    return named and old and (rule.newer_than is None or age <= rule.newer_than)


def _one_of_users(rule: ApprovalRule, by: str) -> bool:
    return bool(rule.users) and _one_of(rule.users, by)


def _enough(value: int, wanted: int | None) -> bool:
    if wanted is None:
        return value != 0
    return value >= wanted if wanted >= 0 else value <= wanted
