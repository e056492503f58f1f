"""A strategy chooses what to build; what merges is decided apart from it. So any strategy is right, and only some are fast."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import pytest

from torii.gate.state import Item
from torii.gate.strategy import STRATEGIES, Linear, N, Speculation, Strategy
from torii.model.build import Result
from torii.testing.simulator import simulate
from torii.testing.story import PureStory


class Hedging:
    """Each item on the nearest ahead, and on its branch alone as well: it may have two build sets at once."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None:
        Linear().plan(line, tree)
        for item in line:
            tree.on(item, tree.root)


class Timid:
    """One item at a time."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None:
        for item in line[:1]:
            tree.on(item, tree.root)


class Reckless:
    """Each item on all ahead of it, whether they fail or not; a state that can come true only where nothing ahead does."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None:
        node = tree.root
        for item in line:
            node = tree.on(item, node)


class Odd:
    """Each item on some of those ahead of it, chosen without any sense."""

    def plan(self, line: Sequence[Item], tree: Speculation[N]) -> None:
        for number, item in enumerate(line):
            node = tree.root
            for other in line[:number]:
                if crc32(f"{item.id} {other.id}".encode()) % 3 == 0:
                    node = tree.on(other, node)
            tree.on(item, node)


def test_an_item_with_two_build_sets_merges_by_the_one_that_came_true(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "linear", Hedging())
    story = PureStory()
    a, b = story.approve("a", "b")
    sets = [[change for change, _ in each.changes] for each in _item(story, b).build_sets]
    assert sorted(sets) == [[a, b], [b]]

    on_a, alone = sorted(_item(story, b).build_sets, key=lambda each: -len(each.changes))
    for build_set, result in ((on_a, Result.FAILURE), (alone, Result.SUCCESS)):
        (held,) = (held for held in story.lab.running() if held.request.build_set == build_set.id)
        story.lab.end(held.request.id, result)
    story.lab.settle()
    assert story.merged == []  # neither says anything before it is known what becomes of a

    built = len(story.lab.builds)
    story.finish(a, "unit", "FAILURE")
    assert story.merged == [b]
    assert len(story.lab.builds) == built


def _item(story: PureStory, change: str) -> Item:
    items = story.lab.gate.state.items.values()
    return next(item for item in items if (item.subject.id, item.pipeline) == (change, "gate"))


@pytest.mark.parametrize("strategy", [Hedging(), Timid(), Reckless(), Odd()], ids=lambda strategy: type(strategy).__name__)
@pytest.mark.parametrize("seed", range(3))
def test_no_strategy_makes_a_queue_wrong_or_stops_it(monkeypatch, strategy: Strategy, seed: int):
    monkeypatch.setitem(STRATEGIES, "linear", strategy)
    simulate(seed, steps=250)
