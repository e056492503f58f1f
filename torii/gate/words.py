"""The sentences in which the gate gives its reasons. One place, so that log, page, command line and review say the same."""

from __future__ import annotations

from collections.abc import Sequence

from torii.gate.state import Build, BuildPhase, BuildSet, SetPhase
from torii.model.build import Result
from torii.model.ids import ChangeId, Sha
from torii.model.pipeline import ApprovalRule, Cause

_ENDS = {
    Result.FAILURE: "failed",
    Result.UNSTABLE: "was unstable",
    Result.ABORTED: "was aborted",
    Result.NOT_BUILT: "was not built",
    Result.TIMED_OUT: "timed out",
    Result.LOST: "was lost with its worker",
    Result.UNREGISTERED: "found no worker",
    Result.SKIPPED: "was skipped",
    Result.CANCELED: "was cancelled",
    Result.SUCCESS: "passed",
}

_CAUSES = {
    Cause.PATCHSET_CREATED: "new patch set",
    Cause.APPROVED: "approved",
    Cause.UNAPPROVED: "no longer approved",
    Cause.RECHECK: "recheck asked for",
    Cause.ABANDONED: "abandoned",
    Cause.RESTORED: "restored",
    Cause.MERGED: "merged",
    Cause.UPDATED: "updated",
    Cause.COMMENT_ADDED: "a comment asked for it",
    Cause.VOTE_DELETED: "a vote was taken back",
    Cause.READY: "ready for review",
    Cause.TOPIC_CHANGED: "its topic changed",
    Cause.HASHTAGS_CHANGED: "its hashtags changed",
    Cause.BRANCH_UPDATED: "the branch moved",
}

_TEST_NAME = 80
"""Characters of a test's name that a reason shows."""


def cause(of: Cause) -> str:
    """Return what happened to a change, such as `new patch set`."""
    return _CAUSES[of]


def ends(result: Result) -> str:
    """Return a verb for `result`, such as `failed`."""
    return _ENDS[result]


def vote(rule: ApprovalRule) -> str:
    """Return what `rule` asks for, such as `vote of +2 on Code-Review`."""
    return f"vote on {rule.label}" if rule.value is None else f"vote of {rule.value:+d} on {rule.label}"


def short(commit: Sha | str | None) -> str:
    """Return the first twelve digits of a commit."""
    return commit[:12] if commit else "nothing"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return `a, b and c`, with what is past `limit` counted."""
    if len(names) > limit:
        names = [*names[:limit], f"{len(names) - limit} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def ground(build_set: BuildSet) -> str:
    """Return what `build_set` stands on, such as `on top of app:main/fix`."""
    ahead: list[ChangeId] = [change for change, _ in build_set.changes[:-1]]
    return f"on top of {ahead[-1]}" if ahead else "on the branch tip"


def failure(build_set: BuildSet) -> str:
    """Return why a failed `build_set` failed, such as `unit failed (tests.login) on top of app:main/fix`."""
    if build_set.phase is not SetPhase.BUILDING:
        return build_set.reason
    failed = [build for build in build_set.builds if build.job.voting and build.phase is BuildPhase.DONE]
    failed = [build for build in failed if build.result not in (Result.SUCCESS, Result.SKIPPED, None)] or failed
    first = failed[0]
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    detail = f": {first.detail}" if first.result in (Result.UNREGISTERED, Result.LOST) and first.detail else ""
    return f"{first.job.name} {ends(first.result or Result.FAILURE)}{_failing_tests(first)}{others} {ground(build_set)}{detail}"


def _failing_tests(build: Build) -> str:
    if build.tests is None or not build.tests.failing:
        return ""
    name = build.tests.failing[0]
    shown = name if len(name) <= _TEST_NAME else f"{name[: _TEST_NAME - 1]}…"
    more = build.tests.failed - 1
    return f" ({shown}{f' and {more} more' if more > 0 else ''})"
