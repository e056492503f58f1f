"""Which moment of the story makes the best picture."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.demo.values import NOW, build, stay
from torii.demo.plain import plain_id
from torii.demo.projects import CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE
from torii.demo.snapshot import Snapshot
from torii.demo.story import telling
from torii.model.ids import ChangeId

FIRST, SECOND, THIRD = (
    stay(plain_id(edit), "gate", build("unit", item=f"x-{place}"), place=place, item=f"x-{place}")
    for place, edit in enumerate((CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE), 1)
)
FAILING = replace(SECOND, item=replace(SECOND.item, state="failing"))
AGAIN = replace(THIRD, item=replace(THIRD.item, built_on=(ChangeId(plain_id(CLEAR_NAMES)),)))


def test_a_moment_tells_the_more_the_further_the_three_have_come():
    moments = [(), (FIRST, SECOND, THIRD), (FIRST, FAILING, THIRD), (FIRST, FAILING, AGAIN)]
    assert [telling(Snapshot(NOW, active=moment), plain_id) for moment in moments] == [0, 1, 2, 3]


def test_a_moment_after_the_first_has_merged_tells_nothing():
    merged = replace(FIRST, item=replace(FIRST.item, left_at=NOW, outcome="merged", state="done"))
    assert telling(Snapshot(NOW, active=(FAILING, AGAIN), past=(merged,)), plain_id) == 0


def test_a_moment_in_which_nothing_runs_yet_is_not_the_best():
    waiting = replace(AGAIN, builds=(build("unit", item="x-3", state="queued", started_at=None),))
    assert telling(Snapshot(NOW, active=(FIRST, FAILING, waiting)), plain_id) == 2
