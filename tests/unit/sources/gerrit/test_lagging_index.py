"""Gerrit's queries answer from an index that lags behind its changes: what is older than what was read before is not told."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.support.fake_gerrit import FakeChange, FakeGerrit
from tests.support.gerrit_news import Reading
from torii.model.pipeline import Cause


class LaggingGerrit(FakeGerrit):
    """Its queries show the changes as they were when `index` was called last, if it ever was; so do its lists of related changes."""

    indexed: dict[int, FakeChange] | None = None
    knows_messages = False

    def index(self) -> None:
        self.indexed = deepcopy(self.changes)

    def _relative(self, change: FakeChange, patchset: int) -> dict[str, Any]:
        before = (self.indexed or {}).get(change.number, change)
        return {**super()._relative(change, patchset), "status": before.status, "_current_revision_number": len(before.revisions)}

    def _query(self, params: dict[str, str]) -> list[dict[str, Any]]:
        now = self.changes
        self.changes = {**now, **self.indexed} if self.indexed is not None else now
        try:
            found = super()._query(params)
            return [{**info, "messages": list(now[info["_number"]].messages)} for info in found] if self.knows_messages else found
        finally:
            self.changes = now


@pytest.fixture
def gerrit() -> LaggingGerrit:
    return LaggingGerrit("app")


@pytest.fixture
def reading(gerrit: LaggingGerrit) -> Reading:
    reading = Reading(gerrit)
    reading.catch_up()
    return reading


def test_an_approval_that_was_told_is_not_taken_back_by_a_query_that_has_not_heard_of_it(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.index()
    gerrit.vote(number, 2)
    reading.look(number)
    assert reading.told(number)[-1].change.approved
    reading.catch_up()
    assert reading.causes(number) == [Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED]
    assert reading.told(number)[-1].change.approved


def test_an_approval_is_not_taken_back_by_an_index_that_knows_of_the_message_but_not_of_the_vote(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.index()
    gerrit.knows_messages = True
    gerrit.vote(number, 2)
    reading.look(number)
    reading.catch_up()
    assert reading.causes(number) == [Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED]
    assert reading.told(number)[-1].change.approved


def test_an_approval_is_told_as_one_though_a_query_saw_its_message_first_and_not_yet_the_vote(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.index()
    gerrit.knows_messages = True
    gerrit.vote(number, 2)
    reading.catch_up()
    reading.look(number)
    assert reading.causes(number) == [Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED]
    assert Cause.APPROVED in reading.told(number)[-1].also


def test_so_it_is_where_several_changes_are_asked_for_at_once_and_nothing_was_read_of_them_before(gerrit, reading):
    numbers = [gerrit.push(), gerrit.push()]
    gerrit.index()
    gerrit.knows_messages = True
    for number in numbers:
        gerrit.vote(number, 2)
    reading.look(*numbers)
    reading.look(*numbers)
    for number in numbers:
        assert reading.causes(number) == [Cause.PATCHSET_CREATED, Cause.COMMENT_ADDED]
        assert Cause.APPROVED in reading.told(number)[-1].also


ACTS = {
    "amended": (lambda gerrit, number: gerrit.amend(number), Cause.PATCHSET_CREATED),
    "abandoned": (lambda gerrit, number: gerrit.abandon(number), Cause.ABANDONED),
    "merged": (lambda gerrit, number: gerrit.merge(number), Cause.MERGED),
    "another topic": (lambda gerrit, number: gerrit.set_topic(number, "tea"), Cause.TOPIC_CHANGED),
    "taken back": (lambda gerrit, number: gerrit.vote(number, 0), Cause.COMMENT_ADDED),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_happened_is_told_with_the_change_as_it_is_since(act, gerrit, reading):
    number = gerrit.push()
    gerrit.vote(number, 2)
    reading.look(number)
    gerrit.index()
    gerrit.knows_messages = True
    do, cause = ACTS[act]
    do(gerrit, number)
    reading.catch_up()
    told = reading.told(number)[-1]
    assert told.cause is cause
    reading.look(number)
    assert reading.told(number)[-1] is told


def test_a_change_that_is_ready_and_approved_is_told_so_though_a_query_takes_it_for_work_in_progress(gerrit, reading):
    number = gerrit.push(wip=True)
    gerrit.vote(number, 2)
    reading.look(number)
    gerrit.index()
    gerrit.knows_messages = True
    gerrit.set_wip(number, False, told=False)
    reading.catch_up()
    told = reading.told(number)[-1]
    assert (told.cause, told.change.wip, set(told.also)) == (Cause.COMMENT_ADDED, False, {Cause.READY, Cause.APPROVED})


def test_comments_of_many_changes_still_cost_one_question(gerrit, reading):
    numbers = [gerrit.push() for _ in range(20)]
    reading.look(*numbers)
    for number in numbers:
        gerrit.comment(number, "recheck")
        gerrit.vote(number, 1)
    gerrit.asked.clear()
    reading.look(*numbers)
    assert [reading.causes(number)[1:] for number in numbers] == [[Cause.COMMENT_ADDED] * 2] * 20
    assert (gerrit.asked["query"], gerrit.asked["change"]) == (1, 0)


def test_of_a_change_that_is_gone_meanwhile_the_old_state_is_not_told(gerrit, reading):
    number = gerrit.push()
    reading.look(number)
    gerrit.index()
    gerrit.vote(number, 2)
    reading.look(number)
    gerrit.delete(number)
    reading.catch_up()
    assert Cause.UPDATED not in reading.causes(number)


def test_a_change_itself_tells_how_it_is_not_the_list_of_those_that_stand_on_it(gerrit, reading):
    below = gerrit.push()
    above = gerrit.push(on=below)
    reading.look(below, above)
    gerrit.amend(below)
    reading.look(below)
    reading.restart()
    gerrit.index()
    gerrit.abandon(below)
    reading.look(below)
    reading.look(above)
    assert f"its parent {below} is abandoned" in reading.told(above)[-1].change.blockers
