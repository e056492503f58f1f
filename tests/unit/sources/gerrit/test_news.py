"""What is told of changes, with a fake Gerrit: no threads, no sockets, every order of things."""

from __future__ import annotations

import pytest

from tests.support.fake_gerrit import FakeGerrit
from tests.support.gerrit_news import Reading
from torii.model.change import ChangeStatus
from torii.model.pipeline import Cause
from torii.sources.gerrit.errors import GerritUnavailableError

PUSHED, SAID, UPDATED = Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED, Cause.UPDATED


@pytest.fixture
def gerrit() -> FakeGerrit:
    return FakeGerrit("app", "lib")


@pytest.fixture
def reading(gerrit: FakeGerrit) -> Reading:
    reading = Reading(gerrit)
    reading.catch_up()
    return reading


def test_a_push_costs_one_question(gerrit, reading):
    gerrit.asked.clear()
    reading.look(gerrit.push())
    assert gerrit.asked == {"change": 1}
    assert reading.causes(1) == [PUSHED]


def test_a_push_onto_a_tip_that_was_costs_one_question_too(gerrit, reading):
    late = gerrit.push()
    merged = gerrit.push()
    gerrit.merge(merged)
    reading.look(merged)
    reading.catch_up()
    gerrit.asked.clear()
    gerrit.amend(late)
    reading.look(late)
    assert gerrit.asked == {"change": 1}


def test_fifty_pushes_at_once_cost_one_question(gerrit, reading):
    gerrit.asked.clear()
    reading.look(*(gerrit.push() for _ in range(50)))
    assert gerrit.asked == {"query": 1}
    assert [reading.causes(number) for number in range(1, 51)] == [[PUSHED]] * 50


def test_a_series_pushed_at_once_is_told_in_order_at_the_cost_of_one_question(gerrit, reading):
    last = gerrit.push()
    for _ in range(29):
        last = gerrit.push(on=last)
    gerrit.asked.clear()
    reading.look(*reversed(range(1, 31)))
    assert gerrit.asked == {"query": 1}
    told = [event for event in reading.events if hasattr(event, "change")]
    assert [event.change.id for event in told] == [f"lab:{number}" for number in range(1, 31)]
    assert told[-1].change.depends_on == tuple(f"lab:{number}" for number in range(1, 30))


def test_what_a_change_stands_on_is_told_first_where_nobody_has_heard_of_it(gerrit, reading):
    below = gerrit.push()
    gerrit.now += 1000
    reading.catch_up()
    reading.restart()
    above = gerrit.push(on=below)
    before = len(reading.events)
    reading.look(above)
    new = reading.events[before:]
    assert [(event.change.id, event.cause) for event in new] == [("lab:1", UPDATED), ("lab:2", PUSHED)]
    assert new[1].change.depends_on == ("lab:1",)


def test_a_new_patch_set_below_makes_what_stands_on_it_unapproved_with_the_reason(gerrit, reading):
    below = gerrit.push()
    above = gerrit.push(on=below)
    gerrit.vote(above, 2)
    reading.look(below, above)
    assert reading.told(above)[-1].change.approved
    gerrit.amend(below)
    reading.look(below)
    last = reading.told(above)[-1]
    assert last.cause is UPDATED
    assert last.change.blockers == ("its parent 1 is at patch set 2 by now; this was made on 1",)
    assert not last.change.approved
    assert last.change.depends_on == ("lab:1",)
    gerrit.amend(above, on=below)
    reading.look(above)
    assert reading.told(above)[-1].change.blockers == ("Code-Review: needs label:Code-Review=MAX",)


def test_after_a_restart_too_what_stands_on_a_new_patch_set_is_told(gerrit, reading):
    below = gerrit.push()
    above = gerrit.push(on=below)
    reading.look(below, above)
    gerrit.now += 1000
    reading.catch_up()
    reading.restart()
    gerrit.amend(below)
    reading.look(below)
    assert "its parent 1 is at patch set 2 by now; this was made on 1" in reading.told(above)[-1].change.blockers


def test_after_a_restart_what_stands_on_a_change_that_was_read_again_is_told_of_what_becomes_of_it(gerrit, reading):
    below = gerrit.push()
    above = gerrit.push(on=below)
    reading.look(below, above)
    gerrit.now += 1000
    reading.catch_up()
    reading.restart()
    gerrit.comment(below, "is it still needed?")
    reading.look(below)
    gerrit.abandon(below)
    reading.look(below)
    assert "its parent 1 is abandoned" in reading.told(above)[-1].change.blockers


def test_what_becomes_visible_long_after_its_date_is_told_of_a_change_that_was_read_before(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.comment(number, "recheck")
    late = gerrit.changes[number].messages.pop()
    gerrit.now += 1000
    reading.catch_up()
    gerrit.changes[number].messages.append(late)
    reading.look(number)
    assert reading.told(number)[-1].comment == "recheck"
    reading.catch_up()
    assert reading.causes(number) == [PUSHED, Cause.COMMENT_ADDED]


def test_an_abandoned_parent_blocks_until_it_is_restored(gerrit, reading):
    below = gerrit.push()
    above = gerrit.push(on=below)
    reading.look(below, above)
    gerrit.abandon(below)
    reading.look(below)
    assert "its parent 1 is abandoned" in reading.told(above)[-1].change.blockers
    gerrit.restore(below)
    reading.look(below)
    assert reading.told(above)[-1].change.depends_on == ("lab:1",)
    assert reading.causes(below) == [PUSHED, Cause.ABANDONED, Cause.RESTORED]


def test_a_comment_of_the_page_is_read_with_its_text(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.comment(number, "recheck unit", page=True)
    reading.look(number)
    assert reading.told(number)[-1].comment == "recheck unit"


def test_what_torii_says_is_no_news_but_its_votes_are_known(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.comment(number, "Build failed. recheck", by="torii")
    reading.look(number)
    assert reading.causes(number) == [PUSHED]
    gerrit.vote(number, 1, by="torii", label="Verified")
    reading.look(number)
    assert reading.causes(number) == [PUSHED, UPDATED]
    assert [(vote.label, vote.value) for vote in reading.told(number)[-1].change.approvals] == [("Verified", 1)]


def test_what_an_ignored_bot_does_starts_nothing(gerrit):
    reading = Reading(gerrit, ignore=("bot*",))
    reading.catch_up()
    number = gerrit.push()
    reading.look(number)
    gerrit.comment(number, "recheck", by="bot")
    gerrit.vote(number, 2, by="bot")
    gerrit.amend(number, by="bot")
    reading.look(number)
    assert reading.causes(number) == [PUSHED, UPDATED]
    assert reading.told(number)[-1].change.patchset == "2"


def test_a_vote_that_approves_is_told_with_it(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.vote(number, 2)
    reading.look(number)
    event = reading.told(number)[-1]
    assert (event.cause, event.also, event.by) == (SAID, (Cause.APPROVED,), "admin")
    assert [(vote.label, vote.value, vote.by) for vote in event.votes] == [("Code-Review", 2, "admin")]


def test_what_happened_in_an_outage_is_found_each_once(gerrit, reading):
    numbers = [gerrit.push() for _ in range(4)]
    reading.look(*numbers)
    gerrit.amend(1)
    gerrit.vote(2, 2)
    gerrit.comment(2, "recheck")
    gerrit.abandon(3)
    gerrit.merge(4)
    fresh = gerrit.push()
    reading.catch_up()
    reading.catch_up(thorough=True)
    reading.look(*numbers, fresh)
    assert reading.causes(1) == [PUSHED, PUSHED]
    assert reading.causes(2) == [PUSHED, SAID, SAID]
    assert reading.causes(3) == [PUSHED, Cause.ABANDONED]
    assert reading.causes(4) == [PUSHED, Cause.MERGED]
    assert reading.causes(fresh) == [PUSHED]
    assert [event.new for event in reading.events if not hasattr(event, "change")][-1] == gerrit.tips["app"]["main"]


def test_nothing_is_told_again_after_a_restart(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.comment(number, "recheck")
    reading.look(number)
    before = list(reading.events)
    reading.restart()
    reading.catch_up()
    reading.look(number)
    assert reading.events == before


def test_killed_before_its_cursor_was_kept_it_tells_the_same_again(gerrit, reading):
    kept = reading.cursor
    number = gerrit.push()
    gerrit.comment(number, "recheck")
    reading.look(number)
    first = list(reading.told(number))
    reading.restart(kept)
    reading.catch_up()
    assert reading.told(number) == [*first, *first]


def test_many_pages_are_all_read(gerrit):
    gerrit.page = 7
    reading = Reading(gerrit)
    reading.catch_up()
    numbers = [gerrit.push() for _ in range(100)]
    reading.catch_up()
    assert [reading.causes(number) for number in numbers] == [[PUSHED]] * 100


def test_a_first_look_tells_what_torii_has_not_spoken_of_as_if_it_were_new(gerrit):
    new, reviewed, approved, merged = (gerrit.push() for _ in range(4))
    gerrit.comment(reviewed, "Build succeeded", by="torii")
    gerrit.comment(approved, "Build succeeded", by="torii")
    gerrit.vote(approved, 2)
    gerrit.merge(merged)
    reading = Reading(gerrit)
    reading.catch_up()
    assert reading.causes(new) == [PUSHED]
    assert reading.causes(reviewed) == [UPDATED]
    assert reading.causes(approved) == [Cause.APPROVED]
    assert reading.causes(merged) == []


def test_a_first_look_does_not_reach_further_back_than_it_may(gerrit):
    old = gerrit.push()
    gerrit.now += 100_000
    reading = Reading(gerrit)
    reading.catch_up()
    assert reading.causes(old) == []
    gerrit.comment(old, "recheck")
    reading.look(old)
    assert reading.causes(old) == [SAID]


def test_a_first_look_that_was_cut_short_goes_on_where_it_was(gerrit):
    numbers = [gerrit.push() for _ in range(120)]
    gerrit.vote(numbers[0], 2)
    reading = Reading(gerrit)
    kept: list[str] = []
    post = reading.news._post

    def cut(events, cursor):
        post(events, cursor)
        kept.append(cursor.state)
        if len(kept) == 4:  # two of the branches, two of changes
            raise GerritUnavailableError("cut")

    reading.news._post = cut
    with pytest.raises(GerritUnavailableError):
        reading.catch_up()
    gerrit.abandon(numbers[5])
    gerrit.comment(numbers[6], "recheck")
    reading.restart()
    reading.catch_up()
    assert reading.causes(numbers[5]) == [PUSHED, Cause.ABANDONED]
    assert reading.causes(numbers[6]) == [PUSHED, SAID]
    assert all(reading.causes(number) == [PUSHED] for number in numbers[7:])


def test_a_deleted_change_is_abandoned_once(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.delete(number)
    reading.look(number)
    reading.look(number)
    reading.catch_up(thorough=True)
    assert reading.causes(number) == [PUSHED, Cause.ABANDONED]
    assert reading.told(number)[-1].change.status is ChangeStatus.ABANDONED


def test_a_change_deleted_in_an_outage_is_missed(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.delete(number)
    reading.catch_up(thorough=True)
    assert reading.causes(number) == [PUSHED, Cause.ABANDONED]


def test_a_change_that_is_hidden_and_shown_again_is_abandoned_and_new(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.set_private(number, True)
    reading.look(number)
    assert reading.causes(number) == [PUSHED, Cause.ABANDONED]
    gerrit.set_private(number, False)
    reading.look(number)
    assert reading.causes(number) == [PUSHED, Cause.ABANDONED, PUSHED]
    assert len({event.key for event in reading.told(number)}) == 3


@pytest.mark.parametrize("told", [True, False])
def test_a_change_that_becomes_ready_says_so_even_where_gerrit_does_not(gerrit, reading, told):
    number = gerrit.push(wip=True)
    reading.look(number)
    assert reading.told(number)[-1].change.blockers[0] == "it is work in progress"
    gerrit.set_wip(number, False, told=told)
    reading.look(number)
    event = reading.told(number)[-1]
    assert Cause.READY in (event.cause, *event.also)
    gerrit.comment(number, "thanks")
    reading.look(number)
    assert Cause.READY not in (reading.told(number)[-1].cause, *reading.told(number)[-1].also)


def test_a_whole_topic_is_told_as_one(gerrit):
    gerrit.whole_topics = True
    reading = Reading(gerrit)
    reading.catch_up()
    first = gerrit.push(topic="both")
    reading.look(first)
    assert reading.told(first)[-1].change.together == ()
    second = gerrit.push("lib", topic="both")
    reading.look(second, project="lib")
    assert reading.told(first)[-1].change.together == reading.told(second)[-1].change.together == ("lab:1", "lab:2")
    gerrit.abandon(second)
    reading.look(second, project="lib")
    assert reading.told(first)[-1].change.together == ()


def test_changes_of_projects_that_nobody_gates_are_left_alone(gerrit, reading):
    gerrit.tips["other"] = {"main": "0" * 40}
    number = gerrit.push("other")
    reading.look(number, project="other")
    reading.catch_up()
    assert reading.told(number) == []


def test_while_gerrit_is_away_nothing_is_lost(gerrit, reading):
    number = gerrit.push()
    gerrit.away = True
    with pytest.raises(GerritUnavailableError):
        reading.look(number)
    gerrit.away = False
    reading.look(number)
    assert reading.causes(number) == [PUSHED]


def test_a_change_that_cannot_be_understood_keeps_no_other_from_being_told(gerrit, reading):
    good, bad = gerrit.push(), gerrit.push()
    gerrit.changes[bad].messages[0]["date"] = "yesterday"
    gerrit.changes[bad].revisions[-1] = ("not a commit", ())
    reading.look(bad, good)
    assert reading.causes(good) == [PUSHED]
    assert reading.causes(bad) == []


def test_what_is_remembered_is_forgotten_in_time(gerrit, reading):
    for _ in range(200):
        gerrit.push()
    reading.catch_up()
    gerrit.now += 1000
    reading.catch_up()
    assert len(reading.cursor) < 1000
