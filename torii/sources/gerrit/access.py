"""What Torii needs to be allowed on a Gerrit, made of what its pipelines do; and how that is written in Gerrit's project.config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torii.config.settings import EventsBy, GerritConnection, ProjectSettings
from torii.model.pipeline import PipelineSpec

CAPABILITIES = "GLOBAL_CAPABILITIES"
"""What Gerrit's REST calls the section of the rights that are about no ref."""

HEADS, STAGING, EVERYTHING = "refs/heads/*", "refs/staging/*", "refs/*"

COPIED = "changekind:NO_CHANGE OR changekind:NO_CODE_CHANGE"
"""Which patch sets keep the votes of a label that is made."""

_NAMES = {
    "create": "Create Reference",
    "delete": "Delete Reference",
    "forgeAuthor": "Forge Author Identity",
    "forgeCommitter": "Forge Committer Identity",
    "push": "Push",
    "pushMerge": "Push Merge Commit",
    "read": "Read",
    "streamEvents": "Stream Events",
    "submit": "Submit",
}
"""Gerrit's permissions, as its configuration and its pages call them."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A group may do `permission` on `ref`. `low` and `high` are of a label; `force` is for a push that may rewind."""

    ref: str
    permission: str
    low: int = 0
    high: int = 0
    force: bool = False

    @property
    def label(self) -> str:
        """The label it is about; empty for other permissions."""
        return self.permission.removeprefix("label-") if self.permission.startswith("label-") else ""

    @property
    def words(self) -> str:
        """What Gerrit's pages call it."""
        if self.label:
            return f"Label {self.label} {self.low:+} to {self.high:+} on {self.ref}"
        where = "as a global capability" if self.ref == CAPABILITIES else f"on {self.ref}"
        return f"{_NAMES.get(self.permission, self.permission)}{' with force' * self.force} {where}"

    def rule(self) -> dict[str, Any]:
        """Return Gerrit's PermissionRuleInfo of it."""
        return {"action": "ALLOW", "force": self.force, **({"min": self.low, "max": self.high} if self.label else {})}

    def met_by(self, rule: Mapping[str, Any]) -> bool:
        """Return whether a rule that is there allows as much."""
        if rule.get("action", "ALLOW") != "ALLOW":
            return False
        if self.label:
            return int(rule.get("min", 0)) <= self.low and int(rule.get("max", 0)) >= self.high
        return bool(rule.get("force")) or not self.force

    def line(self, group: str) -> str:
        """Return the line of a project.config."""
        range_ = f"{self.low:+}..{self.high:+} " if self.label else "+force " if self.force else ""
        return f"{self.permission} = {range_}group {group}"


@dataclass(frozen=True, slots=True)
class LabelNeed:
    """A label with these values and their meanings, `required` for a submit."""

    name: str
    values: Mapping[int, str]
    required: bool

    @property
    def expression(self) -> str:
        """The submit requirement's expression."""
        return f"label:{self.name}=MAX AND -label:{self.name}=MIN"

    def value_names(self) -> dict[str, str]:
        """Return the values as Gerrit's REST writes them: " 0", "+1"."""
        return {f"{value:+}" if value else " 0": words for value, words in self.values.items()}

    def lines(self) -> Iterator[str]:
        """Yield the sections of a project.config."""
        yield f'[label "{self.name}"]'
        yield "\tfunction = NoBlock"
        yield "\tdefaultValue = 0"
        for value, words in self.values.items():
            yield f"\tvalue = {f'{value:+}' if value else '0'} {words}"
        yield f"\tcopyCondition = {COPIED}"
        if self.required:
            yield f'[submit-requirement "{self.name}"]'
            yield f"\tsubmittableIf = {self.expression}"
            yield "\tcanOverrideInChildProjects = true"


@dataclass(frozen=True, slots=True)
class Needs:
    """All that Torii needs on one Gerrit."""

    grants: tuple[Grant, ...]
    labels: tuple[LabelNeed, ...] = field(default=())

    def lines(self, group: str) -> Iterator[str]:
        """Yield what to add to a project.config."""
        refs = dict.fromkeys(grant.ref for grant in self.grants)
        for ref in refs:
            yield "[capability]" if ref == CAPABILITIES else f'[access "{ref}"]'
            yield from (f"\t{grant.line(group)}" for grant in self.grants if grant.ref == ref)
        for label in self.labels:
            yield from label.lines()


def votes_of(pipelines: Sequence[PipelineSpec]) -> dict[str, tuple[int, int]]:
    """Return the labels that `pipelines` vote on, with the lowest and the highest vote (0 where they cast none on that side)."""
    cast: dict[str, list[int]] = {}
    for pipeline in pipelines:
        for label, value in (*pipeline.report.success, *pipeline.report.failure):
            cast.setdefault(label, []).append(value)
    return {label: (min(0, *values), max(0, *values)) for label, values in cast.items()}


def needs(connection: GerritConnection, projects: Sequence[ProjectSettings], pipelines: Sequence[PipelineSpec]) -> Needs:
    """Return what Torii needs on `connection` for `projects`, those that are there."""
    used = [pipeline for pipeline in pipelines if _is_used(pipeline, projects)]
    votes = votes_of(used)
    grants = [Grant(EVERYTHING, "read")]
    if connection.events in (EventsBy.STREAM, EventsBy.BOTH):
        grants.append(Grant(CAPABILITIES, "streamEvents"))
    grants += [Grant(HEADS, f"label-{label}", low, high) for label, (low, high) in votes.items()]
    if any(pipeline.merges for pipeline in used):
        grants.append(Grant(HEADS, "submit"))
    if not projects or any(project.staging_url in ("", project.url) for project in projects):
        grants += [Grant(STAGING, permission) for permission in ("create", "delete", "pushMerge", "forgeAuthor", "forgeCommitter")]
        grants.append(Grant(STAGING, "push", force=True))
    return Needs(tuple(grants), tuple(_label(label, low, high) for label, (low, high) in votes.items()))


def _is_used(pipeline: PipelineSpec, projects: Sequence[ProjectSettings]) -> bool:
    return not projects or any(not project.spec.pipelines or pipeline.name in project.spec.pipelines for project in projects)


def _label(name: str, low: int, high: int) -> LabelNeed:
    """Return the label; it has a -1 even where nobody votes that, for a submit requirement speaks of its lowest value."""
    meanings = {0: "No score"}
    meanings |= dict.fromkeys(range(min(low, -1), 0), "Fails")
    meanings |= dict.fromkeys(range(1, max(high, 1) + 1), "Passes")
    return LabelNeed(name, dict(sorted(meanings.items())), required=high > 0)
