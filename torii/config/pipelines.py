"""The pipelines that are there unless `server.yml` says otherwise, and how an entry of that file becomes one."""

from __future__ import annotations

from collections.abc import Iterator

from torii.config.server_file import PipelineEntry, Votes
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

DEFAULT_PIPELINES = (
    PipelineSpec(
        name=PipelineName("check"),
        manager=Manager.INDEPENDENT,
        triggers=(Trigger(Cause.PATCHSET_CREATED), Trigger(Cause.RESTORED), Trigger(Cause.RECHECK)),
        description="Tests each change on its own, merged onto its branch.",
    ),
    PipelineSpec(
        name=PipelineName("gate"),
        manager=Manager.DEPENDENT,
        triggers=(Trigger(Cause.APPROVED),),
        require=Requirements(approved=True),
        precedence=Precedence.HIGH,
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

_Mistake = tuple[tuple[str, ...], str, str]
"""Where in the pipeline's entry, what is wrong, and what to do."""


def specified(name: str, entry: PipelineEntry) -> PipelineSpec:
    """Return the pipeline that `entry` describes, which has no `contradictions`."""
    window = entry.window
    return PipelineSpec(
        name=PipelineName(name),
        manager=entry.manager,
        triggers=tuple(Trigger(item.cause, item.branches) for item in entry.triggers),
        require=Requirements(entry.require.approved, _rules(entry.require.votes), _rules(entry.reject.votes)),
        precedence=entry.precedence,
        window=Window(window.initial, window.floor, window.ceiling, window.increase, window.decrease) if window else Window(),
        report=ReportRules(
            entry.report.start, entry.report.dequeued, tuple(entry.report.success.items()), tuple(entry.report.failure.items())
        ),
        merges=entry.manager is Manager.DEPENDENT if entry.merges is None else entry.merges,
        strategy=entry.strategy,
        trusted=entry.trusted,
        description=entry.description,
    )


def _rules(votes: Votes) -> tuple[ApprovalRule, ...]:
    return tuple(ApprovalRule(label, value) for label, value in votes.items())


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
        if entry.require.approved or entry.require.votes or entry.reject.votes:
            key = "require" if entry.require.approved or entry.require.votes else "reject"
            yield (key,), "a branch-updated trigger brings in a branch, which has no votes", f"remove {key}, or the trigger"
    if entry.trusted and causes != {Cause.BRANCH_UPDATED} and not entry.require.approved:
        message = "a trusted pipeline gives secrets to its builds, and this one runs changes that nobody has reviewed"
        yield ("trusted",), message, "add require: {approved: true}, or remove trusted"
    yield from _votes(entry)


def _window(entry: PipelineEntry, dependent: bool) -> Iterator[_Mistake]:
    window = entry.window
    if window is None:
        return
    if not dependent:
        yield ("window",), f"a pipeline whose manager is {entry.manager.value} has no window", "remove it"
    elif not window.floor <= window.initial <= window.ceiling:
        yield ("window",), f"floor {window.floor}, initial {window.initial} and ceiling {window.ceiling} must not fall", ""


def _votes(entry: PipelineEntry) -> Iterator[_Mistake]:
    for label, value in entry.reject.votes.items():
        needed = entry.require.votes.get(label)
        if value == 0:
            yield ("reject", "votes", label), "a vote of 0 is no vote, so that this keeps every change out", "remove it"
        elif needed is not None and (needed >= value > 0 or needed <= value < 0):
            yield ("reject", "votes", label), f"require asks for a vote that this keeps out ({needed})", "remove one of them"
