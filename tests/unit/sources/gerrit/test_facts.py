"""What is read out of Gerrit's own JSON, as two releases of it wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from torii.model.change import ChangeStatus
from torii.model.pipeline import MergeMode
from torii.sources.gerrit.facts import Account, StrangeChangeError, change_id, facts_of, number_of, time_of, with_remarks

RECORDINGS = Path(__file__).resolve().parents[3] / "recordings" / "gerrit" / "rest"


def recording(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["change-detail", "change-detail-3.10"])
def test_a_change_is_read_from_either_release(name):
    facts = facts_of(recording(name))
    assert (facts.number, facts.project, facts.branch, facts.patchset) == (1, "demo", "master", 3)
    assert facts.ref == "refs/changes/01/1/3"
    assert facts.status is ChangeStatus.OPEN
    assert facts.merge is MergeMode.MERGE_IF_NECESSARY
    assert facts.title == "First change, reworded"
    assert facts.owner == Account(1000001, "dev", "dev@example.com", "Dev Eloper")
    assert facts.owner.shown == "Dev Eloper <dev@example.com>"
    assert len(facts.parents) == 1
    assert facts.files == ("a.txt",)
    assert {requirement.name for requirement in facts.requirements} >= {"Code-Review", "Verified"}
    assert [(message.kind, message.patchset) for message in facts.messages] == [("newPatchSet", 1), ("newPatchSet", 2), ("newPatchSet", 3)]


def test_a_merged_change_is_read_with_its_votes():
    facts = facts_of(recording("change-merged"))
    assert facts.status is ChangeStatus.MERGED
    assert facts.hashtags == ("ci", "gate")
    assert {(vote.label, vote.value, vote.by.called) for vote in facts.votes} == {("Code-Review", 2, "admin"), ("Verified", 1, "torii")}
    assert all(vote.at > 1_700_000_000 for vote in facts.votes)


@pytest.mark.parametrize("name", ["query-since", "query-since-3.10"])
def test_every_kind_of_message_is_known(name):
    messages = [message for info in recording(name) for message in facts_of(info).messages]
    kinds = {message.kind for message in messages}
    assert kinds >= {"abandon", "restore", "merged", "setTopic", "setHashtag", "setPrivate", "unsetPrivate", "deleteVote", "deleteReviewer"}
    assert kinds >= {"newPatchSet", "newWipPatchSet", "setReadyForReview", "setWorkInProgress", "revert"}
    by_raw = {message.raw: message for message in messages}
    assert by_raw["Patch Set 3:\n\nrecheck"].text == "recheck"
    assert by_raw["Patch Set 3: Code-Review+2\n\nok"].votes == (("Code-Review", 2),)
    assert by_raw["Patch Set 3: Code-Review+2\n\nok"].text == "ok"
    assert by_raw["Patch Set 1: Code-Review+2 Verified+1"].votes == (("Code-Review", 2), ("Verified", 1))
    failed = next(message for message in messages if "(3 comments)" in message.raw)
    assert (failed.votes, failed.remarks, failed.text) == ((("Verified", -1),), 3, "Build failed: https://ci.example/torii/1")


def test_copied_votes_are_not_taken_for_cast_ones():
    messages = facts_of(recording("change-detail-votes-copied")).messages
    assert [message.votes for message in messages if message.kind == "newPatchSet"] == [()] * 4


def test_a_comment_of_the_web_page_gets_its_text_from_beside():
    info = recording("change-detail") | {"messages": recording("change-messages")}
    facts = facts_of(info)
    recheck = next(message for message in facts.messages if message.raw == "Patch Set 1:\n\n(1 comment)")
    assert (recheck.text, recheck.remarks) == ("", 1)
    written = {"author": {"_account_id": 1000001}, "updated": "2026-11-22 03:43:39.000000000"}
    later = written | {"updated": "2026-11-22 03:43:49.000000000", "message": "later"}
    comments = {"a.txt": [later], "/PATCHSET_LEVEL": [written | {"message": "recheck"}, later]}
    assert next(message for message in with_remarks(facts, comments).messages if message.id == recheck.id).text == "recheck"


def test_comments_of_one_second_go_to_as_many_messages_as_came_with_them():
    at = "2026-11-22 03:39:31.000000000"
    said = ["(1 comment)", "plain", "(3 comments)\n\nand this", "(1 comment)"]
    messages = [
        {"id": str(n), "date": at, "author": {"_account_id": 5}, "message": f"Patch Set 3:\n\n{text}"} for n, text in enumerate(said)
    ]
    # Gerrit names the message 0 for all of them.
    one = {"author": {"_account_id": 5}, "updated": at, "change_message_id": "0"}
    level = [one | {"message": text} for text in ("recheck", "gate", "recheck unit")]
    facts = facts_of(recording("change-detail") | {"messages": messages})
    texts = [message.text for message in with_remarks(facts, {"a.txt": [one, one], "/PATCHSET_LEVEL": level}).messages]
    assert texts == ["recheck", "plain", "and this\n\ngate\n\nrecheck unit", ""]


def test_a_vote_taken_back_counts_as_none():
    info = recording("change-detail")
    info["messages"] = [{"id": "a1", "message": "Patch Set 3: -Code-Review", "date": "2026-11-22 03:39:31.000000000"}]
    assert facts_of(info).messages[0].votes == (("Code-Review", 0),)


@pytest.mark.parametrize("name", ["_number", "project", "branch", "status", "current_revision", "revisions"])
def test_what_no_change_can_lack_is_missed(name):
    info = recording("change-detail")
    del info[name]
    with pytest.raises(StrangeChangeError):
        facts_of(info)


def test_all_else_may_be_absent_or_odd():
    whole = recording("change-detail")
    kept = ("_number", "project", "branch", "status", "current_revision", "revisions")
    facts = facts_of({name: whole[name] for name in kept})
    assert (facts.wip, facts.private, facts.topic, facts.messages, facts.votes) == (False, False, "", (), ())
    odd = whole | dict.fromkeys(["hashtags", "labels", "messages", "owner", "submit_requirements", "updated", "submit_type"], 7)
    assert facts_of(odd).owner.called == ""


def test_times_are_the_servers_in_utc():
    assert time_of("2026-11-22 03:39:31.000000000") == 1795318771.0
    assert time_of("2026-11-22 03:39:31.5") == 1795318771.5
    assert time_of("") == time_of("soon") == 0.0


def test_ids_carry_the_connection_and_the_number():
    assert change_id("review", 12) == "review:12"
    assert number_of(change_id("review", 12)) == 12


@pytest.mark.parametrize(
    ("account", "called"),
    [(Account(1, "dev", "dev@example.com"), "dev"), (Account(1, "", "dev@example.com"), "dev@example.com"), (Account(7), "account:7")],
)
def test_somebody_is_called_by_the_best_name_there_is(account, called):
    assert account.called == called


def test_remarks_of_no_message_change_nothing():
    facts = facts_of(recording("change-detail"))
    assert with_remarks(facts, recording("change-comments")) == facts
