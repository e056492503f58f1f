"""The part of a check-up that is about one project's reviews: the labels, the range of votes, submitting, and the speed of refs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torii.config.settings import ProjectSettings
from torii.model.finding import Finding, Verdict
from torii.model.pipeline import PipelineSpec
from torii.sources.gerrit.access import votes_of
from torii.sources.gerrit.errors import GerritError, GerritRefusedError
from torii.sources.gerrit.rest import GerritRest, quote

TOPIC = "torii-check"
"""The topic of the change that is made where there is none to look at."""

_SUBJECT = "Torii looks at what it may do here"
_LABELS = ("o", "DETAILED_LABELS")
_FORBIDDEN, _CONFLICT = 403, 409


def review_findings(
    rest: GerritRest, asking: GerritRest, user: str, project: ProjectSettings, pipelines: Sequence[PipelineSpec], try_it: bool
) -> Iterator[Finding]:
    """Yield what Torii, `user`, may do to changes of `project`, as far as its `pipelines` want it. `asking` is who may know more."""
    name = project.path or project.name
    votes = votes_of(pipelines)
    merges = any(pipeline.merges for pipeline in pipelines)
    visit = _Visit(rest, name)
    if votes:
        change = visit.open_change()
        if change is None and try_it:
            with visit.own_change() as (own, why):
                yield from _votes(own, votes, project, why)
        else:
            yield from _votes(change, votes, project, "no change is open, and none was to be made")
    if merges:
        yield _submit(visit, project, try_it)
    yield _read_everything(asking, user, name, project)


class _Visit:
    """The changes of one project that tell what may be done to changes."""

    def __init__(self, rest: GerritRest, name: str) -> None:
        self._rest = rest
        self._name = name

    def open_change(self) -> Mapping[str, Any] | None:
        """Return an open change of the branch that HEAD is, else of any, else None."""
        return self._one(f'branch:"{self.branch()}"', "status:open") or self._one("status:open")

    def ended_change(self) -> Mapping[str, Any] | None:
        """Return a change that nobody can merge: a merged one, or the abandoned one of ours."""
        return self._one("status:merged") or self._one("status:abandoned", "owner:self", f"topic:{TOPIC}")

    @contextmanager
    def own_change(self) -> Iterator[tuple[Mapping[str, Any] | None, str]]:
        """Give a change of ours, abandoned at the end; or None, and why there is none."""
        try:
            number = self._make()
        except GerritError as error:
            yield None, f"no change is open, and none could be made: {error}"
            return
        try:
            yield self._rest.get(f"changes/{quote(self._name)}~{number}", [_LABELS]), ""
        finally:
            self._rest.post(f"changes/{quote(self._name)}~{number}/abandon", {"notify": "NONE"})

    def submit(self, change: Mapping[str, Any]) -> GerritRefusedError | None:
        """Try to submit a change that has ended, for which Gerrit first looks whether we may, and then refuses; return the refusal."""
        try:
            self._rest.post(f"changes/{quote(self._name)}~{change['_number']}/submit", {})
        except GerritRefusedError as error:
            return error
        return None

    def branch(self) -> str:
        """Return the branch that HEAD is."""
        return str(self._rest.get(f"projects/{quote(self._name)}/HEAD")).removeprefix("refs/heads/")

    def _make(self) -> int:
        before = self._one(f'branch:"{self.branch()}"', "status:abandoned", "owner:self", f"topic:{TOPIC}")
        if before is not None:
            self._rest.post(f"changes/{quote(self._name)}~{before['_number']}/restore", {})
            return int(before["_number"])
        wanted = {"project": self._name, "branch": self.branch(), "subject": _SUBJECT, "topic": TOPIC, "notify": "NONE"}
        hidden = {"is_private": True, "work_in_progress": True}
        try:
            made = self._rest.post("changes/", {**wanted, **hidden})
        except GerritRefusedError as error:
            if "private" not in error.text:
                raise
            made = self._rest.post("changes/", {**wanted, "work_in_progress": True})  # a Gerrit that allows no private changes
        return int(made["_number"])

    def _one(self, *terms: str) -> Mapping[str, Any] | None:
        query = " ".join((f'project:"{self._name}"', *terms))
        found = self._rest.get("changes/", [("q", query), ("n", "1"), _LABELS])
        return found[0] if found else None


def _votes(change: Mapping[str, Any] | None, votes: Mapping[str, tuple[int, int]], project: ProjectSettings, why: str) -> Iterator[Finding]:
    for label, (low, high) in votes.items():
        topic = f"label {label}"
        if change is None:
            yield Finding(topic, Verdict.UNKNOWN, why, "push a change, and check again", project.name)
            continue
        known = change.get("labels", {}).get(label)
        if known is None:
            advice = f"make it, with values {low:+} to {high:+} ('torii gerrit setup' does it)"
            yield Finding(topic, Verdict.FAIL, "the project has no such label", advice, project.name)
            continue
        wanted = {value for value in (low, high) if value}
        if absent := sorted(wanted - _numbers(known.get("values", {}))):
            yield Finding(topic, Verdict.FAIL, f"the label has no {_listed(absent)}", "give it these values", project.name)
        elif lacking := sorted(wanted - _numbers(change.get("permitted_labels", {}).get(label, ()))):
            advice = f"allow 'Label {label}' {low:+} to {high:+} on refs/heads/* to a group of Torii's ('torii gerrit setup' does it)"
            yield Finding(topic, Verdict.FAIL, f"Torii may not vote {_listed(lacking)}", advice, project.name)
        else:
            yield Finding(topic, Verdict.PASS, f"Torii may vote {_listed(sorted(wanted))}", project=project.name)


def _submit(visit: _Visit, project: ProjectSettings, try_it: bool) -> Finding:
    change = visit.ended_change()
    if change is None and try_it:
        with visit.own_change() as (own, why):
            change = own
        if change is None:
            return Finding("submit", Verdict.UNKNOWN, why, "merge a change, and check again", project.name)
    if change is None:
        return Finding("submit", Verdict.UNKNOWN, "no change has ended yet on which it could be seen", project=project.name)
    refusal = visit.submit(change)
    if refusal is not None and refusal.status == _CONFLICT:
        return Finding("submit", Verdict.PASS, "Torii may submit", project=project.name)
    if refusal is not None and refusal.status == _FORBIDDEN:
        advice = "allow 'Submit' on refs/heads/* to a group of Torii's ('torii gerrit setup' does it)"
        return Finding("submit", Verdict.FAIL, f"Torii may not submit: {refusal.text.strip()}", advice, project.name)
    return Finding("submit", Verdict.UNKNOWN, str(refusal or "Gerrit took it"), project=project.name)


def _read_everything(asking: GerritRest, user: str, name: str, project: ProjectSettings) -> Finding:
    """Return whether `user` may read all refs: Gerrit then need not look at every change when something is pushed."""
    topic = "read refs/*"
    advice = "allow 'Read' on refs/* to a group of Torii's ('torii gerrit setup' does it): without it a push takes longer with every change"
    try:
        told = asking.get(f"projects/{quote(name)}/check.access", [("account", user), ("ref", "refs/*"), ("perm", "read")])
    except GerritRefusedError as error:
        if error.status != _FORBIDDEN:
            return Finding(topic, Verdict.UNKNOWN, str(error), project=project.name)
        words = "Gerrit does not let Torii see whether it may read all refs, which keeps pushes fast"
        return Finding(topic, Verdict.UNKNOWN, words, "check again with --admin-user and --admin-password", project.name)
    if told.get("status") == 200:
        return Finding(topic, Verdict.PASS, "Torii may read all refs, which keeps pushes fast", project=project.name)
    return Finding(topic, Verdict.WARN, "Torii may not read all refs", advice, project.name)


def _numbers(values: Any) -> set[int]:
    return {int(value) for value in values}


def _listed(values: Sequence[int]) -> str:
    return " and ".join(f"{value:+}" for value in values)
