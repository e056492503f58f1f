"""Changes that merge together, at random: nearly all that is pushed gets a topic, and topics change while they are in the queue."""

from __future__ import annotations

import pytest

from torii.gate.state import Item, Queue
from torii.gate.world import World
from torii.model.build import Result
from torii.model.ids import ChangeId
from torii.testing.invariants import Violation
from torii.testing.simulator import APP, LIB, Walk


class Topics(Walk):
    """A walk in which changes of two projects come in groups that merge together, most of them approved."""

    def _push(self) -> None:
        if self.random.random() < 0.3:
            super()._push()
            return
        group: list[ChangeId] = []
        for _ in range(self.random.choice([2, 2, 3])):
            self._changes += 1
            project = self.random.choice([APP, LIB])
            change = ChangeId(f"{project}:main/c{self._changes}")
            depends_on = (self.random.choice(group),) if group and self.random.random() < 0.2 else ()
            self._say(self.lab.forge.push_change(change, project, "main", {f"{change}.txt": str(self.random.random())}, depends_on))
            group.append(change)
        for event in self.lab.forge.put_together(*group):
            self._say(event)
        for change in group:
            if self.random.random() < 0.9:
                self._say(self.lab.forge.approve(change))

    def _end_build(self) -> None:
        for held in self.lab.running():
            if self.random.random() < 0.5:
                self.lab.end(held.request.id, Result.SUCCESS if self.random.random() < 0.95 else Result.FAILURE)


def walk(seeds: range, steps: int = 200) -> int:
    """Walk, and return how many merges were of changes that merge together."""
    count = 0
    for seed in seeds:
        one = Topics(seed, twins=seed % 2 == 1)
        one.run(steps)
        count += sum(len(one.lab.forge.topics.get(change, ())) > 1 for change in one.lab.forge.merged)
    return count


@pytest.mark.parametrize("start", range(0, 40, 10))
def test_changes_that_merge_together_break_no_invariant(start):
    assert walk(range(start, start + 10)) > 20


def test_walks_notice_a_gate_that_merges_each_of_them_alone(monkeypatch):
    monkeypatch.setattr(World, "unit", lambda self, item: [item])
    with pytest.raises(Violation, match="still there"):
        walk(range(40))


def test_walks_notice_a_gate_that_parts_them_in_their_queue(monkeypatch):
    join = World.join
    monkeypatch.setattr(World, "join", lambda self, queue, subject: put_first(self, queue, join(self, queue, subject)))
    with pytest.raises(Violation, match="stands apart"):
        walk(range(40))


def put_first(world: World, queue: Queue, item: Item) -> Item:
    """Move `item` from the tail of its queue to the head, as a gate would that does not mind the order."""
    head = world.state.items[queue.head] if queue.head else None
    if head is not None and head is not item and item.ahead is not None:
        world.state.items[item.ahead].behind, queue.tail = None, item.ahead
        item.ahead, item.behind, head.ahead, queue.head = None, head.id, item.id, item.id
    return item
