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

_QUOTED = 80
"""Characters of what others wrote (a test's name, a comment) that a reason shows."""


def cause(of: Cause) -> str:
    """Return what happened to a change, such as `new patch set`."""
    return _CAUSES[of]


def ends(result: Result) -> str:
    """Return a verb for `result`, such as `failed`."""
    return _ENDS[result]


def asked(by: str, command: str) -> str:
    """Return who asked for it and how, such as `dev asked for it ("recheck unit")`."""
    return f'{by or "a comment"} asked for it ("{_cut(command)}")'


def vote(rule: ApprovalRule) -> str:
    """Return what `rule` asks for, such as `vote of +2 on Code-Review by lead, at least 1 h old`."""
    what = f"vote on {rule.label}" if rule.value is None else f"vote of {rule.value:+d} on {rule.label}"
    who = [*rule.users, *(f"group {name}" for name in rule.groups)]
    by = f" by {either(who)}" if who else ""
    least = f", at least {span(rule.older_than)} old" if rule.older_than is not None else ""
    most = f", at most {span(rule.newer_than)} old" if rule.newer_than is not None else ""
    return f"{what}{by}{least}{most}"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit that leaves no rest, such as `90 s` or `2 h`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def either(names: Sequence[str]) -> str:
    """Return `a, b or c`."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def short(commit: Sha | str | None) -> str:
    """Return the first twelve digits of a commit."""
    return commit[:12] if commit else "nothing"


def listed(names: Sequence[str], limit: int = 5) -> str:
    """Return `a, b and c`, with what is past `limit` counted."""
    if len(names) > limit:
        names = [*names[:limit], f"{len(names) - limit} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nothing"


def ground(build_set: BuildSet, branch: str = "") -> str:
    """Return what `build_set` stands on, such as `on top of app:main/fix`. `branch` is its own, which it knows itself once it is staged."""
    ahead: list[ChangeId] = [change for change, _ in build_set.changes[:-1]]
    if ahead:
        return f"on top of {ahead[-1]}"
    branch = build_set.own.branch if build_set.staged else branch
    return f"on the tip of {branch}" if branch else "on the branch tip"


def failure(build_set: BuildSet) -> str:
    """Return why a failed `build_set` failed, such as `unit failed (tests.login) on top of app:main/fix`."""
    if build_set.phase is not SetPhase.BUILDING:
        return build_set.reason
    failed = [build for build in build_set.builds if build.job.voting and build.phase is BuildPhase.DONE]
    failed = [build for build in failed if build.result not in (Result.SUCCESS, Result.SKIPPED, None)] or failed
    first = failed[0]
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    ended, detail = _end(first)
    return f"{first.job.name} {ended}{_failing_tests(first)}{others} {ground(build_set)}{f': {detail}' if detail else ''}"


def _end(build: Build) -> tuple[str, str]:
    """Return the verb for how `build` ended, and what else is known of it where the result alone leaves open what happened."""
    verb = ends(build.result or Result.FAILURE)
    if build.result in (Result.UNREGISTERED, Result.LOST):
        return verb, build.detail
    detail = _cut(build.detail)
    if build.result is Result.ABORTED and detail.startswith("aborted"):  # such as "aborted in Jenkins by admin"
        return f"was {detail}", ""
    return verb, detail if build.result in (Result.ABORTED, Result.NOT_BUILT) else ""


def _failing_tests(build: Build) -> str:
    if build.tests is None or not build.tests.failing:
        return ""
    shown = _cut(build.tests.failing[0])
    more = build.tests.failed - 1
    return f" ({shown}{f' and {more} more' if more > 0 else ''})"


def _cut(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…"
