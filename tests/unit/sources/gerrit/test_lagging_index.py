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
