"""The pipelines that are there unless `server.yml` says otherwise, and how an entry of that file becomes one."""

from __future__ import annotations

from collections.abc import Iterator

from torii.config.pipeline_file import PipelineEntry, RejectEntry, RequireEntry, TriggerEntry, VoteEntry, VoteRules
from torii.model.ids import PipelineName
from torii.model.pipeline import (
    ApprovalRule,
    Cause,
    Manager,
    PipelineSpec,
    Precedence,
    ReportRules,
    Requirements,
    Trigger,
    Window,
)

RECHECK = r"recheck(\s+(?P<jobs>\S.*))?"
"""`recheck`, alone on a line or with the names of the jobs to run anew."""

_VERIFIED = ReportRules(success=(("Verified", 1),), failure=(("Verified", -1),))
"""Told to a source that has votes. Plain git has none and shows none."""

DEFAULT_PIPELINES = (
    PipelineSpec(
        name=PipelineName("check"),
        manager=Manager.INDEPENDENT,
        triggers=(
            Trigger(Cause.PATCHSET_CREATED),
            Trigger(Cause.RESTORED),
            Trigger(Cause.RECHECK),
            Trigger(Cause.COMMENT_ADDED, comment=RECHECK),
        ),
        report=_VERIFIED,
        description="Tests each change on its own, merged onto its branch.",
    ),
    PipelineSpec(
        name=PipelineName("gate"),
        manager=Manager.DEPENDENT,
        triggers=(Trigger(Cause.APPROVED), Trigger(Cause.COMMENT_ADDED, comment="gate")),
        require=Requirements(approved=True),
        precedence=Precedence.HIGH,
        report=_VERIFIED,
        merges=True,
        description="Tests approved changes on top of those ahead of them, and merges exactly what passed.",
    ),
    PipelineSpec(
        name=PipelineName("post"),
        manager=Manager.SUPERCEDENT,
        triggers=(Trigger(Cause.BRANCH_UPDATED),),
        precedence=Precedence.LOW,
        trusted=True,
        description="Runs on the newest state of a branch, after the merge.",
    ),
)

_Mistake = tuple[tuple[str | int, ...], str, str]
"""Where in the pipeline's entry, what is wrong, and what to do."""


def specified(name: str, entry: PipelineEntry) -> PipelineSpec:
    """Return the pipeline that `entry` describes, which has no `contradictions`."""
    window = entry.window
    return PipelineSpec(
        name=PipelineName(name),
        manager=entry.manager,
        triggers=tuple(map(_trigger, entry.triggers)),
        require=_requirements(entry.require, entry.reject),
        precedence=entry.precedence,
        window=Window(window.initial, window.floor, window.ceiling, window.increase, window.decrease) if window else Window(),
        report=ReportRules(
            entry.report.start, entry.report.dequeued, tuple(entry.report.success.items()), tuple(entry.report.failure.items())
        ),
        merges=entry.manager is Manager.DEPENDENT if entry.merges is None else entry.merges,
        strategy=entry.strategy,
        trusted=entry.trusted,
        description=entry.description,
        own_jobs=entry.own_jobs,
    )


def _trigger(entry: TriggerEntry) -> Trigger:
    return Trigger(
        cause=entry.cause,
        branches=entry.branches,
        comment=entry.comment or "",
        votes=_rules(entry.votes),
        topics=entry.topics,
        hashtags=entry.hashtags,
        files=entry.files,
        users=entry.users,
        groups=entry.groups,
    )


def _requirements(require: RequireEntry, reject: RejectEntry) -> Requirements:
    return Requirements(
        approved=require.approved,
        approvals=_rules(require.votes),
        reject=_rules(reject.votes),
        wip=_either(require.wip, reject.wip),
        private=_either(require.private, reject.private),
        topics=require.topics,
        hashtags=require.hashtags,
        owners=require.owners,
        reject_topics=reject.topics,
        reject_hashtags=reject.hashtags,
        reject_owners=reject.owners,
    )


def _either(wanted: bool | None, unwanted: bool | None) -> bool | None:
    return wanted if unwanted is None else not unwanted


def _rules(votes: VoteRules) -> tuple[ApprovalRule, ...]:
    return tuple(
        ApprovalRule(label, rule.value, rule.users, rule.groups, rule.older_than, rule.newer_than)
        for label, rules in votes.items()
        for rule in rules
    )


def contradictions(entry: PipelineEntry) -> Iterator[_Mistake]:
    """Yield what cannot be true of one pipeline at once."""
    dependent = entry.manager is Manager.DEPENDENT
    causes = {item.cause for item in entry.triggers}
    merges = dependent if entry.merges is None else entry.merges
    if dependent and entry.merges is False:
        yield (
            ("merges",),
            "a dependent pipeline merges what passed: that is what its changes depend on",
            "remove it, or choose another manager",
        )
    if entry.merges and entry.manager in (Manager.INDEPENDENT, Manager.SUPERCEDENT):
        yield ("merges",), f"a pipeline whose manager is {entry.manager.value} cannot merge", "make the manager dependent or serial"
    if entry.window is not None:
        yield from _window(entry, dependent)
    if Cause.BRANCH_UPDATED in causes:
        if merges:
            yield (
                ("triggers",),
                "a branch-updated trigger brings in what has landed already; there is nothing to merge",
                "remove the trigger",
            )
        for key, said in (("require", entry.require), ("reject", entry.reject)):
            if any(value not in (None, False, (), {}) for _, value in said):
                has = "no votes" if said.votes or getattr(said, "approved", False) else "nothing of the kind"
                yield (key,), f"a branch-updated trigger brings in a branch, which has {has}", f"remove {key}, or the trigger"
    for index, trigger in enumerate(entry.triggers):
        for key, message, suggestion in _trigger_mistakes(trigger):
            yield ("triggers", index, key), message, suggestion
    if entry.trusted and causes != {Cause.BRANCH_UPDATED} and not entry.require.approved:
        message = "a trusted pipeline gives secrets to its builds, and this one runs changes that nobody has reviewed"
        yield ("trusted",), message, "add require: {approved: true}, or remove trusted"
    yield from _votes(entry)
    yield from _states(entry)


def _window(entry: PipelineEntry, dependent: bool) -> Iterator[_Mistake]:
    window = entry.window
    if window is None:
        return
    if not dependent:
        yield ("window",), f"a pipeline whose manager is {entry.manager.value} has no window", "remove it"
    elif not window.floor <= window.initial <= window.ceiling:
        yield ("window",), f"floor {window.floor}, initial {window.initial} and ceiling {window.ceiling} must not fall", ""


def _trigger_mistakes(entry: TriggerEntry) -> Iterator[tuple[str, str, str]]:
    cause = entry.cause.value
    if entry.cause is Cause.BRANCH_UPDATED:
        for key in ("comment", "votes", "topics", "hashtags", "files", "groups"):
            if getattr(entry, key):
                yield key, f"a {cause} trigger brings in a branch, for which only branches and users can be asked", "remove it"
        return
    if entry.comment and entry.cause is not Cause.COMMENT_ADDED:
        yield "comment", f"with {cause} there is no comment", "make the cause comment-added"
    if entry.votes and entry.cause not in (Cause.COMMENT_ADDED, Cause.APPROVED):
        yield "votes", f"with {cause} no vote is cast", "make the cause comment-added, or ask for the vote under require"
    for label, rules in entry.votes.items():
        if any(rule.older_than is not None or rule.newer_than is not None for rule in rules):
            yield "votes", f"the vote on {label} has just been cast: it has no age to ask for", "ask for the age under require"


def _votes(entry: PipelineEntry) -> Iterator[_Mistake]:
    for key, votes in (("require", entry.require.votes), ("reject", entry.reject.votes)):
        for label, rules in votes.items():
            for rule in rules:
                if rule.older_than is not None and rule.newer_than is not None and rule.older_than >= rule.newer_than:
                    yield (
                        (key, "votes", label),
                        "no vote is older than the one and newer than the other",
                        "make older-than the smaller one",
                    )
    for label, rules in entry.reject.votes.items():
        for rule in rules:
            needed = next((wanted.value for wanted in entry.require.votes.get(label, ()) if _plain(wanted)), None)
            if rule.value == 0 and _plain(rule):
                yield ("reject", "votes", label), "a vote of 0 is no vote, so that this keeps every change out", "remove it"
            elif _plain(rule) and rule.value is not None and needed is not None and _excludes(rule.value, needed):
                yield ("reject", "votes", label), f"require asks for a vote that this keeps out ({needed})", "remove one of them"


def _plain(rule: VoteEntry) -> bool:
    """Return whether `rule` says no more than a value."""
    return rule.model_fields_set <= {"value"}


def _excludes(kept_out: int, needed: int) -> bool:
    return needed >= kept_out > 0 or needed <= kept_out < 0


def _states(entry: PipelineEntry) -> Iterator[_Mistake]:
    for key in ("wip", "private"):
        if getattr(entry.require, key) is not None and getattr(entry.reject, key) is not None:
            yield ("reject", key), "require says it already", "remove one of them"
    for key in ("topics", "hashtags", "owners"):
        wanted, unwanted = getattr(entry.require, key), getattr(entry.reject, key)
        if wanted and set(wanted) <= set(unwanted):
            yield ("reject", key), "require asks for what this keeps out", "remove one of them"
