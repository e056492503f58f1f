"""What Torii needs to be allowed on a Gerrit follows from what its pipelines do there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.config.pipelines import DEFAULT_PIPELINES
from torii.config.settings import EventsBy, GerritConnection, ProjectSettings
from torii.model.ids import PipelineName, ProjectName
from torii.model.pipeline import Manager, PipelineSpec, ProjectSpec, ReportRules
from torii.sources.gerrit.access import CAPABILITIES, HEADS, STAGING, Grant, needs, votes_of

REVIEW = GerritConnection("review", "https://review.example.com")
CHECK, GATE, POST = DEFAULT_PIPELINES


def project(name: str = "app", pipelines: tuple[str, ...] = (), staging: str = "") -> ProjectSettings:
    url = f"https://review.example.com/a/{name}"
    return ProjectSettings(ProjectSpec(ProjectName(name), pipelines=tuple(map(PipelineName, pipelines))), "review", url, staging or url)


def permissions(grants: tuple[Grant, ...], ref: str) -> set[str]:
    return {grant.permission for grant in grants if grant.ref == ref}


def test_the_default_pipelines_vote_verified_submit_and_stage() -> None:
    wanted = needs(REVIEW, [project()], DEFAULT_PIPELINES)
    assert permissions(wanted.grants, "refs/*") == {"read"}
    assert permissions(wanted.grants, CAPABILITIES) == {"streamEvents"}
    assert permissions(wanted.grants, HEADS) == {"label-Verified", "submit"}
    assert permissions(wanted.grants, STAGING) == {"create", "delete", "push", "pushMerge", "forgeAuthor", "forgeCommitter"}
    assert [(label.name, dict(label.values), label.required) for label in wanted.labels] == [
        ("Verified", {-1: "Fails", 0: "No score", 1: "Passes"}, True)
    ]


def test_what_is_not_used_is_not_asked_for() -> None:
    silent = replace(REVIEW, events=EventsBy.WEBHOOKS)
    wanted = needs(silent, [project(pipelines=("check",), staging="ssh://git@staging.example.com/app")], DEFAULT_PIPELINES)
    assert {grant.ref for grant in wanted.grants} == {"refs/*", HEADS}
    assert permissions(wanted.grants, HEADS) == {"label-Verified"}


def test_a_label_has_all_that_any_pipeline_votes() -> None:
    gate = PipelineSpec(
        PipelineName("gate"), Manager.DEPENDENT, report=ReportRules(success=(("Verified", 2),), failure=(("Verified", -2),))
    )
    style = PipelineSpec(PipelineName("style"), Manager.INDEPENDENT, report=ReportRules(failure=(("Style", -1),)))
    assert votes_of((CHECK, gate, style, POST)) == {"Verified": (-2, 2), "Style": (-1, 0)}
    verified, style_label = needs(REVIEW, [project()], (CHECK, gate, style)).labels
    assert sorted(verified.values) == [-2, -1, 0, 1, 2]
    assert (sorted(style_label.values), style_label.required) == ([-1, 0, 1], False)
    assert verified.value_names() == {"-2": "Fails", "-1": "Fails", " 0": "No score", "+1": "Passes", "+2": "Passes"}


@pytest.mark.parametrize(
    ("grant", "rule", "met"),
    [
        (Grant(HEADS, "submit"), {"action": "ALLOW", "force": False}, True),
        (Grant(HEADS, "submit"), {"action": "BLOCK"}, False),
        (Grant(STAGING, "push", force=True), {"action": "ALLOW", "force": False}, False),
        (Grant(STAGING, "push", force=True), {"action": "ALLOW", "force": True}, True),
        (Grant(HEADS, "label-V", -1, 1), {"action": "ALLOW", "min": -1, "max": 1}, True),
        (Grant(HEADS, "label-V", -1, 1), {"action": "ALLOW", "min": -2, "max": 2}, True),
        (Grant(HEADS, "label-V", -1, 2), {"action": "ALLOW", "min": -1, "max": 1}, False),
        (Grant(HEADS, "label-V", -1, 1), {"action": "ALLOW"}, False),
    ],
)
def test_a_rule_that_is_there_suffices_or_not(grant: Grant, rule: dict[str, object], met: bool) -> None:
    assert grant.met_by(rule) is met


def test_it_is_written_as_gerrit_writes_its_configuration() -> None:
    assert "\n".join(needs(REVIEW, [project()], DEFAULT_PIPELINES).lines("Robots")) == (
        '[access "refs/*"]\n\tread = group Robots\n'
        "[capability]\n\tstreamEvents = group Robots\n"
        '[access "refs/heads/*"]\n\tlabel-Verified = -1..+1 group Robots\n\tsubmit = group Robots\n'
        '[access "refs/staging/*"]\n\tcreate = group Robots\n\tdelete = group Robots\n\tpushMerge = group Robots\n'
        "\tforgeAuthor = group Robots\n\tforgeCommitter = group Robots\n\tpush = +force group Robots\n"
        '[label "Verified"]\n\tfunction = NoBlock\n\tdefaultValue = 0\n\tvalue = -1 Fails\n\tvalue = 0 No score\n\tvalue = +1 Passes\n'
        "\tcopyCondition = changekind:NO_CHANGE OR changekind:NO_CODE_CHANGE\n"
        '[submit-requirement "Verified"]\n\tsubmittableIf = label:Verified=MAX AND -label:Verified=MIN\n'
        "\tcanOverrideInChildProjects = true"
    )
