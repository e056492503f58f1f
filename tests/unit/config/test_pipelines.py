"""What a pipeline of server.yml asks for: triggers, requirements, votes, and what cannot be asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from torii.config.pipelines import DEFAULT_PIPELINES, RECHECK
from torii.config.server import parse_server
from torii.config.settings import ServerConfig
from torii.model.pipeline import ApprovalRule, Cause, PipelineSpec, ReportRules, Requirements, Trigger


def pipeline(text: str, manager: str = "independent", triggers: str = "patchset-created") -> PipelineSpec:
    parsed = parse_server(f"pipelines: {{x: {{manager: {manager}, triggers: {triggers}, {text}}}}}".encode(), "server.yml", Path("/"))
    assert isinstance(parsed, ServerConfig), "\n".join(map(str, parsed))
    return parsed.pipelines[-1]


def trigger(text: str) -> Trigger:
    (found,) = pipeline("", triggers=text).triggers
    return found


def problems(text: str, triggers: str = "patchset-created") -> list[str]:
    parsed = parse_server(f"pipelines: {{x: {{manager: independent, triggers: {triggers}, {text}}}}}".encode(), "server.yml", Path("/"))
    assert isinstance(parsed, tuple)
    return [str(problem).removeprefix("server.yml:") for problem in parsed]


def test_a_trigger_may_ask_for_all_that_a_gerrit_tells() -> None:
    said = (
        "{cause: comment-added, branches: main, comment: 'again(\\s.*)?', votes: {Code-Review: 2, Workflow: {groups: Leads}}, "
        "topics: [a, 'b*'], hashtags: urgent, files: 'src/**', users: '*@example.com', groups: [Devs, 'All Staff']}"
    )
    assert trigger(said) == Trigger(
        cause=Cause.COMMENT_ADDED,
        branches=("main",),
        comment=r"again(\s.*)?",
        votes=(ApprovalRule("Code-Review", 2), ApprovalRule("Workflow", None, groups=("Leads",))),
        topics=("a", "b*"),
        hashtags=("urgent",),
        files=("src/**",),
        users=("*@example.com",),
        groups=("Devs", "All Staff"),
    )


@pytest.mark.parametrize("cause", [cause.value for cause in Cause])
def test_every_cause_is_a_trigger_by_itself(cause: str) -> None:
    assert trigger(cause) == Trigger(Cause(cause))


def test_a_requirement_may_ask_for_all_that_a_gerrit_tells() -> None:
    found = pipeline(
        "require: {approved: true, wip: false, topics: a, hashtags: [b], owners: c, "
        "votes: {Code-Review: [{value: 2, users: lead}, {value: 1, groups: Devs, older-than: 1h, newer-than: 7d}], Checked: {}}}, "
        "reject: {private: true, topics: d, hashtags: e, owners: [f], votes: {Code-Review: -2}}"
    ).require
    assert found == Requirements(
        approved=True,
        approvals=(
            ApprovalRule("Code-Review", 2, users=("lead",)),
            ApprovalRule("Code-Review", 1, groups=("Devs",), older_than=3600.0, newer_than=604_800.0),
            ApprovalRule("Checked", None),
        ),
        reject=(ApprovalRule("Code-Review", -2),),
        wip=False,
        private=False,
        topics=("a",),
        hashtags=("b",),
        owners=("c",),
        reject_topics=("d",),
        reject_hashtags=("e",),
        reject_owners=("f",),
    )


def test_a_pipeline_votes_as_its_report_says() -> None:
    found = pipeline("report: {start: true, success: {Verified: 2, Ready: 1}, failure: {Verified: -2}}").report
    assert found == ReportRules(start=True, success=(("Verified", 2), ("Ready", 1)), failure=(("Verified", -2),))


@pytest.mark.parametrize(
    ("line", "jobs"),
    [("recheck", None), ("ReCheck", None), ("recheck unit", "unit"), ("recheck  unit lint-3.11", "unit lint-3.11")],
)
def test_a_comment_asks_for_all_jobs_or_for_some(line: str, jobs: str | None) -> None:
    found = re.compile(RECHECK, re.IGNORECASE).fullmatch(line)
    assert found is not None
    assert found["jobs"] == jobs


@pytest.mark.parametrize("line", ["rechecked", "please recheck", "recheckunit", "no recheck", ""])
def test_other_comments_ask_for_nothing(line: str) -> None:
    assert re.compile(RECHECK, re.IGNORECASE).fullmatch(line) is None


def test_what_is_asked_for_in_no_time_costs_none_to_find() -> None:
    assert re.compile(RECHECK, re.IGNORECASE).fullmatch("recheck" + " " * 5000 + "\n") is None


def test_the_built_in_pipelines_do_on_a_gerrit_what_one_expects() -> None:
    check, gate, post = DEFAULT_PIPELINES
    assert Trigger(Cause.COMMENT_ADDED, comment=RECHECK) in check.triggers
    assert {Cause.APPROVED, Cause.COMMENT_ADDED} == {each.cause for each in gate.triggers}
    assert gate.require == Requirements(approved=True)
    assert [dict(each.report.success) for each in (check, gate, post)] == [{"Verified": 1}, {"Verified": 1}, {}]
    assert [dict(each.report.failure) for each in (check, gate, post)] == [{"Verified": -1}, {"Verified": -1}, {}]


@pytest.mark.parametrize(
    ("triggers", "problem"),
    [
        ("[{cause: comment-added, comment: 'a('}]", '.triggers[0].comment: "a(" is no regular expression: missing ), unterminated'),
        ("[{cause: comment-added, comment: '*'}]", '.triggers[0].comment: "*" is no regular expression: nothing to repeat at position 0'),
        ("{cause: comment-added, comment: '(?P<jobs>a)(?P<jobs>b)'}", "redefinition of group name"),
        ("{cause: comment-added, comment: ''}", "must be a regular expression of 1 to 512 characters"),
        ("{cause: comment-added, comment: [a]}", "comment: must be text, not a list"),
        ("{cause: restored, comment: a}", ".triggers.comment: with restored there is no comment; make the cause comment-added"),
        ("[restored, {cause: merged, votes: {V: 1}}]", ".triggers[1].votes: with merged no vote is cast"),
        ("{cause: approved, votes: {V: {older-than: 1h}}}", "the vote on V has just been cast: it has no age to ask for"),
        ("{cause: branch-updated, topics: x}", "for which only branches and users can be asked"),
        ("{cause: comment-added, votes: {V: two}}", 'votes.V: must be a whole number, not "two"'),
        ("{cause: comment-added, votes: {V: []}}", "votes.V: needs at least one value"),
        ("{cause: comment-added, votes: {V: {valeu: 2}}}", 'votes.V.valeu: unknown key; did you mean "value"?'),
        ("{cause: comment-added, votes: {V: 101}}", "votes.V: must be at most 100"),
        ("{cause: comment-added, groups: ' x'}", '" x" is no name'),
        ("{cause: comment-added, users: '['}", ".users"),
        ("{cause: comment-aded}", 'did you mean "comment-added"?'),
    ],
)
def test_a_mistake_in_a_trigger_is_located_and_put_into_words(triggers: str, problem: str) -> None:
    found = problems("", triggers)
    assert len(found) == 1, found
    assert problem in found[0]
    assert "pipelines.x" in found[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("require: {wip: yes}", 'require.wip: must be true or false, not "yes"'),
        ("require: {wip: true}, reject: {wip: true}", "reject.wip: require says it already; remove one of them"),
        ("require: {private: true}, reject: {private: false}", "reject.private: require says it already"),
        ("require: {topics: a}, reject: {topics: [a, b]}", "reject.topics: require asks for what this keeps out"),
        (
            "require: {votes: {V: {older-than: 2h, newer-than: 1h}}}",
            "require.votes.V: no vote is older than the one and newer than the other",
        ),
        ("require: {votes: {V: {older-than: soon}}}", '"soon" is no duration'),
        ("require: {votes: {V: 1}}, reject: {votes: {V: 1}}", "reject.votes.V: require asks for a vote that this keeps out (1)"),
        ("require: {votes: {V: [1]}}, reject: {votes: {V: [2, 1]}}", "reject.votes.V: require asks for a vote that this keeps out (1)"),
        ("reject: {votes: {V: {value: 0}}}", "a vote of 0 is no vote"),
        ("reject: {approved: true}", "reject.approved: unknown key"),
        ("report: {success: {V: {value: 1}}}", "report.success.V: must be a whole number, not a mapping"),
    ],
)
def test_a_mistake_in_a_requirement_is_located_and_put_into_words(text: str, problem: str) -> None:
    found = problems(text)
    assert len(found) == 1, found
    assert problem in found[0]


def test_of_a_branch_nothing_can_be_required() -> None:
    (votes,) = problems("reject: {votes: {V: -1}}", "branch-updated")
    assert "a branch-updated trigger brings in a branch, which has no votes" in votes
    (wip,) = problems("reject: {wip: true}", "branch-updated")
    assert "which has nothing of the kind" in wip


def test_what_keeps_out_some_votes_of_a_label_may_stand_beside_what_asks_for_others() -> None:
    found = pipeline("require: {votes: {V: 1}}, reject: {votes: {V: {value: 1, users: '*-bot'}}}").require
    assert found.reject == (ApprovalRule("V", 1, users=("*-bot",)),)
