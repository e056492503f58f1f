"""What happens on a real Gerrit is told, each thing once, whatever breaks meanwhile."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gerrit import setup
from tests.support.gerrit_lab import PIPELINES, GerritLab
from tests.support.waiting import wait_until
from torii.config.settings import EventsBy, Secret
from torii.errors import WebhookSecretError
from torii.model.change import ChangeStatus
from torii.model.event import ChangeUpdated
from torii.model.pipeline import ApprovalRule, Cause, Manager, MergeMode, PipelineSpec, Trigger
from torii.testing.gerrit import GerritSite

pytestmark = pytest.mark.needs("gerrit")

PUSHED, SAID, UPDATED, APPROVED = Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED, Cause.UPDATED, Cause.APPROVED
LIMIT = 60.0


@pytest.fixture
def lab(gerrit: GerritSite, tmp_path: Path) -> Iterator[GerritLab]:
    lab = GerritLab(gerrit, tmp_path)
    yield lab
    lab.close()


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GerritSite]:
    """A Gerrit that merges whole topics and takes long comments."""
    with GerritSite(tmp_path_factory.mktemp("gerrit"), setup(change__submitWholeTopic="true", change__commentSizeLimit="32k")) as site:
        yield site


def listening(lab: GerritLab) -> None:
    """Start, and wait until nothing more comes of the start itself."""
    lab.start()
    lab.wait_for_tip(lab.base)
    lab.wait_for_health(lambda state: state == "ok")


def keys(lab: GerritLab, cause: Cause) -> Counter[str]:
    return Counter(event.key for event in list(lab.box.events) if isinstance(event, ChangeUpdated) and event.cause is cause)


def test_fifty_pushes_are_each_told_once_though_the_stream_breaks_in_the_middle(lab):
    listening(lab)
    breaks = {10: lab.ssh.cut, 20: lab.outage, 35: lab.back, 45: lab.ssh.shut, 49: lab.ssh.open}
    for number in range(50):
        breaks.get(number, lambda: None)()
        lab.push_change(f"c{number}")
    wait_until(lambda: all(lab.told(name) for name in lab.changes), LIMIT)
    lab.wake()
    lab.wait_for_health(lambda state: state == "ok")
    assert [lab.causes(name) for name in lab.changes] == [[PUSHED]] * 50


def test_a_restart_of_gerrit_loses_nothing(lab):
    lab.push_change("a")
    listening(lab)
    lab.wait_for("a", PUSHED)
    lab.changes["a"].comment("before")
    lab.site.stop()
    lab.wait_for_health(lambda state: state != "ok")
    lab.site.start()
    lab.changes["a"].comment("after")
    lab.push_change("b")
    lab.wait_for("b", PUSHED)
    wait_until(lambda: [event.comment for event in lab.told("a")] == ["", "before", "after"], LIMIT)
    lab.wait_for_health(lambda state: state == "ok")
    assert lab.causes("a") == [PUSHED, SAID, SAID]


def test_three_hundred_rechecks_are_each_told_once(lab):
    for name in "abc":
        lab.push_change(name)
    listening(lab)
    for name in "abc":
        lab.wait_for(name, PUSHED)

    def comment(name: str) -> None:
        for number in range(100):
            lab.changes[name].comment("recheck") if number % 2 else lab.changes[name].message("recheck")

    threads = [threading.Thread(target=comment, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    wait_until(lambda: len(keys(lab, SAID)) == 300, LIMIT)
    lab.wake()
    lab.push_change("last")
    lab.wait_for("last", PUSHED)
    assert set(keys(lab, SAID).values()) == {1}
    assert all(event.comment == "recheck" for name in "abc" for event in lab.told(name)[1:])


def test_work_in_progress_is_told_as_such_and_when_it_is_ready(lab):
    listening(lab)
    lab.push_change("a", options=["wip"])
    change = lab.wait_for("a", PUSHED)
    assert change.wip
    assert change.blockers[0] == "it is work in progress"
    lab.changes["a"].set_ready()
    assert not lab.wait_for("a", Cause.READY).wip
    lab.changes["a"].set_wip()
    wait_until(lambda: lab.told("a")[-1].change.wip, LIMIT)
    lab.changes["a"].review(ready=True, message="have a look", by="dev")
    assert lab.wait_for("a", Cause.READY).wip is False
    assert lab.told("a")[-1].comment == "have a look"


def test_a_private_change_is_told_when_torii_may_see_it(lab):
    listening(lab)
    lab.push_change("hidden", options=["private"])
    lab.push_change("shown", options=["private"])
    lab.changes["shown"].add_reviewer("torii", by="dev")
    assert lab.wait_for("shown", PUSHED).private
    assert lab.told("hidden") == []
    lab.changes["hidden"].set_private(False)
    assert not lab.wait_for("hidden", PUSHED).private
    lab.changes["shown"].set_private(False)
    wait_until(lambda: not lab.told("shown")[-1].change.private, LIMIT)
    assert lab.causes("shown")[1:] == [UPDATED]


def test_a_series_is_known_in_order_and_an_outdated_parent_is_the_reason_why_not(lab):
    listening(lab)
    lab.push_change("a")
    lab.push_change("b", on=lab.changes["a"].commit)
    lab.push_change("c", on=lab.changes["b"].commit)
    lab.approve("c")
    change = lab.wait_for("c", APPROVED)
    assert change.depends_on == (lab.id("a"), lab.id("b"))
    lab.new_patchset("b")
    number = lab.changes["b"].number
    reason = f"its parent {number} is at patch set 2 by now; this was made on 1"
    wait_until(lambda: reason in lab.told("c")[-1].change.blockers, LIMIT)
    assert not lab.told("c")[-1].change.approved
    lab.restart()
    lab.abandon("b")
    wait_until(lambda: f"its parent {number} is abandoned" in lab.told("c")[-1].change.blockers, LIMIT)


def test_every_approval_is_told_as_one_though_everything_is_looked_at_in_the_moment_it_is_given(lab):
    names = [f"c{number}" for number in range(20)]
    for name in names:
        lab.push_change(name)
    listening(lab)
    for name in names:
        lab.wait_for(name, PUSHED)
    for name in names:
        lab.wake()
        lab.approve(name)
        lab.wake()
    for name in names:
        assert lab.wait_for(name, APPROVED).approved
        assert lab.causes(name) == [PUSHED, SAID]


def test_what_a_change_stands_on_is_told_first_where_torii_never_heard_of_it(gerrit, tmp_path):
    lab = GerritLab(gerrit, tmp_path, first_look=0.0)
    lab.push_change("a")
    listening(lab)
    lab.push_change("b", on=lab.changes["a"].commit)
    assert lab.wait_for("b", PUSHED).depends_on == (lab.id("a"),)
    ids = [event.change.id for event in lab.box.events if isinstance(event, ChangeUpdated)]
    assert ids == [lab.id("a"), lab.id("b")]
    lab.close()


def test_topics_hashtags_votes_and_moves_are_told(lab):
    listening(lab)
    lab.push_change("a")
    lab.wait_for("a", PUSHED)
    lab.changes["a"].set_topic("fix")
    assert lab.wait_for("a", Cause.TOPIC_CHANGED).topic == "fix"
    lab.changes["a"].set_hashtags(["now", "b"])
    assert lab.wait_for("a", Cause.HASHTAGS_CHANGED).hashtags == ("b", "now")
    lab.approve("a")
    change = lab.wait_for("a", APPROVED)
    assert [(vote.label, vote.value, vote.by) for vote in change.approvals] == [("Code-Review", 2, "admin")]
    lab.changes["a"].delete_vote("Code-Review", of="admin")
    assert lab.wait_for("a", Cause.VOTE_DELETED).approvals == ()
    lab.app.create_branch("stable")
    lab.changes["a"].move("stable")
    wait_until(lambda: lab.told("a")[-1].change.branch == "stable", LIMIT)
    assert lab.causes("a")[-1] is PUSHED


def test_a_rebase_in_the_page_keeps_the_approval_and_says_so(lab):
    listening(lab)
    lab.push_change("a")
    lab.approve("a")
    lab.wait_for("a", APPROVED)
    tip = lab.push_branch()
    lab.wait_for_tip(tip)
    lab.changes["a"].rebase()
    change = lab.wait_for("a", PUSHED)
    assert (change.patchset, change.approved) == ("2", True)
    assert APPROVED in lab.told("a")[-1].also


def test_a_deleted_change_is_abandoned(lab):
    listening(lab)
    lab.push_change("a")
    lab.wait_for("a", PUSHED)
    lab.changes["a"].delete()
    assert lab.wait_for("a", Cause.ABANDONED).status is ChangeStatus.ABANDONED


@pytest.mark.parametrize("submit_type", ["MERGE_ALWAYS", "REBASE_ALWAYS", "CHERRY_PICK"])
def test_a_merge_past_the_gate_is_told_and_how_the_project_merges(lab, submit_type):
    lab.app.configure(submit_type=submit_type)
    listening(lab)
    lab.push_change("a")
    assert lab.wait_for("a", PUSHED).merge is MergeMode(submit_type.lower().replace("_", "-"))
    lab.app.configure(submit_type="FAST_FORWARD_ONLY")
    lab.changes["a"].comment("how now?")
    assert lab.wait_for("a", SAID).merge is MergeMode.FAST_FORWARD_ONLY
    lab.app.configure(submit_type=submit_type)
    lab.approve("a")
    lab.changes["a"].vote("Verified", 1, by="torii")
    lab.changes["a"].submit()
    change = lab.wait_for("a", Cause.MERGED)
    lab.wait_for_tip(lab.branch())
    if submit_type != "MERGE_ALWAYS":
        assert (change.commit, change.patchset) == (lab.branch(), "2")
    assert Cause.ABANDONED not in lab.causes("a")


def test_branches_are_told_with_their_queue_and_when_they_come_and_go(lab):
    listening(lab)
    config = "queue: integrated\njobs: {unit: {run: 'true'}}\npipelines: {gate: [unit]}\n"
    tip = lab.app.commit_directly({"torii.yml": config}, "Name a queue")
    move = lab.wait_for_tip(tip)
    assert (move.queue, move.title, move.by, move.initial) == ("integrated", "Name a queue", "Administrator <admin@example.com>", False)
    lab.app.create_branch("stable/1.0")
    move = lab.wait_for_tip(tip, "stable/1.0")
    assert (move.old, move.queue) == (None, "integrated")
    lab.app.delete_branch("stable/1.0")
    assert lab.wait_for_tip(None, "stable/1.0").old == tip


def test_webhooks_beside_the_stream_make_nothing_happen_twice(gerrit, tmp_path):
    (tmp_path / "secret").write_text("not a real one")
    lab = GerritLab(gerrit, tmp_path, events=EventsBy.BOTH, webhook_secret=Secret(f"file:{tmp_path / 'secret'}"))
    listening(lab)
    lab.push_change("a")
    body = json.dumps({"type": "patchset-created", "change": {"project": lab.app.name, "number": lab.changes["a"].number}}).encode()
    for _ in range(20):
        lab.source.take_webhook("not a real one", body)
    with pytest.raises(WebhookSecretError):
        lab.source.take_webhook("a guess", body)
    lab.wait_for("a", PUSHED)
    lab.changes["a"].comment("recheck")
    lab.source.take_webhook("not a real one", body)
    lab.wait_for("a", SAID)
    lab.push_change("b")
    lab.wait_for("b", PUSHED)
    assert lab.causes("a") == [PUSHED, SAID]
    lab.close()


def test_after_dropped_output_everything_is_looked_at(gerrit, tmp_path):
    (tmp_path / "secret").write_text("not a real one")
    lab = GerritLab(gerrit, tmp_path, events=EventsBy.WEBHOOKS, webhook_secret=Secret(f"file:{tmp_path / 'secret'}"))
    listening(lab)
    lab.push_change("a")
    lab.changes["a"].comment("recheck")
    lab.push_change("b")
    assert lab.told("a") == []
    lab.source.take_webhook("not a real one", b'{"type": "dropped-output", "eventCreatedOn": 1}')
    lab.wait_for("b", PUSHED)
    lab.wait_for("a", SAID)
    assert lab.causes("a") == [PUSHED, SAID]
    lab.close()


def test_files_and_groups_are_told_where_a_pipeline_goes_by_them(gerrit, tmp_path):
    core = f"core-{tmp_path.name}"
    gerrit.rest().put(f"/groups/{core}", {"visible_to_all": True, "members": ["admin"]})
    triggers = (Trigger(SAID, files=("*.txt",), votes=(ApprovalRule("Code-Review", 2, groups=(core,)),)),)
    lab = GerritLab(gerrit, tmp_path, pipelines=(*PIPELINES, PipelineSpec("extra", Manager.INDEPENDENT, triggers)))
    listening(lab)
    lab.push_change("a")
    lab.approve("a")
    lab.wait_for("a", APPROVED)
    event = lab.told("a")[-1]
    assert event.files == ("a.txt",)
    assert core in event.groups
    assert core in event.change.approvals[0].groups
    lab.close()


def test_a_push_costs_one_question(lab):
    listening(lab)
    lab.push_change("first")
    lab.wait_for("first", PUSHED)
    wait_until(lambda: lab.source._listener._pulse.stuck_for() == 0.0)
    asked: list[str] = []
    get = lab.source._reading.get

    def counted(path, params=()):
        asked.append(path)
        return get(path, params)

    lab.source._reading.get = counted
    lab.push_change("last")
    lab.wait_for("last", PUSHED)
    # A look at everything, as one follows soon on the stream's coming up, may have found it already: then it is not asked for at all.
    single = [path for path in asked if path.startswith("changes/") and path != "changes/"]
    assert single in ([f"changes/{lab.app.name}~{lab.changes['last'].number}"], [])


class TestOnALenientGerrit:
    @pytest.fixture
    def lab(self, lenient: GerritSite, tmp_path: Path) -> Iterator[GerritLab]:
        lab = GerritLab(lenient, tmp_path)
        yield lab
        lab.close()

    def test_a_comment_of_twenty_thousand_characters_is_told_whole(self, lab):
        listening(lab)
        lab.push_change("a")
        lab.wait_for("a", PUSHED)
        text = "recheck\n" + "x" * 19_992
        lab.changes["a"].comment(text)
        wait_until(lambda: lab.told("a")[-1].comment == text, LIMIT)
        lab.changes["a"].message(text)
        wait_until(lambda: len(lab.told("a")) == 3, LIMIT)
        assert lab.told("a")[-1].comment == text

    def test_a_whole_topic_is_told_as_one_in_the_order_of_its_merge(self, lab):
        listening(lab)
        lab.push_change("a", options=["topic=both"])
        assert lab.wait_for("a", PUSHED).together == ()
        lab.push_change("b", options=["topic=both"])
        both = (lab.id("a"), lab.id("b"))
        wait_until(lambda: lab.told("b") and set(lab.told("b")[-1].change.together) == set(both), LIMIT)
        wait_until(lambda: lab.told("a")[-1].change.together == lab.told("b")[-1].change.together, LIMIT)
        assert lab.causes("a") == [PUSHED, UPDATED]
        lab.changes["b"].set_topic("")
        wait_until(lambda: lab.told("a")[-1].change.together == lab.told("b")[-1].change.together == (), LIMIT)
